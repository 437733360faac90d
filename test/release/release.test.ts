/**
 * A release for this machine, as `bun run release` makes it: its content, and how it works on Debian and under a
 * prefix.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import manifest from "../../package.json";
import { ar, gzip, tar, textFile } from "../../scripts/release/archive.ts";
import { makeRelease } from "../../scripts/release/make.ts";
import { type Target, TARGETS } from "../../scripts/targets.ts";
import { testWith } from "../support/needs.ts";
import { serveRelease } from "../support/release.ts";
import { type Finished, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { SystemdMachine } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

const NAME = `linux-${process.arch}`;
/** This machine's own target, so that nothing is downloaded. */
const TARGET: Target = {
  name: NAME,
  bun: `bun-${NAME}`,
  debian: process.arch === "arm64" ? "arm64" : "amd64",
};
const ARCHIVE = `orchesjob-${manifest.version}-${NAME}.tar.gz`;
const EPOCH = Date.UTC(2026, 0, 31, 12) / 1000;

const own = new Sandbox();
const release = join(own.directory, "release");

beforeAll(async () => {
  await makeRelease({
    root: ROOT,
    output: release,
    commit: "test",
    epoch: EPOCH,
    targets: [TARGET],
    say: () => {},
  });
}, 180_000);

afterAll(() => own[Symbol.asyncDispose]());

test("only targets that can run are released: Linux", () => {
  expect(TARGETS.filter(({ name, bun }) => !name.startsWith("linux-") || bun !== `bun-${name}`)).toEqual([]);
});

describe("the archive and package formats", () => {
  const FILES = [
    textFile("b/two", "2\n"),
    { ...textFile("one", "1"), executable: true },
    textFile("b/c/three", ""),
  ];

  test("have the same bytes whatever the order of the files, and tar(1) reads them", async () => {
    await using box = new Sandbox();
    const bytes = gzip(tar(FILES, "top/", EPOCH));
    expect(gzip(tar(FILES.toReversed(), "top/", EPOCH))).toEqual(bytes);
    writeFileSync(join(box.directory, "x.tar.gz"), bytes);
    const { stdout, stderr } = await box.execute(["tar", "--utc", "--numeric-owner", "-tvzf", "x.tar.gz"]);
    expect(stderr).toBe("");
    expect(stdout.replaceAll(/ +/g, " ").split("\n")).toEqual([
      "drwxr-xr-x 0/0 0 2026-01-31 12:00 top/",
      "drwxr-xr-x 0/0 0 2026-01-31 12:00 top/b/",
      "drwxr-xr-x 0/0 0 2026-01-31 12:00 top/b/c/",
      "-rw-r--r-- 0/0 0 2026-01-31 12:00 top/b/c/three",
      "-rw-r--r-- 0/0 2 2026-01-31 12:00 top/b/two",
      "-rwxr-xr-x 0/0 1 2026-01-31 12:00 top/one",
      "",
    ]);
    expect((await box.execute(["tar", "-xzOf", "x.tar.gz", "top/b/two", "top/one"])).stdout).toBe("2\n1");
  });

  test("refuse a name that is too long instead of truncating it", () => {
    expect(() => tar([textFile("x".repeat(101), "")], "", EPOCH)).toThrow("too long");
  });

  testWith(["ar"], "are read by ar(1)", async () => {
    await using box = new Sandbox();
    writeFileSync(join(box.directory, "x.a"), ar([textFile("odd", "123"), textFile("even", "12")], EPOCH));
    expect((await box.execute(["ar", "p", "x.a"])).stdout).toBe("12312");
  });
});

