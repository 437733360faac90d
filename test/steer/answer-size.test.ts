/**
 * The answer of commands that start a job stays below 16 kB whatever was asked: some clients read the pipe only after
 * the exit.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

/** The second start returns the finished job. */
const RETURN = ["--if-succeeded", "return", "--if-failed", "return"];

const MOST = 16_000;
const LONG = "x".repeat(100_000);
/** With a recognizable middle, because the answer cuts there. */
const MANY = Array.from({ length: 20_000 }, (_, index) => String(index));

interface Shortened extends JobAnswer {
  readonly command_shortened: boolean;
  readonly command_matches: boolean;
}

const COMMANDS: readonly [what: string, command: readonly string[]][] = [
  ["an argument of 100 kB", ["true", LONG]],
  ["20,000 arguments", ["true", ...MANY]],
  ["an argument that JSON makes six times as long", ["true", "\u0001".repeat(50_000)]],
  ["the name of the program", [LONG]],
  ["a path to the program", [`/${LONG}`]],
];

describe.each(COMMANDS)("%s", (_, command) => {
  test("start, a second start, and rerun print a short answer; status has the whole", async () => {
    await using box = new Sandbox();
    const same = ["start", "--run-key", "k", ...RETURN, "--sync", "--", ...command];
    for (const words of [same, same, ["rerun", "--run-key", "k", "--sync"]]) {
      const { code, stdout } = await box.run(words);
      expect(code).toBe(0);
      expect(Buffer.byteLength(stdout)).toBeLessThan(MOST);
      const answer = JSON.parse(stdout) as Shortened;
      expect(answer).toMatchObject({ command_shortened: true, command_matches: true });
      expect(answer.command.length).toBeGreaterThan(0);
    }
    expect((await box.json(["status", "--run-key", "k"])).command).toEqual(command);
  });
});

test("a directory of 100 kB that does not exist", async () => {
  await using box = new Sandbox();
  const { stdout } = await box.run(["start", "--run-key", "k", "--cwd", `/${LONG}`, "--", "true"]);
  expect(Buffer.byteLength(stdout)).toBeLessThan(MOST);
  expect(JSON.parse(stdout)).toMatchObject({ status: "FAILED", exit_code: -1 });
  expect(await box.json<{ cwd: string }>(["status", "--run-key", "k"])).toMatchObject({ cwd: `/${LONG}` });
});

test("everything at its limit", async () => {
  await using box = new Sandbox();
  const options = [
    "--request-id",
    "r".repeat(1024),
    "--label",
    `l=${"v".repeat(4000)}`,
    "--env",
    `E=${LONG}`,
  ];
  const { stdout } = await box.run(["start", "--run-key", "é".repeat(512), ...options, "--", "true", LONG]);
  expect(Buffer.byteLength(stdout)).toBeLessThan(MOST);
});

test("a client that reads only after the exit gets the whole answer", async () => {
  await using box = new Sandbox();
  // Waits for the exit code first, then reads the answer, which must fit in the pipe.
  const script = `mkfifo answer; exec 3<>answer; "$0" start --run-key k -- true "$1" >&3; echo $?; dd bs=65536 count=1 <&3 2>/dev/null`;
  const { stdout } = await shell(box, script, { words: [LONG] });
  expect(stdout).toStartWith("0\n{");
  expect(JSON.parse(stdout.slice(2))).toMatchObject({ accepted: true });
});

test("a command that is short enough is printed whole", async () => {
  await using box = new Sandbox();
  const command = ["true", "y".repeat(3_000), "", "\n"];
  const answer = await box.json<Shortened>(["start", "--run-key", "k", "--", ...command]);
  expect(answer).toMatchObject({ command, command_shortened: false });
});
