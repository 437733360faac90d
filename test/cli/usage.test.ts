/** The command line: what it accepts, and what it refuses with exit 2 and a helpful sentence. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import manifest from "../../package.json";

setDefaultTimeout(TIMEOUT_MS);

const LONGEST_KEY = "é".repeat(512);

const REFUSED: readonly [what: string, words: readonly string[], message: RegExp | string][] = [
  ["an unknown command", ["strat", "--run-key", "k"], "did you mean start?"],
  ["the beginning of a command", ["stat"], "did you mean"],
  ["a command unlike any other", ["frobnicate-all"], "orchesjob --help"],
  ["an unknown option", ["start", "--runkey", "k", "--", "true"], "did you mean --run-key?"],
  ["an unknown option with a value", ["status", "--run-kye=k"], "did you mean --run-key?"],
  ["an unknown switch", ["clean", "--before", "2026-01-01", "--dryrun"], "did you mean --dry-run?"],
  ["an option unlike any other", ["logs", "--zzzzzzzzzzzz"], "orchesjob logs --help"],
  ["an option of another command", ["start", "--run-key", "k", "--stream", "stdout"], "no option --stream"],
  ["an option without its value", ["start", "--run-key"], "--run-key needs a value"],
  ["a switch with a value", ["start", "--run-key", "k", "--sync=yes", "true"], "--sync takes no value"],
  ["an option given twice", ["start", "--run-key", "a", "--run-key", "b", "--", "true"], "2 times"],
  ["no run key", ["start", "--", "true"], "--run-key KEY is required: orchesjob start --run-key KEY -- true"],
  ["nothing at all", ["start"], "is required: orchesjob start --run-key KEY -- COMMAND\n"],
  [
    "the run key as a word",
    ["start", "--sync", "x", "--", "echo", "$(true)"],
    "is required: orchesjob start --sync --run-key x -- echo '$(true)'\n",
  ],
  ["the end of an option's name", ["start", "--key", "k", "--", "true"], "did you mean --run-key?"],
  ["no run key and no --", ["start", "nightly", "echo"], "orchesjob start --run-key KEY nightly echo\n"],
  [
    "no run key: the line has all that was typed, quoted",
    ["start", "--sync", "--", "sh", "-c", "echo it's"],
    "orchesjob start --run-key KEY --sync -- sh -c 'echo it'\\''s'",
  ],
  [
    "-- in place of a value",
    ["start", "--run-key", "--", "true"],
    'needs a value, but "--" follows it (is a variable empty?); write: orchesjob start --run-key KEY -- true, or --run-key=-- if',
  ],
  [
    "an option in place of a value",
    ["start", "--run-key", "--timeout", "5", "--", "true"],
    'but "--timeout" follows it (is a variable empty?); write: orchesjob start --run-key KEY --timeout 5 -- true, or --run-key=--timeout if',
  ],
  [
    "an option with its value in place of a value",
    ["start", "--sync", "--run-key", "--timeout=5", "--", "true"],
    "write: orchesjob start --sync --run-key KEY --timeout=5 -- true, or",
  ],
  [
    "a value that begins with -",
    ["start", "--run-key", "-x", "--", "true"],
    'the value "-x" of --run-key begins with "-" like an option; write it after =: orchesjob start --run-key=-x -- true',
  ],
  ["a lone - as a run key", ["start", "--run-key", "-", "--", "true"], "orchesjob start --run-key=- -- true"],
  // A hint to write it after = would only lead to this message.
  ["a negative number", ["list", "--limit", "-1"], '--limit must be a whole number of at least 1, not "-1"'],
  ["a negative number of a short option", ["logs", "k", "-n", "-1"], "--tail must be a whole number of at"],
  [
    "negative retries",
    ["start", "--run-key", "k", "--retries", "-1", "true"],
    "from 0 to 1000, e.g. --retries 3",
  ],
  [
    "a negative duration",
    ["start", "--run-key", "k", "--start-timeout", "-1", "true"],
    'e.g. 90, 90s, 30m, 2h, 1d or 1h30m, not "-1"',
  ],
  ["a negative --keep", ["clean", "--keep", "-1"], '--keep must be a whole number of at least 0, not "-1"'],
  [
    "an option in place of a number",
    ["start", "--run-key", "k", "--retries", "--sync", "--", "true"],
    "orchesjob start --run-key k --retries N --sync -- true\n",
  ],
  ["an empty run key", ["start", "--run-key", "", "--", "true"], "run key is empty"],
  ["an empty run key after =", ["start", "--run-key=", "--", "true"], "run key is empty"],
  ["a run key of 1025 bytes", ["start", "--run-key", `${LONGEST_KEY}x`, "--", "true"], "1025 bytes"],
  ["a run key with a newline", ["start", "--run-key", "a\nb", "--", "true"], "control character"],
  ["a run key with DEL", ["start", "--run-key", "a\x7fb", "--", "true"], "control character"],
  ["a run key with a C1 control", ["start", "--run-key", "a\u0085b", "--", "true"], "control character"],
  ["no command", ["start", "--run-key", "k"], "command is required"],
  ["no command after --", ["start", "--run-key", "k", "--sync", "--"], "command is required"],
  ["an empty command", ["start", "--run-key", "k", "--", ""], "command is empty"],
  [
    "a timeout that is not a number",
    ["start", "--run-key", "k", "--start-timeout", "soon", "true"],
    "duration",
  ],
  ["a negative timeout", ["start", "--run-key", "k", "--start-timeout=-1", "true"], "duration"],
  ["no selector", ["status"], "--run-key KEY or --job-id ID is required"],
  ["two selectors", ["status", "--run-key", "k", "--job-id", "j"], "not both"],
  ["--all without a run key", ["status", "--all", "--job-id", "j"], "--all needs --run-key"],
  [
    "a word beside --run-key",
    ["status", "-k", "a b", "w"],
    `either the word "w" or --run-key 'a b', not both`,
  ],
  ["a word beside --job-id", ["logs", "w", "--job-id", "0199"], 'either the word "w" or --job-id 0199'],
  ["two words", ["logs", "nightly", "backup"], 'give one run key, not "nightly" and "backup"; quote a key'],
  ["an empty word", ["cancel", ""], "run key is empty"],
  ["a word with a newline", ["cancel", "a\nb"], "control character"],
  ["--attempt without a run key", ["status", "--attempt", "2"], "--run-key KEY or --job-id ID is required"],
  ["--attempt with --job-id", ["logs", "--job-id", "0199", "--attempt", "2"], "--attempt needs a run key"],
  ["--attempt 0", ["logs", "k", "--attempt", "0"], "--attempt must be a whole number of at least 1"],
  [
    "--attempt with --all",
    ["status", "k", "--all", "--attempt", "2"],
    "--all needs --run-key KEY, and nothing",
  ],
  ["--running with a word", ["status", "k", "--running"], "--running selects all active jobs"],
  [
    "two values of a label",
    ["list", "--label", "a=1", "--label", "a=2"],
    '--label a is given with "1" and "2"',
  ],
  ["an unknown short option", ["logs", "k", "-x"], "logs has no option -x"],
  ["a short option without its value", ["start", "-k"], "--run-key needs a value"],
  ["-- in place of the value of -k", ["start", "-k", "--", "true"], "(is a variable empty?)"],
  ["an option in place of the value of -k", ["logs", "-k", "-f"], "(is a variable empty?)"],
  ["a bad value of -n", ["logs", "k", "-nx"], '--tail must be a whole number of at least 0, not "x"'],
  ["-k and --run-key", ["start", "-k", "a", "--run-key", "b", "true"], "--run-key is given 2 times"],
  ["short options in one word", ["logs", "k", "-fn", "5"], "write each option on its own"],
  ["a long option with one dash", ["logs", "k", "-follow"], "did you mean --follow?"],
  ["a long option with one dash and =", ["logs", "k", "-stream=stderr"], "did you mean --stream?"],
  [
    "an unknown field",
    ["list", "--fields", "run_key,stauts"],
    'there is no field "stauts"; did you mean status?',
  ],
  ["a field unlike any other", ["ps", "--fields", "zzzzzzzzzzz"], "write names with commas between them"],
  [
    "several values in one",
    ["list", "--status", "failed,lost"],
    'or CANCELLED, not "failed,lost"; one of them; where several are allowed, repeat the option\n',
  ],
  ["no field", ["status", "k", "--fields", ""], 'there is no field ""'],
  ["a field twice", ["list", "--fields", "status,status"], 'names "status" twice'],
  ["a blank between fields", ["list", "--fields", "run_key, status"], "did you mean status?"],
  ["a format that only lists have", ["doctor", "--format", "csv"], "--format must be json or table"],
  ["a word where none is taken", ["metrics", "extra"], 'metrics takes no "extra"'],
  ["an unknown stream", ["logs", "--run-key", "k", "--stream", "stdin"], "stdout, stderr or both"],
  [
    "clean without a limit",
    ["clean"],
    "needs a limit: --before DATETIME, --older-than DURATION, --keep N or",
  ],
  ["clean with no time", ["clean", "--before", ""], "not a date or time"],
];

describe("refused with exit 2 and one line, and nothing is done", () => {
  test.each(REFUSED)("%s", async (_, words, message) => {
    await using box = new Sandbox();
    expectFailure(await box.run(words), 2, message);
    expect(existsSync(box.home)).toBe(false);
  });

  test("without words the help goes to stderr", async () => {
    await using box = new Sandbox();
    const result = await box.run([]);
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toContain("Usage: orchesjob COMMAND");
  });
});

const UNDERSTOOD: readonly [what: string, words: readonly string[], command: readonly string[]][] = [
  ["--opt=value", ["--run-key=k", "--sync", "--", "echo", "a"], ["echo", "a"]],
  ["a value with = in it", ["--run-key=k", "--sync", "--start-timeout=1.5", "echo", "x=y"], ["echo", "x=y"]],
  [
    "options before a word that is not an option",
    ["--sync", "--run-key", "k", "echo", "--sync"],
    ["echo", "--sync"],
  ],
  [
    "options of orchesjob after the command",
    ["--run-key", "k", "--sync", "echo", "--help", "--run-key", "z"],
    ["echo", "--help", "--run-key", "z"],
  ],
  ["a second --", ["--run-key", "k", "--sync", "--", "echo", "--", "b"], ["echo", "--", "b"]],
  ["a -- after the command", ["--run-key", "k", "--sync", "echo", "--", "b"], ["echo", "--", "b"]],
];

describe("accepted", () => {
  test.each(UNDERSTOOD)("%s", async (_, words, command) => {
    await using box = new Sandbox();
    const answer = await box.json(["start", ...words]);
    expect(answer).toMatchObject({ run_key: "k", command: [...command], status: "SUCCEEDED" });
    const printed = command.slice(1).join(" ");
    expect((await box.run(["logs", "--run-key=k", "--stream=stdout"])).stdout).toBe(`${printed}\n`);
  });

  test.each([
    ["a dash", "-"],
    ["the name of an option", "--run-key"],
    ["an equals sign", "k=v"],
    ["a path and a blank", "a/../b c"],
    ["what a shell would expand", "%s$(id)'\"*"],
    ["other scripts and emoji", "日本語 🎉"],
    ["1024 bytes", LONGEST_KEY],
  ])("a run key: %s", async (_, key) => {
    await using box = new Sandbox();
    const given = key.startsWith("-") ? [`--run-key=${key}`] : ["--run-key", key];
    const started = await box.json(["start", ...given, "--sync", "--", "true"]);
    expect(started).toMatchObject({ run_key: key, status: "SUCCEEDED" });
    expect(await box.json(["status", `--run-key=${key}`])).toMatchObject({ run_key: key });
  });

  test("run keys that differ by a blank or by case are different", async () => {
    await using box = new Sandbox();
    const ids = new Set<string>();
    for (const key of ["k", "K", "k ", " k"])
      ids.add((await box.json(["start", "--run-key", key, "--sync", "--", "true"])).job_id);
    expect(ids.size).toBe(4);
    expect(await box.json(["status", "--run-key", "k "])).toMatchObject({ run_key: "k ", attempt_no: 1 });
  });
});

describe("help and version", () => {
  test("--help names every command and exit code, on stdout, and touches nothing", async () => {
    await using box = new Sandbox();
    const result = await box.run(["--help"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    for (const word of ["start", "status", "logs", "clean", "--version", "ORCHESJOB_HOME", "5  lock error"])
      expect(result.stdout).toContain(word);
    for (const topic of ["help", "--help"])
      expect(await box.run(["help", topic])).toMatchObject({ code: 0, stdout: result.stdout });
    expect(result.stdout).not.toContain("_worker");
    expect(existsSync(box.home)).toBe(false);
  });

  test.each([
    ["start", ["--run-key KEY", "--sync", "--start-timeout", "COMMAND [ARGS...]"]],
    ["status", ["--run-key KEY", "--job-id ID", "--all"]],
    ["logs", ["--run-key KEY", "--job-id ID", "--stream"]],
    ["clean", ["--before DATETIME", "--older-than", "--keep N", "--max-log-bytes SIZE", "--dry-run"]],
    ["doctor", ["--fix", "--format"]],
  ])("%s --help has its options and an example", async (command, words) => {
    await using box = new Sandbox();
    const result = await box.run([command, "--help"]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    for (const word of [...words, `Usage: orchesjob ${command}`]) expect(result.stdout).toContain(word);
    expect(result.stdout).toMatch(new RegExp(`Examples:\n  orchesjob ${command} `));
    expect(existsSync(box.home)).toBe(false);
  });

  test("no line is longer than 80 characters, but for examples, which people copy", async () => {
    await using box = new Sandbox();
    const { stdout: help } = await box.run(["--help"]);
    const commands = [...help.matchAll(/^  ([a-z]+)  +[A-Z]/gm)].map((match) => match[1]!);
    expect(commands).toContain("completion");
    const texts = await Promise.all(
      commands.map(async (name) => (await box.run([name, "--help"])).stdout.replace(/\nExamples:[^]*/, "")),
    );
    for (const line of [help, ...texts].join("\n").split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  test("--version names version, commit and Bun's version", async () => {
    await using box = new Sandbox();
    const { code, stdout, stderr } = await box.run(["--version"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^orchesjob \S+ \(commit ([0-9a-f]{12}|unknown), bun \d+\.\d+\.\d+\)\n$/);
    expect(stdout).toStartWith(`orchesjob ${manifest.version} (`);
  });
});