describe("a release", () => {
  test("has an archive, a package, the install script, and the checksums of all", async () => {
    expect(readdirSync(release).sort()).toEqual([
      "SHA256SUMS",
      "install.sh",
      ARCHIVE,
      `orchesjob_${manifest.version}_${TARGET.debian}.deb`,
    ]);
    const checked = await own.execute(["sha256sum", "--check", "--strict", "SHA256SUMS"], { cwd: release });
    expect(checked.stdout.match(/^.*: OK$/gm)).toHaveLength(3);
    expect(checked.code).toBe(0);
  });

  test("has the executable's accompanying files in its archive", async () => {
    const { stdout } = await own.execute(["tar", "-tzf", join(release, ARCHIVE)]);
    const names = stdout
      .trimEnd()
      .split("\n")
      .map((name) => name.slice(name.indexOf("/") + 1));
    for (const name of [
      ...[
        "orchesjob",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "docs/troubleshooting.md",
        "docs/guarantees.md",
        "man/orchesjob.1",
      ],
      ...["completions/orchesjob.bash", "completions/_orchesjob", "completions/orchesjob.fish"],
    ])
      expect(names).toContain(name);
    expect(names.filter((name) => /^systemd\/.*\.(service|timer)$/.test(name)).length).toBeGreaterThan(3);
  });

  test("is not made from uncommitted changes, nor for an unknown target", async () => {
    await using box = new Sandbox();
    const release = (...words: readonly string[]) =>
      box.execute([process.execPath, "copy/scripts/release.ts", ...words]);
    mkdirSync(join(box.directory, "copy"));
    await box.execute([
      "cp",
      "-R",
      join(ROOT, "scripts"),
      join(ROOT, "src"),
      join(ROOT, "package.json"),
      "copy",
    ]);
    await box.execute(["git", "init", "-q", "copy"]);
    expect(await release()).toMatchObject({ code: 1, stdout: "" });
    expect((await release()).stderr).toStartWith(
      "release: there are uncommitted changes; commit or remove them first:\n",
    );
    const other = await release("--commit", "x", "--targets", "linux-x64,plan9-mips");
    expect(other).toMatchObject({ code: 1, stdout: "" });
    expect(other.stderr).toStartWith('release: there is no target "plan9-mips"; there are: linux-x64, ');
  });
});

testWith(
  ["systemd", "dpkg"],
  "the Debian package installs, runs, enables nothing, and is removed completely, except for the jobs",
  async () => {
    await using box = new Sandbox();
    await using machine = await SystemdMachine.boot(box);
    const program = "/usr/bin/orchesjob";
    const file = join(box.directory, "orchesjob.deb");
    writeFileSync(file, readFileSync(join(release, `orchesjob_${manifest.version}_${TARGET.debian}.deb`)));
    const installed = await machine.must(["dpkg-query", "-W"]);

    await machine.must(["dpkg", "-i", file]);
    expect(await machine.must(["dpkg", "--verify", "orchesjob"])).toBe("");
    const paths = (await machine.must(["dpkg", "-L", "orchesjob"])).trimEnd().split("\n");
    const units = paths.filter((path) => /\/systemd\/.*\.(service|timer)$/.test(path));
    expect(units.map((path) => basename(path)).sort()).toEqual([
      "orchesjob-clean.service",
      "orchesjob-clean.timer",
      "orchesjob@.service",
      "orchesjob@.timer",
    ]);
    for (const unit of units) {
      expect(machine.readFile(unit)).not.toMatch(/^ExecStart=(?!\/usr\/bin\/orchesjob )/m);
      if (unit.endsWith(".timer"))
        expect((await machine.run(["systemctl", "is-enabled", basename(unit)])).stdout).toBe("disabled\n");
    }

    // A job continues although its program is removed; another copy of the program can read its result.
    const wait = "until [ -e /go ]; do sleep 0.05; done";
    await machine.must([program, "start", "--run-key", "long", "--", "sh", "-c", wait]);
    // A timer does not.
    await machine.must(["systemctl", "enable", "--now", "orchesjob-clean.timer", "orchesjob@x.timer"]);
    await machine.must(["dpkg", "-r", "orchesjob"]);
    await machine.must(["dpkg", "-P", "orchesjob"]);
    // A path that does not exist outside came with the package.
    expect(paths.filter((path) => !existsSync(path) && existsSync(machine.path(path)))).toEqual([]);
    expect(await machine.must(["dpkg-query", "-W"])).toBe(installed);
    expect(await machine.must(["find", "/etc/systemd/system", "-name", "*orchesjob*"])).toBe("");
    expect(await machine.must(["systemctl", "list-units", "--all", "-q", "*orchesjob*.timer"])).toBe("");
    expect(existsSync(machine.path("/var/lib/orchesjob/orchesjob.db"))).toBe(true);

    writeFileSync(machine.path("/go"), "");
    const done = await machine.json(["wait", "--run-key", "long"]);
    expect(done).toMatchObject({ status: "SUCCEEDED", finished_at_detected: false });
  },
  180_000,
);

