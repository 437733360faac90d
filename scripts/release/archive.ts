/**
 * Packs a release: tar, gzip and ar, written here, so that the same files give the same bytes whatever tar(1), umask, user or
 * time zone the machine has. gzip is libdeflate's, which does not depend on the processor.
 */

export interface File {
  /** Relative, with `/`. `tar` adds its directories. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly executable?: boolean;
}

const encoder = new TextEncoder();

export function textFile(path: string, text: string): File {
  return { path, content: encoder.encode(text) };
}

/**
 * A tar archive (POSIX ustar) of files in the order of their names, of user and group 0.
 * @param prefix in front of every name; itself a directory, e.g. `./`
 * @param mtime of everything, in seconds
 */
export function tar(files: readonly File[], prefix: string, mtime: number): Uint8Array<ArrayBuffer> {
  const directories = new Set(
    files.flatMap(({ path }) => ["", ...parents(path)]).map((path) => prefix + path),
  );
  const entries = [
    ...[...directories].map((name) => ({ name, mode: 0o755, type: "5", content: new Uint8Array() })),
    ...files.map((file) => ({
      name: prefix + file.path,
      mode: file.executable === true ? 0o755 : 0o644,
      type: "0",
      content: file.content,
    })),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
  const blocks = entries.flatMap(({ name, mode, type, content }) => [
    tarHeader(name, mode, type, content.length, mtime),
    content,
    new Uint8Array(-content.length & 511),
  ]);
  return join([...blocks, new Uint8Array(1024)]);
}

/** The directories above a path. `a/b/c`: `a/` and `a/b/`. */
function parents(path: string): string[] {
  return [...path.matchAll(/\//g)].map((slash) => path.slice(0, slash.index + 1));
}

function tarHeader(name: string, mode: number, type: string, size: number, mtime: number): Uint8Array {
  // The format allows longer names, but we do not need them.
  if (encoder.encode(name).length > 100) throw new Error(`too long for a tar header: ${name}`);
  const octal = (value: number, width: number) => value.toString(8).padStart(width - 1, "0") + "\0";
  const head = name.padEnd(100, "\0") + octal(mode, 8) + octal(0, 8) + octal(0, 8);
  const tail = type + "\0".repeat(100) + "ustar\x0000" + "root".padEnd(32, "\0").repeat(2);
  const before = head + octal(size, 12) + octal(mtime, 12);
  const block = encoder.encode((before + " ".repeat(8) + tail).padEnd(512, "\0"));
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.set(encoder.encode(sum.toString(8).padStart(6, "0") + "\0 "), before.length);
  return block;
}

/** Compresses, with no name and no time in the header. Level 9 takes twice as long as 6 and saves 0.4 % of an executable. */
export function gzip(data: Uint8Array<ArrayBuffer>, level: 6 | 9 = 6): Uint8Array {
  return Bun.gzipSync(data, { library: "libdeflate", level });
}

/** An ar archive, which is what a Debian package is. */
export function ar(members: readonly File[], mtime: number): Uint8Array {
  const blocks = members.flatMap(({ path, content }) => {
    const header = [path.padEnd(16), String(mtime).padEnd(12), "0     ", "0     ", "100644  "].join("");
    return [
      encoder.encode(`${header}${String(content.length).padEnd(10)}\`\n`),
      content,
      encoder.encode("\n".repeat(content.length % 2)),
    ];
  });
  return join([encoder.encode("!<arch>\n"), ...blocks]);
}

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
