/** Makes the Debian package: an ar archive of two tar archives. Installing it starts and enables nothing. */
import { createHash } from "node:crypto";
import manifest from "../../package.json";
import { ar, type File, gzip, tar, textFile } from "./archive.ts";

const MAINTAINER = "The orchesjob contributors <orchesjob@packages.invalid>";

export interface Package {
  readonly architecture: "amd64" | "arm64";
  readonly executable: Uint8Array;
  /** As in the archives: README.md, LICENSE, docs/…, completions/…, man/…, systemd/…. */
  readonly files: readonly File[];
  /** Seconds; the time of everything in it. */
  readonly epoch: number;
}

/** The bytes of a .deb. */
export function debianPackage({ architecture, executable, files, epoch }: Package): Uint8Array {
  const data = [
    { path: "usr/bin/orchesjob", content: executable, executable: true },
    ...files.flatMap(place),
    textFile("usr/share/doc/orchesjob/copyright", copyright(files)),
    compressed(textFile("usr/share/doc/orchesjob/changelog", changelog(epoch))),
    textFile("usr/share/lintian/overrides/orchesjob", OVERRIDES),
  ];
  const kib = data.reduce((sum, { content }) => sum + Math.ceil(content.length / 1024), 0);
  const sums = data.map(({ path, content }) => `${md5(content)}  ${path}\n`).sort();
  const control = [
    textFile("control", controlFile(architecture, kib)),
    textFile("md5sums", sums.join("")),
    script("postinst", RELOAD),
    script("prerm", DISABLE),
    script("postrm", RELOAD),
  ];
  const pack = (members: readonly File[]) => gzip(tar(members, "./", epoch));
  return ar(
    [
      textFile("debian-binary", "2.0\n"),
      { path: "control.tar.gz", content: pack(control) },
      { path: "data.tar.gz", content: pack(data) },
    ],
    epoch,
  );
}

/** Puts a file of the archive where Debian wants it; drops files for which the package has its own form. */
function place(file: File): readonly File[] {
  const [folder, name] = file.path.split(/\/(?=[^/]*$)/);
  const doc = { ...file, path: `usr/share/doc/orchesjob/${file.path}` };
  if (name === undefined) return file.path === "LICENSE" ? [] : [doc];
  switch (folder) {
    case "man":
      return [compressed({ ...file, path: `usr/share/man/man1/${name}` })];
    case "systemd":
      return [{ ...file, path: `lib/systemd/system/${name}` }];
    case "completions":
      if (name.endsWith(".bash"))
        return [{ ...file, path: "usr/share/bash-completion/completions/orchesjob" }];
      if (name.endsWith(".fish")) return [{ ...file, path: `usr/share/fish/vendor_completions.d/${name}` }];
      return [{ ...file, path: `usr/share/zsh/vendor-completions/${name}` }];
    default:
      return [doc];
  }
}

function compressed(file: File): File {
  return { ...file, path: `${file.path}.gz`, content: gzip(new Uint8Array(file.content), 9) };
}

function md5(content: Uint8Array): string {
  return createHash("md5").update(content).digest("hex");
}

function script(path: string, text: string): File {
  return { ...textFile(path, text), executable: true };
}

const RELOAD = `#!/bin/sh
set -e
[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
`;

const DISABLE = `#!/bin/sh
set -e
# Disable the timers that somebody has enabled: without the program they would only fail. Running jobs go on.
if [ "$1" = remove ] && command -v systemctl >/dev/null; then
  for link in /etc/systemd/system/*.wants/orchesjob-clean.timer /etc/systemd/system/*.wants/orchesjob@*.timer; do
    [ -L "$link" ] || continue
    timer=\${link##*/}
    systemctl disable --quiet "$timer" || :
    [ ! -d /run/systemd/system ] || systemctl stop "$timer" || :
  done
fi
`;

function controlFile(architecture: string, kib: number): string {
  return `Package: orchesjob
Version: ${manifest.version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kib}
Depends: libc6 (>= 2.17)
Section: admin
Priority: optional
Description: ${manifest.description.replace(/:.*/, "")}
 A command starts once per run key: while a job of the key is active, every
 further start returns the same job. The job goes on when its caller dies or
 the SSH session breaks; its output, exit code and history are kept.
 .
 For cron, shell scripts and orchestrators that must be able to repeat a start
 safely.
`;
}

function changelog(epoch: number): string {
  const date = new Date(epoch * 1000).toUTCString().replace("GMT", "+0000");
  return `orchesjob (${manifest.version}) unstable; urgency=medium

  * See CHANGELOG.md, beside this file.

 -- ${MAINTAINER}  ${date}
`;
}

function copyright(files: readonly File[]): string {
  const license = new TextDecoder().decode(files.find(({ path }) => path === "LICENSE")!.content);
  const [, year, terms] = /(Copyright[^\n]*)\n+([\s\S]*)/.exec(license)!;
  const paragraph = terms!.trimEnd().split("\n");
  return `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: orchesjob
Comment: The executable contains the Bun runtime, which is under the MIT license,
 and with it libraries under their own licenses, such as JavaScriptCore (LGPL-2).
 See https://bun.com/docs/project/license

Files: *
Copyright: ${year!.replace(/^Copyright \(c\) /, "")}
License: Expat

License: Expat
${paragraph.map((line) => (line === "" ? " ." : ` ${line}`)).join("\n")}
`;
}

/**
 * Silences what lintian says of the Bun runtime, which we take as it is. It must not be stripped: our program follows the
 * symbols.
 */
const OVERRIDES = `orchesjob: unstripped-binary-or-object [usr/bin/orchesjob]
orchesjob: embedded-library * [usr/bin/orchesjob]
orchesjob: hardening-no-pie [usr/bin/orchesjob]
orchesjob: hardening-no-relro [usr/bin/orchesjob]
# Made without debhelper, whose helpers do not know which instances of a template are enabled.
orchesjob: maintainer-script-calls-systemctl *
`;