describe("the install script", () => {
  const SCRIPT = readFileSync(join(ROOT, "scripts/install.sh"), "utf8");

  /** Piped into sh, as people do it. */
  function install(box: Sandbox, words: readonly string[], script = SCRIPT): Promise<Finished> {
    const env = { ORCHESJOB_RELEASE_URL: undefined, TMPDIR: box.directory };
    return box.execute(["sh", "-s", "--", ...words], { stdin: script, env });
  }

  /** The names of all files below, sorted. */
  function filesBelow(directory: string): string[] {
    if (!existsSync(directory)) return [];
    const entries = readdirSync(directory, { withFileTypes: true, recursive: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
      .sort();
  }

  test("installs a working executable from a URL, replaces it, removes it, and leaves nothing", async () => {
    await using box = new Sandbox();
    using server = serveRelease(release);
    const prefix = join(box.directory, "a prefix");
    mkdirSync(join(prefix, "bin"), { recursive: true });
    writeFileSync(join(prefix, "bin/orchesjob"), "the old one");
    writeFileSync(join(prefix, "bin/other"), "not ours");

    const first = await install(box, ["--prefix", prefix, "--target", NAME, server.url]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toMatch(
      /^installed orchesjob \S+ \(commit test, .*\nas .*\/a prefix\/bin\/orchesjob\nadd it to your PATH: /,
    );
    const program = join(prefix, "bin/orchesjob");
    expect((await box.execute([program, "run", "--run-key", "k", "--", "echo", "done"])).stdout).toBe(
      "done\n",
    );
    expect(filesBelow(prefix)).toEqual([
      "bin/orchesjob",
      "bin/other",
      "share/bash-completion/completions/orchesjob",
      "share/doc/orchesjob/CHANGELOG.md",
      "share/doc/orchesjob/LICENSE",
      "share/doc/orchesjob/README.md",
      ...filesBelow(join(ROOT, "docs")).map((name) => `share/doc/orchesjob/docs/${name}`),
      "share/fish/vendor_completions.d/orchesjob.fish",
      "share/man/man1/orchesjob.1",
      "share/zsh/site-functions/_orchesjob",
    ]);
    expect(readdirSync(box.directory).sort()).toEqual(["a prefix", "home"]);

    const removed = await install(box, ["--prefix", prefix, "--uninstall"]);
    expect(removed).toMatchObject({ code: 0, stderr: "" });
    expect(filesBelow(prefix)).toEqual(["bin/other"]);
    expect(existsSync(join(box.home, "orchesjob.db"))).toBe(true);
  });

  test.each([
    [
      "an archive with one byte changed",
      "tampered",
      / does not match SHA256SUMS: its checksum is \w{64}, not \w{64}; nothing was installed\n$/,
    ],
    ["an archive that is shorter, and says so", "shorter", / does not match SHA256SUMS/],
    ["a download that breaks off", "broken-off", /cannot get http/],
    ["checksums without a line for the archive", "no-line", /SHA256SUMS has no line for linux-/],
    ["checksums with two archives", "two-lines", /SHA256SUMS has more than one archive for linux-/],
    ["a release without checksums", "no-sums", /cannot get http.*SHA256SUMS\n$/],
  ] as const)("refuses %s, and touches nothing", async (_, fault, message) => {
    await using box = new Sandbox();
    using server = serveRelease(release, fault);
    const prefix = join(box.directory, "prefix");
    mkdirSync(join(prefix, "bin"), { recursive: true });
    writeFileSync(join(prefix, "bin/orchesjob"), "the old one");
    const answer = await install(box, ["--prefix", prefix, "--target", NAME, server.url]);
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toMatch(message);
    expect(filesBelow(prefix)).toEqual(["bin/orchesjob"]);
    expect(readFileSync(join(prefix, "bin/orchesjob"), "utf8")).toBe("the old one");
    expect(readdirSync(box.directory)).toEqual(["prefix"]);
  });

  test("refuses an executable that does not run here, and leaves the old one", async () => {
    await using box = new Sandbox();
    const prefix = join(box.directory, "prefix");
    const archive = `orchesjob-9.9-${NAME}`;
    const files = [{ ...textFile("orchesjob", "\x7fELF of another machine"), executable: true }];
    const bytes = gzip(tar(files, `${archive}/`, EPOCH));
    mkdirSync(join(box.directory, "release"));
    writeFileSync(join(box.directory, "release", `${archive}.tar.gz`), bytes);
    const sum = new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
    writeFileSync(join(box.directory, "release/SHA256SUMS"), `${sum}  ${archive}.tar.gz\n`);
    const answer = await install(box, ["--prefix", prefix, "--target", NAME, "release"]);
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toContain(`the executable for ${NAME} does not run here; nothing was installed`);
    expect(filesBelow(prefix)).toEqual([]);
  });

  test.each([
    ["bin/orchesjob", "bin/orchesjob/kept", "is a directory"],
    ["share/man/man1/orchesjob.1", "share/man/man1/orchesjob.1/kept", "is a directory"],
    ["bin", "bin", "is not a directory"],
    ["share/doc/orchesjob", "share/doc/orchesjob", "is not a directory"],
  ])("changes nothing if %s is in the way", async (place, kept, what) => {
    await using box = new Sandbox();
    const prefix = join(box.directory, "prefix");
    mkdirSync(dirname(join(prefix, kept)), { recursive: true });
    writeFileSync(join(prefix, kept), "");
    for (const words of [["--target", NAME, release], ["--uninstall"]])
      expect(await install(box, ["--prefix", prefix, ...words])).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `install.sh: ${prefix}/${place} ${what}; nothing was changed. Move it away, or choose another place: --prefix DIR\n`,
      });
    expect(filesBelow(prefix)).toEqual([kept]);
  });

  test("replaces a link, and leaves its target; a link to nowhere is not a directory", async () => {
    await using box = new Sandbox();
    const prefix = join(box.directory, "prefix");
    const page = join(prefix, "share/man/man1/orchesjob.1");
    mkdirSync(dirname(page), { recursive: true });
    writeFileSync(join(box.directory, "mine"), "mine");
    symlinkSync(join(box.directory, "mine"), page);
    symlinkSync("nowhere", join(prefix, "bin"));
    const words = ["--prefix", prefix, "--target", NAME, release];
    expect((await install(box, words)).stderr).toStartWith(`install.sh: ${prefix}/bin is not a directory; `);
    unlinkSync(join(prefix, "bin"));
    expect(await install(box, words)).toMatchObject({ code: 0, stderr: "" });
    expect(lstatSync(page).isFile()).toBe(true);
    expect(readFileSync(join(box.directory, "mine"), "utf8")).toBe("mine");
  });

  test.each([
    [["--prefix", ""], "--prefix is empty; is a variable not set?"],
    [["--prefix="], "--prefix is empty; is a variable not set?"],
    [["--prefix", "--uninstall"], "--prefix needs a value"],
    [["--prefix"], "--prefix needs a value"],
    [["--nonsense"], "there is no option --nonsense; see: install.sh --help"],
  ])("refuses %j, and touches nothing", async (words, sentence) => {
    await using box = new Sandbox();
    // The URL has no release, so that a script that fails to refuse cannot install into this machine either.
    const answer = await install(box, ["no-release", "--target", NAME, ...words]);
    expect(answer).toMatchObject({ code: 2, stdout: "", stderr: `install.sh: ${sentence}\n` });
    expect(readdirSync(box.directory)).toEqual([]);
  });

  test("installs for all users whatever the umask", async () => {
    await using box = new Sandbox();
    const prefix = join(box.directory, "prefix");
    const script = `umask 077\n${SCRIPT}`;
    expect((await install(box, ["--prefix", prefix, "--target", NAME, release], script)).code).toBe(0);
    for (const name of ["", ...readdirSync(prefix, { recursive: true, encoding: "utf8" })]) {
      const facts = statSync(join(prefix, name));
      const expected = facts.isDirectory() || name === "bin/orchesjob" ? 0o755 : 0o644;
      expect([name, (facts.mode & 0o777).toString(8)]).toEqual([name, expected.toString(8)]);
    }
  });

  test.each([".*", "a/b", "", "Linux-x64", "linux x64"])("refuses the target %j", async (target) => {
    await using box = new Sandbox();
    for (const words of [["--target", target], [`--target=${target}`]])
      expect(await install(box, ["--prefix=prefix", ...words, release])).toMatchObject({
        code: 2,
        stdout: "",
        stderr: `install.sh: a target consists of lower-case letters, digits and -, e.g. linux-x64-musl, not '${target}'\n`,
      });
    expect(readdirSync(box.directory)).toEqual([]);
  });

  test("accepts a value after = as well", async () => {
    await using box = new Sandbox();
    const answer = await install(box, ["--prefix=-a=b", "--target=no-such", release]);
    expect(answer).toMatchObject({
      code: 1,
      stderr: "install.sh: SHA256SUMS has no line for no-such\n",
    });
    expect(await install(box, ["--prefix=-a=b", `--target=${NAME}`, release])).toMatchObject({ code: 0 });
    expect(existsSync(join(box.directory, "-a=b/bin/orchesjob"))).toBe(true);
  });

  test.each([
    ["tar", "tar is needed"],
    ["gzip", "gzip is needed"],
    ["sha256sum", "sha256sum or shasum is needed"],
  ])("says before it does anything that %s is missing", async (missing, sentence) => {
    await using box = new Sandbox();
    mkdirSync(join(box.directory, "tools"));
    const tools =
      "cat chmod cp cut dirname env grep gzip head id ldd mkdir mktemp mv rm sed sha256sum tar uname wc";
    for (const tool of tools.split(" ").filter((tool) => tool !== missing)) {
      const path = Bun.which(tool);
      if (path !== null) symlinkSync(path, join(box.directory, "tools", tool));
    }
    const words = ["--prefix", join(box.directory, "prefix"), "--target", NAME, release];
    const answer = await box.execute([Bun.which("sh")!, "-s", "--", ...words], {
      stdin: SCRIPT,
      env: { PATH: join(box.directory, "tools"), TMPDIR: box.directory },
    });
    expect(answer).toMatchObject({
      code: 1,
      stdout: "",
      stderr: `install.sh: ${sentence}; nothing was installed\n`,
    });
    expect(readdirSync(box.directory)).toEqual(["tools"]);
  });

  testWith(["openssl", "curl"], "follows no redirect from https to http, but one from http", async () => {
    await using box = new Sandbox();
    using plain = serveRelease(release);
    const request = "req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=localhost";
    const made = await box.execute([
      "openssl",
      ...request.split(" "),
      "-addext",
      "subjectAltName=DNS:localhost",
    ]);
    expect(made.code).toBe(0);
    const fetch = (request: Request) => Response.redirect(plain.url + new URL(request.url).pathname);
    const [cert, key] = ["cert", "key"].map((name) => readFileSync(join(box.directory, name), "utf8"));
    await using safe = Bun.serve({ port: 0, hostname: "127.0.0.1", tls: { cert, key }, fetch });
    await using unsafe = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch });
    const from = (url: string) =>
      box.execute(["sh", "-s", "--", "--prefix", join(box.directory, "prefix"), "--target", NAME, url], {
        stdin: SCRIPT,
        env: {
          CURL_CA_BUNDLE: join(box.directory, "cert"),
          NO_PROXY: "*",
          no_proxy: "*",
          TMPDIR: box.directory,
        },
      });
    const refused = await from(`https://localhost:${safe.port}`);
    expect(refused).toMatchObject({ code: 1, stdout: "" });
    expect(refused.stderr).toMatch(/^curl: \(1\) Protocol "http" /);
    expect(existsSync(join(box.directory, "prefix"))).toBe(false);
    expect(await from(`http://localhost:${unsafe.port}`)).toMatchObject({ code: 0, stderr: "" });
  });

  testWith(["root"], "says before it downloads anything that it cannot write to the prefix", async () => {
    await using box = new Sandbox();
    const answer = await box.execute(
      [
        "setpriv",
        "--reuid=65534",
        "--clear-groups",
        "sh",
        "-s",
        "--",
        "--prefix",
        "/usr",
        "http://127.0.0.1:1",
      ],
      { stdin: SCRIPT, cwd: "/" },
    );
    expect(answer).toMatchObject({ code: 1, stdout: "" });
    expect(answer.stderr).toBe(
      "install.sh: cannot write to /usr/bin; become root (sudo), or choose another place: --prefix DIR\n",
    );
  });

  test("runs nothing if it was itself downloaded only in part", async () => {
    await using box = new Sandbox();
    const prefix = join(box.directory, "prefix");
    for (let length = 0; length < SCRIPT.length - 'main "$@"\n'.length; length += 997) {
      await install(box, ["--prefix", prefix, "--target", NAME, release], SCRIPT.slice(0, length));
      expect(readdirSync(box.directory)).toEqual([]);
    }
  });

  testWith(["root", "unshare"], "takes the baseline for a processor without AVX2", async () => {
    await using box = new Sandbox();
    writeFileSync(join(box.directory, "cpuinfo"), "flags : fpu sse4_2 avx\n");
    writeFileSync(join(box.directory, "SHA256SUMS"), "");
    const script = 'mount --bind cpuinfo /proc/cpuinfo && exec sh -s -- --prefix "$PWD/prefix" .';
    const answer = await box.execute(["unshare", "--mount", "sh", "-c", script], { stdin: SCRIPT });
    expect(answer.stderr).toBe(
      `install.sh: SHA256SUMS has no line for ${process.arch === "x64" ? "linux-x64-baseline" : NAME}\n`,
    );
  });
});
