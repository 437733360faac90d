/**
 * Tables for people: they fit the terminal, show what matters, and contain no control characters. JSON stays the
 * default.
 */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { edit } from "../support/database.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { CTRL_C, onTerminal, plainLines, type ScreenOptions } from "../support/terminal.ts";

setDefaultTimeout(TIMEOUT_MS);

const WIDE = "日本語の長い名前".repeat(6);
const LONG = ["echo", "x".repeat(300), "a b", "it's"];

async function fill(box: Sandbox): Promise<void> {
  await box.json(["start", "--run-key", "k", "--sync", "--", "sh", "-c", "exit 3"]);
  await box.json(["start", "--run-key", WIDE, "--sync", "--", ...LONG]);
}

async function table(box: Sandbox, words: readonly string[], options: ScreenOptions = {}): Promise<string> {
  const screen = onTerminal(box, [...words, "--format", "table"], options);
  expect(await screen.ended()).toBe(0);
  return screen.shown();
}

describe("on a terminal", () => {
  test.each([24, 30, 40, 60, 80, 100, 132, 200])("of %d columns no line is longer", async (columns) => {
    await using box = new Sandbox();
    await fill(box);
    const lines = plainLines(await table(box, ["list"], { columns }));
    expect(lines.length).toBe(3);
    for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(columns);
    expect(lines[0]).toMatch(/^RUN KEY +.*STATUS/);
    expect(lines[1]).toMatch(/^日本.*SUCCEEDED/);
    expect(lines[2]).toMatch(/^k .*FAILED/);
  });

  test("with enough room nothing is left out, and what is too long is cut in the middle", async () => {
    await using box = new Sandbox();
    await fill(box);
    const { job_id: id } = await box.json(["status", "--run-key", "k"]);
    const [head, , row] = plainLines(await table(box, ["list"], { columns: 250 }));
    expect(head).toMatch(/^RUN KEY +ATTEMPT +STATUS +EXIT +STARTED +TOOK +JOB ID +COMMAND$/);
    expect(row).toMatch(new RegExp(`^k +1 +FAILED +3 +\\d+s ago +0s +${id} +sh -c 'exit 3'$`));
    const [, wide] = plainLines(await table(box, ["list"], { columns: 350 }));
    expect(wide).toMatch(/echo x+…x+ 'a b' 'it'\\''s'$/);
  });
});

describe("of 80 columns", () => {
  test("it has every column but the attempt, and a short job id that commands understand", async () => {
    await using box = new Sandbox();
    await fill(box);
    const { job_id: id } = await box.json(["status", "--run-key", "k"]);
    const [head, , row] = plainLines(await table(box, ["list"], { columns: 80 }));
    expect(head).toMatch(/^RUN KEY +STATUS +EXIT +STARTED +TOOK +JOB ID +COMMAND$/);
    const short = row!.split(/ {2,}/)[5]!;
    expect(short).toBe(id.slice(0, 13));
    for (const words of [[short], ["--job-id", short]])
      expect(await box.json(["status", ...words])).toMatchObject({ job_id: id });
  });

  test("short job ids are as long as it takes to tell the jobs apart", async () => {
    await using box = new Sandbox();
    await fill(box);
    edit(box, "update job_records set job_id = '01a20fd5-733f-7698-861e-48a659795e65' where run_key = 'k'");
    edit(box, "update job_records set job_id = '01a20fd5-733f-7abc-861e-48a659795e65' where run_key <> 'k'");
    const lines = plainLines(await table(box, ["list"], { columns: 80 }));
    expect(lines.slice(1).map((line) => /01a2\S+/.exec(line)![0])).toEqual([
      "01a20fd5-733f-7a",
      "01a20fd5-733f-76",
    ]);
  });
});

describe("colour", () => {
  const COLOR = "\u001b[31mFAILED";
  test("on a terminal a table has colours", async () => {
    await using box = new Sandbox();
    await fill(box);
    expect(await table(box, ["status", "--run-key", "k"], { columns: 160 })).toContain(COLOR);
    expect(await table(box, ["list"], { env: { NO_COLOR: "" } })).toContain(COLOR);
  });

  test("NO_COLOR, or no terminal, means no colours", async () => {
    await using box = new Sandbox();
    await fill(box);
    expect(await table(box, ["list"], { env: { NO_COLOR: "1" } })).not.toContain("\u001b");
    const { stdout } = await box.run(["list", "--format", "table"], { env: { NO_COLOR: undefined } });
    expect(stdout).toContain("FAILED");
    expect(stdout).not.toContain("\u001b");
  });
});

describe("what a job carries does not reach a terminal as it is", () => {
  // Moves, colours, rings, reverses, hides; and a name in a family of emoji, which is legitimate.
  const EVIL =
    "\u001b[2J\u001b]0;title\u0007\r\n\t\b\u009b31m\u202egnp.exe\u2066\u007f\u200b\ufeff\u2028\u{e0041}";
  const KEY = "k\u202e\u200b\u{e0041}\u2028";
  const UNSAFE =
    /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\udb40[\udc00-\udcff]/;
  const start = (box: Sandbox) =>
    box.json(["start", "-k", KEY, "--label", `note=${EVIL}`, "--sync", "--", "echo", EVIL]);

  test("in any format", async () => {
    await using box = new Sandbox();
    const job = await start(box);
    const csv = ["list", "--fields", "run_key,command,labels", "--format", "csv"];
    for (const words of [
      ["list"],
      ["ps"],
      ["list", "--fields", "run_key,labels,command"],
      ["list", "--format", "json"],
      ["list", "--format", "jsonl"],
      csv,
      ["status", job.job_id],
      ["result", job.job_id],
      ["attach", job.job_id, "--format", "json"],
      ["metrics", "--label", "note"],
      ["doctor"],
      ["_complete", "run-key"],
      ["_complete", "job-id"],
    ]) {
      const screen = onTerminal(box, words, { columns: 250, env: { NO_COLOR: "1" } });
      const code = await screen.ended();
      // The terminal itself ends lines in CR and LF, and _complete has a tab in each.
      const text = screen.shown().replaceAll(/\r+\n|(?<=^[0-9a-f-]{36})\t/g, "\n");
      expect({ words, code, unsafe: UNSAFE.exec(text)?.[0] }).toEqual({ words, code: 0, unsafe: undefined });
      if (!words.includes("run-key")) expect(text).toContain("k");
    }
    // JSON says the same; CSV keeps its bytes where no terminal shows them.
    expect(job).toMatchObject({ run_key: KEY, labels: { note: EVIL }, command: ["echo", EVIL] });
    const { stdout } = await box.run(csv);
    expect(stdout).toStartWith(`run_key,command,labels\r\n${KEY},`);
    expect(stdout).not.toMatch(/[\u0007\u001b]/);
    expect((await box.run(["status", KEY])).stdout).not.toMatch(UNSAFE);
    // The output itself is the job's.
    expect((await box.run(["logs", KEY])).stdout).toBe(`${EVIL}\n`);
  });

  test("also where a table is a stream of lines", async () => {
    await using box = new Sandbox();
    await start(box);
    const lines = (await box.run(["status", KEY, "--format", "table"])).stdout.trimEnd().split("\n");
    expect(lines).toEqual([expect.stringContaining("RUN KEY"), expect.stringContaining("gnp.exe")]);
    expect(lines[1]).not.toMatch(UNSAFE);
  });
});

test("on any terminal no line is longer than it, however narrow it is and however many fields are wanted", async () => {
  await using box = new Sandbox();
  await fill(box);
  await box.json(["start", "-k", "👨\u200d👩\u200d👧❤\ufe0f", "--sync", "--", "true"]);
  const names = Object.keys(await box.json<object>(["status", "k"])).join(",");
  for (const [columns, env, most] of [
    [1, {}, 1],
    [5, {}, 5],
    [13, {}, 13],
    [19, {}, 19],
    [0, {}, 80],
    [0, { COLUMNS: "60" }, 60],
    [80, {}, 80],
  ] as const)
    for (const fields of [[], ["--fields", names], ["--fields", "job_id,started_at,exit_code"]]) {
      const lines = plainLines(await table(box, ["list", ...fields], { columns, env }));
      expect(lines).toHaveLength(4);
      for (const line of lines) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(most);
      // Terminals do not agree on the width of joined emoji.
      expect(lines.join("")).not.toMatch(/[\u200d\ufe0f]/);
      if (fields.length > 0 && columns >= 13 && fields[1] === names) expect(lines[0]).toEndWith("…");
      if (columns === 80 && fields.length > 0 && fields[1] !== names)
        expect(lines[0]).toMatch(/^JOB ID +STARTED AT +EXIT CODE$/);
    }
});

test("ages and durations are printed as people say them", async () => {
  await using box = new Sandbox();
  await fill(box);
  const micro = (seconds: number) => Math.round((Date.now() / 1000 - seconds) * 1e6);
  const ages = [
    [5, 3, "5s ago", "2s"],
    [192, 0, "3m12s ago", "3m12s"],
    [7_500, 3_900, "2h5m ago", "1h"],
    [2 * 86_400 + 3 * 3_600 + 60, 2 * 86_400, "2d3h ago", "3h1m"],
  ] as const;
  for (const [from, to, age, took] of ages) {
    edit(
      box,
      `update job_records set started_at = ${micro(from)}, finished_at = ${micro(to)} where run_key = 'k'`,
    );
    const [, row] = plainLines((await box.run(["status", "--run-key", "k", "--format", "table"])).stdout);
    // On a loaded machine it may have taken a second longer.
    const late = age.replace(
      /(\d+)s ago/,
      (_, seconds) => `(${seconds}|${Number(seconds) + 1}|${Number(seconds) + 2})s ago`,
    );
    expect(row).toMatch(new RegExp(` ${late} +${took} `));
  }
});

test("JSON stays what status prints, on a terminal as well", async () => {
  await using box = new Sandbox();
  await fill(box);
  for (const words of [
    ["status", "--run-key", "k"],
    ["status", "--run-key", "k", "--all"],
  ]) {
    const screen = onTerminal(box, words);
    expect(await screen.ended()).toBe(0);
    expect(screen.shown().replaceAll("\r\n", "\n")).toBe((await box.run(words)).stdout);
  }
});

test("an empty list is a table without rows", async () => {
  await using box = new Sandbox();
  const { stdout } = await box.run(["list", "--format", "table"]);
  expect(plainLines(stdout)).toEqual([expect.stringMatching(/^RUN KEY/)]);
});

describe("list --watch", () => {
  test("shows what changes, in place, until Ctrl-C", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "k", gate);
    const screen = onTerminal(box, ["list", "--watch"]);
    await until("it is shown to run", () => screen.shown().includes("RUNNING"));
    gate.open();
    await until("it is shown to have ended", () => screen.shown().includes("SUCCEEDED"));
    screen.type(CTRL_C);
    expect(await screen.ended()).toBe(0);
    // In place: the cursor goes home for every picture, and the screen is never cleared whole.
    expect(screen.shown().split("\u001b[H").length).toBeGreaterThan(2);
    expect(screen.shown()).not.toContain("\u001b[2J");
  });

  /** The first words of the lines of a picture. */
  async function watched(box: Sandbox, words: readonly string[], rows: number): Promise<string[]> {
    const screen = onTerminal(box, ["list", "--watch", ...words], { rows });
    await until("two pictures are shown", () => screen.shown().split("RUN KEY").length > 3);
    screen.type(CTRL_C);
    expect(await screen.ended()).toBe(0);
    // After the last line, each picture clears the rest of the screen.
    const picture = screen.shown().split("\u001b[H")[2]!.split("\u001b[J")[0]!;
    return plainLines(picture).map((line) => (line.startsWith("…") ? line : line.split(" ")[0]!));
  }

  test("shows no more rows than the terminal has, and says how many more there are", async () => {
    await using box = new Sandbox();
    for (let number = 1; number <= 6; number++)
      await box.json(["start", "--run-key", `k${number}`, "--sync", "--", "true"]);
    expect(await watched(box, [], 6)).toEqual(["RUN", "k6", "k5", "k4", "… 3 more"]);
    expect(await watched(box, ["-n", "4"], 5)).toEqual(["RUN", "k6", "k5", "… 2 more, and older ones"]);
    expect(await watched(box, [], 8)).toEqual(["RUN", "k6", "k5", "k4", "k3", "k2", "k1"]);
  });

  test("keeps active jobs on top, however old they are", async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await startWaiting(box, "old", gate);
    await startWaiting(box, "young", gate);
    for (const key of ["k1", "k2", "k3"]) await box.json(["start", "-k", key, "--sync", "--", "true"]);
    expect(await watched(box, ["-n", "3"], 24)).toEqual(["RUN", "young", "old", "k3"]);
    expect(await watched(box, ["--status", "succeeded"], 24)).toEqual(["RUN", "k3", "k2", "k1"]);
    gate.open();
    for (const key of ["old", "young"]) await box.json(["wait", key]);
  });
});
