/** stdout and stderr that are full, closed or slow: never a false success, never a stack trace. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { Database } from "bun:sqlite";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";

setDefaultTimeout(TIMEOUT_MS);

const ANSWERS = [
  ["status", "status --run-key k"],
  ["status --all", "status --run-key k --all"],
  ["logs", "logs --run-key k"],
  ["attach --format json", "attach --run-key k --format json"],
  ["start", "start --run-key n --sync -- echo x"],
  ["ps", "ps"],
  ["list --format csv", "list --format csv"],
  ["report", "report"],
  ["clean", "clean --before 2000-01-01"],
  ["--help", "--help"],
  ["--version", "--version"],
] as const;

describe("an answer that cannot be written is an error", () => {
  test.each(ANSWERS)("%s > /dev/full", async (_, words) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "x"]);
    const result = await shell(box, `"$0" ${words} >/dev/full`);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^orchesjob: cannot write: no space left on device[^\n]*\n$/);
  });
});

test("start whose answer is lost has still started the job", async () => {
  await using box = new Sandbox();
  expect((await shell(box, `"$0" start --run-key k --sync -- echo done >/dev/full`)).code).toBe(1);
  expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED", attempt_no: 1 });
});

describe("closed descriptors", () => {
  test.each([">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])(
    "start %s harms neither job nor database",
    async (closed) => {
      await using box = new Sandbox();
      const script = `"$0" start --run-key k --sync -- sh -c 'cat; echo out; echo err >&2' ${closed}`;
      expect((await shell(box, script)).stderr).toBe("");
      expect(await box.json(["status", "--run-key", "k"])).toMatchObject({ status: "SUCCEEDED" });
      expect((await box.run(["logs", "--run-key", "k"])).stdout).toBe("out\n");
      expect((await box.run(["logs", "--run-key", "k", "--stream", "stderr"])).stdout).toBe("err\n");
      // Neither the answer nor the message went into a file that happened to get descriptor 1 or 2.
      using database = new Database(`${box.home}/orchesjob.db`);
      expect(database.query("pragma integrity_check").get()).toEqual({ integrity_check: "ok" });
    },
  );

  test("a failure with stderr closed keeps its exit code", async () => {
    await using box = new Sandbox();
    expect(await shell(box, `"$0" status --run-key none 2>&-`)).toMatchObject({ code: 3, stdout: "" });
    expect(await shell(box, `"$0" status --run-key none 2>/dev/full`)).toMatchObject({ code: 3, stdout: "" });
  });
});

test("a long answer arrives whole at a slow reader on a non-blocking pipe", async () => {
  await using box = new Sandbox();
  const words = Array.from({ length: 60 }, (_, index) => String(index).padStart(5000, "x"));
  await box.json(["start", "--run-key", "k", "--sync", "--", "true", ...words]);
  // dd makes the writing end non-blocking, as another writer of the same pipe may.
  const result = await shell(
    box,
    `{ dd oflag=nonblock if=/dev/null status=none; "$0" status --run-key k; } | { sleep 0.2; cat; }`,
  );
  expect((JSON.parse(result.stdout) as { command: string[] }).command).toEqual(["true", ...words]);
});

describe("a job's output arrives whole, wherever it goes", () => {
  const LINES = 60_000;
  const OUTPUT = Array.from({ length: LINES }, (_, index) => `${index + 1}\n`).join("");
  const DESTINATIONS = [
    // Two that the kernel does not copy to by itself (see linux/transfer.ts), and some that it does.
    ["to a file that is appended to", (words: string) => `echo first >f; ${words} >>f; tail -n +2 f`],
    [
      "to a pipe that does not block",
      (words: string) => `{ dd oflag=nonblock if=/dev/null status=none; ${words}; } | { sleep 0.1; cat; }`,
    ],
    ["to a pipe", (words: string) => `${words} | cat`],
    ["to a file", (words: string) => `${words} >f; cat f`],
  ] as const;
  const COMMANDS = [
    ["logs", '"$0" logs --run-key k'],
    ["logs --follow", '"$0" logs --run-key k --follow'],
    ["run", `"$0" run --run-key other -- seq ${LINES}`],
  ] as const;
  test.each(DESTINATIONS)("%s", async (_, script) => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "seq", String(LINES)]);
    for (const [name, words] of COMMANDS) {
      const { code, stdout, stderr } = await shell(box, script(words));
      expect({ name, code, stderr, whole: stdout === OUTPUT }).toEqual({
        name,
        code: 0,
        stderr: "",
        whole: true,
      });
    }
  });
});
