/** What `top` makes of keys and jobs, without a terminal: keys, lines, pictures, and what is sent to draw them. */
import { describe, expect, test } from "bun:test";
import { KeyReader } from "../../src/cli/top/keys.ts";
import { cutToWidth, type Line } from "../../src/cli/top/line.ts";
import { bar, type Look, lookOf } from "../../src/cli/top/look.ts";
import {
  chosenJob,
  current,
  type Data,
  type Effect,
  initialState,
  type Row,
  settle,
  type State,
  withCurrent,
} from "../../src/cli/top/model.ts";
import { Painter } from "../../src/cli/top/painter.ts";
import { press } from "../../src/cli/top/press.ts";
import { draw } from "../../src/cli/top/screen.ts";
import { acceptedJob, type Job } from "../../src/job/job.ts";
import { NO_LIMITS } from "../../src/job/limits.ts";

const NOW = 1_800_000_000_000_000;
const SECOND = 1_000_000;
const UTF8: Look = lookOf({ TERM: "xterm-256color", LANG: "C.UTF-8" })!;
const VT100: Look = lookOf({ TERM: "vt100" })!;

let made = 0;

function job(runKey: string, more: Partial<Job> = {}): Job {
  const accepted = acceptedJob(
    {
      ...{ jobId: `job-${++made}`, runKey, attemptNo: 1, command: ["sleep", "60"], cwd: "/", env: [] },
      ...{ labels: new Map(), timeoutMs: null, requestId: null, rerunOfJobId: null, rerunReason: null },
      ...{ scope: "auto", properties: [], onExit: null, onFailure: null, limits: NO_LIMITS, output: "file" },
      ...{ stdin: null, token: "", onPartition: null, retry: null },
      origin: { host: "web-1", bootId: "", pidNamespace: "" },
      worker: { pid: 0, startTicks: 0 },
    },
    NOW - 65 * SECOND,
  );
  return { ...accepted, ...more };
}

const running = (runKey: string, lastLine: string | null = null, more: Partial<Job> = {}): Row => ({
  job: job(runKey, { status: "RUNNING", ...more }),
  last: { quietMs: 3_000, lastLine },
  usual: {
    runs: 9,
    succeeded: 9,
    median: 30 * SECOND,
    p95: 40 * SECOND,
    shortest: SECOND,
    longest: 40 * SECOND,
  },
});

const ended = (runKey: string, more: Partial<Job> = {}): Row => ({
  job: job(runKey, { status: "SUCCEEDED", finishedAt: NOW - 5 * SECOND, exitCode: 0, ...more }),
  last: undefined,
  usual: undefined,
});

function data(active: readonly Row[], over: readonly Row[], more: Partial<Data> = {}): Data {
  return {
    at: NOW,
    revision: 1,
    place: "/state",
    active,
    ended: over,
    members: undefined,
    problem: undefined,
    ...more,
  };
}

const start = (given: Data, columns = 80, rows = 24): State => initialState({ columns, rows }, given);

function pressAll(state: State, ...keys: readonly string[]): { state: State; effects: Effect[] } {
  const effects: Effect[] = [];
  for (const key of keys) {
    const pressed = press(state, key);
    state = pressed.state;
    if (pressed.effect !== undefined) effects.push(pressed.effect);
  }
  return { state, effects };
}

const plain = (line: Line) =>
  line
    .map(({ text }) => text)
    .join("")
    .trimEnd();
const screen = (state: State, look = UTF8) => draw(state, look).lines.map(plain);

describe("keys", () => {
  const read = (...chunks: readonly string[]) => {
    const reader = new KeyReader();
    const keys = chunks.flatMap((chunk) => reader.feed(new TextEncoder().encode(chunk)));
    return { keys, rest: reader.isPending ? reader.flush() : undefined };
  };

  test("characters, controls and sequences", () => {
    expect(read("aé日\r\t\u007f\u0003\u001a").keys).toEqual([
      "a",
      "é",
      "日",
      "enter",
      "tab",
      "backspace",
      "ctrl-c",
      "ctrl-z",
    ]);
    expect(read("\u001b[A\u001bOB\u001b[5~\u001b[1;5H\u001b[4~x").keys).toEqual([
      "up",
      "down",
      "pageup",
      "home",
      "end",
      "x",
    ]);
  });

  test("a sequence may come in pieces, and a character as well", () => {
    expect(read("\u001b", "[", "6", "~").keys).toEqual(["pagedown"]);
    const reader = new KeyReader();
    const bytes = new TextEncoder().encode("日");
    expect(reader.feed(bytes.subarray(0, 1))).toEqual([]);
    expect(reader.feed(bytes.subarray(1))).toEqual(["日"]);
  });

  test("a lone Escape is a key only when nothing follows; an unknown sequence is none", () => {
    expect(read("\u001b")).toEqual({ keys: [], rest: ["escape"] });
    expect(read("\u001b[")).toEqual({ keys: [], rest: [] });
    expect(read("\u001b[<0;1;2Mq")).toEqual({ keys: ["q"], rest: undefined });
    expect(read("\u001bq")).toEqual({ keys: ["escape", "q"], rest: undefined });
  });

  test("pasted text is marked, and does not lock anybody in if its end never comes", () => {
    expect(read("\u001b[200", "~cy\r日\u001b[201~q").keys).toEqual([
      "pasted c",
      "pasted y",
      "pasted  ",
      "pasted 日",
      "q",
    ]);
    expect(read("\u001b[200~\u0003").keys).toEqual(["ctrl-c"]);
  });
});

test("a text is cut to columns, wide characters and marks without a column included", () => {
  expect(cutToWidth("abcdef", 4, "…")).toEqual({ text: "abc…", width: 4 });
  expect(cutToWidth("abc", 3, "…")).toEqual({ text: "abc", width: 3 });
  expect(cutToWidth("日本語", 6, "…")).toEqual({ text: "日本語", width: 6 });
  expect(cutToWidth("日本語", 5, "…")).toEqual({ text: "日本…", width: 5 });
  expect(cutToWidth("日本語", 4, "…")).toEqual({ text: "日…", width: 3 });
  expect(cutToWidth("日", 1, "…")).toEqual({ text: "", width: 0 });
  expect(cutToWidth("e\u0301".repeat(3), 3, "…")).toEqual({ text: "e\u0301".repeat(3), width: 3 });
  expect(cutToWidth(`a${"\u0301".repeat(10_000)}b`, 10, "…").text.length).toBeLessThan(100);
  for (let width = 0; width < 12; width++)
    for (const text of [
      ...["plain text that is long", "日本語日本語日本語", "a日b本c語d", "🎉🎉🎉🎉🎉🎉🎉"],
      // Fewer columns together than one by one.
      ...["🏳️‍🌈 x", "👨‍👩‍👧‍👦", "e\u0301日本語🏳️‍🌈 عربي", "क्षि🇩🇪1️⃣"],
    ])
      expect(cutToWidth(text, width, "…").width).toBeLessThanOrEqual(width);
});

describe("what a terminal can show", () => {
  test("colours only where they are known and wanted; ASCII without a UTF-8 locale", () => {
    expect(UTF8.sgr.bad).toBe("31");
    expect(lookOf({ TERM: "screen-256color", NO_COLOR: "1" })!.sgr.bad).toBe("1");
    expect(VT100).toMatchObject({ isUtf8: false, isModern: false });
    expect(Object.values(VT100.sgr).every((sgr) => ["", "1", "4", "7"].includes(sgr))).toBe(true);
    expect(lookOf({ TERM: "xterm", LC_ALL: "C", LANG: "de_DE.UTF-8" })!.isUtf8).toBe(false);
    for (const TERM of ["", "dumb", undefined]) expect(lookOf({ TERM })).toBeUndefined();
  });

  test("bars from the lowest to the highest", () => {
    expect([0, 0.01, 0.5, 1].map((share) => bar(UTF8, share)).join("")).toBe("▁▁▄█");
    expect([0, 0.5, 1].map((share) => bar(VT100, share)).join("")).toBe("_-#");
  });
});

describe("the list", () => {
  const stalled = running("quiet", "waits", { stalledSince: NOW - 30 * SECOND });

  test("has the active jobs, then the ended ones, with what is usual", () => {
    const failed = ended("import", { status: "FAILED", exitCode: 3 });
    expect(screen(start(data([stalled, running("backup", "17 of 20")], [failed, ended("check")])))).toEqual([
      " orchesjob top  2 active, 1 stalled  /state",
      "  RUN KEY  STATUS        TOOK   USUAL    95 %   QUIET LAST LINE",
      "> quiet    STALLED     1m5s !     30s     40s      3s waits",
      "  backup   RUNNING     1m5s !     30s     40s      3s 17 of 20",
      "  RUN KEY  STATUS        TOOK   USUAL    95 %     AGO RESULT AND COMMAND",
      "  import   FAILED          1m       -       -      5s exit 3: sleep 60",
      "  check    SUCCEEDED       1m       -       -      5s sleep 60",
      ...Array.from({ length: 16 }, () => ""),
      " Enter logs  h history  c cancel  r rerun  / filter  ? help  q quit",
    ]);
  });

  test("the status is a word, and a slow job has a sign: colour is never the only one", () => {
    const lines = screen(start(data([stalled], [])), VT100);
    expect(lines[2]).toContain("STALLED     1m5s !");
    expect(lines[2]).toStartWith("> ");
  });

  test("texts of jobs reach the terminal without a control character, however they try", () => {
    const hostile = "\u001b[2J\u001b]0;x\u0007\u202eevil\u0085\u2066日本\u{1f3f3}\ufe0f\u200d\u{1f308}\r\n";
    const row = running(`k${hostile}`, hostile, { command: [hostile] });
    for (const look of [UTF8, VT100])
      for (const [columns, rows] of [
        [80, 24],
        [30, 8],
      ] as const) {
        const { state } = pressAll(start(data([row], [ended(hostile)]), columns, rows), "c");
        for (const line of draw(state, look).lines.map(plain)) {
          expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200d\u202a-\u202e\u2066-\u2069\ufe0f]/);
          if (look === VT100) expect(line).toMatch(/^[ -~]*$/);
        }
      }
  });

  test("every size is drawn, and no line is wider or lower than the terminal", () => {
    const rows = Array.from({ length: 30 }, (_, index) => running(`日本 ${index}`, "本".repeat(90)));
    for (const columns of [1, 2, 7, 19, 39, 40, 61, 80, 81, 133, 300])
      for (const height of [1, 2, 3, 4, 5, 9, 24, 60])
        for (const keys of [[], ["G"], ["h"], ["enter"], ["?"], ["/", "a"], ["c"]]) {
          const { lines, cursor } = draw(
            pressAll(start(data(rows, [ended("x")]), columns, height), ...keys).state,
            UTF8,
          );
          expect(lines).toHaveLength(height);
          for (const line of lines) expect(Bun.stringWidth(plain(line))).toBeLessThanOrEqual(columns);
          if (cursor !== undefined) expect(cursor.column).toBeLessThan(columns);
        }
  });

  test("the chosen row stays on its job when others come and go, and in sight", () => {
    const rows = Array.from({ length: 50 }, (_, index) => ended(`k${index}`));
    let { state } = pressAll(start(data([], rows), 80, 10), "down", "j", "pagedown");
    expect(chosenJob(state)?.runKey).toBe("k9");
    state = settle({ ...state, data: data([running("new")], [ended("n1"), ...rows]) });
    expect(chosenJob(state)?.runKey).toBe("k9");
    expect(screen(state).some((line) => line.startsWith("> k9"))).toBe(true);
    state = pressAll(state, "end").state;
    expect(screen(state).at(-2)).toStartWith("> k49");
    state = pressAll(state, "home").state;
    expect(screen(state)[2]).toStartWith("> new");
    state = settle({ ...state, data: data([], []) });
    expect(chosenJob(state)).toBeUndefined();
    expect(pressAll(state, "enter", "h", "c", "r", "down", "up").effects).toEqual([]);
  });

  test("a filter narrows the list while it is typed; Escape drops it", () => {
    const list = data([running("backup-a"), stalled], [ended("backup-b", { status: "FAILED" }), ended("c")]);
    const names = (state: State) =>
      screen(state).flatMap((line) => /^[> ] (\S+) +[A-Z]{4}/.exec(line)?.[1] ?? []);
    const typed = pressAll(start(list), "/", "b", "a", "c", "k");
    expect(names(typed.state)).toEqual(["backup-a", "backup-b"]);
    expect(screen(typed.state).at(-1)).toBe(" Filter: back");
    expect(draw(typed.state, UTF8).cursor).toEqual({ column: 13, row: 23 });
    const more = pressAll(typed.state, " ", "F", "a", "i", "l", "enter");
    expect(names(more.state)).toEqual(["backup-b"]);
    expect(screen(more.state)[0]).toContain('filter "back Fail": 1 of the newest 2 ended');
    // q is a character while somebody types.
    expect(pressAll(more.state, "/", "q").effects).toEqual([]);
    expect(screen(pressAll(more.state, "/", "q").state)[2]).toContain("No job fits the filter");
    expect(names(pressAll(more.state, "escape").state)).toHaveLength(4);
    expect(pressAll(typed.state, ...Array.from({ length: 6 }, () => "backspace")).state.isTyping).toBe(false);
  });
});

describe("keys that do something ask first, and name the key", () => {
  const list = data([running("backup")], [ended("import")]);

  test("cancel of an active job", () => {
    const asked = pressAll(start(list), "c");
    expect(asked.effects).toEqual([]);
    expect(screen(asked.state).at(-1)).toBe(" Cancel backup (RUNNING)? y/n");
    expect(pressAll(asked.state, "n").effects).toEqual([]);
    for (const key of ["enter", "c", "escape", "q"]) expect(pressAll(asked.state, key).effects).toEqual([]);
    expect(pressAll(asked.state, "y").effects).toMatchObject([
      { do: "cancel", target: { runKey: "backup" } },
    ]);
    expect(pressAll(asked.state, "y").state.question).toBeUndefined();
    expect(pressAll(asked.state, "ctrl-c").effects).toEqual([{ do: "quit" }]);
  });

  test("rerun of an ended one; each of the other says why not", () => {
    const chosen = pressAll(start(list), "down").state;
    const asked = pressAll(chosen, "r");
    expect(screen(asked.state).at(-1)).toBe(" Run again import (SUCCEEDED)? y/n");
    expect(pressAll(asked.state, "y").effects).toMatchObject([{ do: "rerun", target: { runKey: "import" } }]);
    expect(screen(pressAll(chosen, "c").state).at(-1)).toContain("nothing to cancel: import is SUCCEEDED");
    expect(screen(pressAll(start(list), "r").state).at(-1)).toContain("backup is RUNNING");
    // In a fleet it runs here, wherever it ran.
    const fleet = start({ ...list, members: [] });
    expect(screen(pressAll(fleet, "down", "r").state).at(-1)).toBe(
      " Run again import (SUCCEEDED) on this host? y/n",
    );
  });

  test("the question stays in sight behind a long key", () => {
    const long = start(data([running("k".repeat(500))], []), 40);
    expect(screen(pressAll(long, "c").state).at(-1)).toEndWith("k… (RUNNING)? y/n");
  });
});

describe("pages", () => {
  test("the history has a bar for each run, the oldest at the left, and a sign for what failed", () => {
    const opened = pressAll(start(data([running("backup")], [])), "h");
    expect(opened.effects).toEqual([{ do: "read" }]);
    const run = (seconds: number, status: Job["status"] = "SUCCEEDED") => ({
      ...{ jobId: `id-${seconds}`, runKey: "backup", status, startedAt: NOW - 1_000 * SECOND },
      endedAt: status === "RUNNING" ? null : NOW - (1_000 - seconds) * SECOND,
    });
    const { page } = current(opened.state);
    if (page.kind !== "history") throw new Error("no history");
    const runs = [run(80), run(40, "FAILED"), run(10, "LOST")];
    const state = withCurrent(opened.state, { page: { ...page, runs } });
    const lines = screen(state);
    expect(lines[1]).toBe(" ▁▄█");
    expect(lines[2]).toBe(" ?x");
    expect(lines[3]).toContain("The highest: 1m20s");
    expect(lines[5]).toMatch(/^> 20\d\d-.* SUCCEEDED +1m20s   id-80$/);
    expect(screen(state, VT100)[1]).toBe(" _-#");
    const chosen = pressAll(state, "down").state;
    expect(chosenJob(chosen)).toMatchObject({ jobId: "id-40" });
    // A new run comes above it.
    const later = { ...page, runs: [run(5, "RUNNING"), ...runs] };
    expect(chosenJob(settle(withCurrent(chosen, { page: later })))).toMatchObject({ jobId: "id-40" });
    expect(current(pressAll(state, "q").state).page.kind).toBe("jobs");
  });

  test("a log follows its end until somebody moves up", () => {
    const opened = pressAll(start(data([running("backup")], []), 80, 10), "enter").state;
    const withLines = (state: State, count: number): State => {
      const { page } = current(state);
      if (page.kind !== "log") throw new Error("no log");
      const lines = Array.from({ length: count }, (_, index) => `line ${index}\u001b[2J`);
      const text = {
        job: undefined,
        lines,
        isCut: false,
        sizes: { stdout: 9, stderr: 0 },
        problem: undefined,
      };
      return settle(withCurrent(state, { page: { ...page, text } }));
    };
    let state = withLines(opened, 20);
    expect(screen(state).at(-2)).toBe("line 19·[2J");
    state = withLines(pressAll(state, "up", "up").state, 30);
    expect(screen(state).at(-2)).toBe("line 17·[2J");
    state = withLines(pressAll(state, "G").state, 40);
    expect(screen(state).at(-2)).toBe("line 39·[2J");
    expect(pressAll(state, "tab")).toMatchObject({ effects: [{ do: "read" }] });
    expect(screen(pressAll(state, "right").state).at(-2)).toBe("");
    expect(current(pressAll(state, "enter").state).page.kind).toBe("jobs");
  });

  test("members of a fleet, and none outside of one", () => {
    expect(screen(pressAll(start(data([], [])), "m").state).at(-1)).toBe(
      " This state directory is in no fleet.",
    );
    const member = {
      name: "a",
      host: "web-1",
      leaseLeftMs: 5_000,
      active: 2,
      unpublished: 0,
      version: "1",
      isOwn: true,
    };
    const state = pressAll(
      start(data([], [], { members: [member, { ...member, name: "b", leaseLeftMs: null }] })),
      "m",
    );
    expect(screen(state.state).slice(2, 4)).toEqual([
      "> a (here)      web-1         5s          2       0            1",
      "  b (here)      web-1         none        2       0            1",
    ]);
  });
});

describe("what is sent to the terminal", () => {
  const list = data([running("backup", "one"), running("check", "two")], []);

  test("the same picture again: nothing; one cell: that cell", () => {
    const painter = new Painter(UTF8);
    expect(painter.paint(draw(start(list), UTF8))).toContain("backup");
    expect(painter.paint(draw(start(list), UTF8))).toBe("");
    const later = data([running("backup", "one"), running("check", "three")], []);
    expect(painter.paint(draw(start(later), UTF8))).toBe(
      "\u001b[?2026h\u001b[4;55Hthree\u001b[?25l\u001b[?2026l",
    );
    painter.forget();
    expect(painter.paint(draw(start(later), UTF8))).toStartWith("\u001b[?2026h\u001b[2J");
  });

  test("a shorter line leaves nothing behind", () => {
    const painter = new Painter(VT100);
    painter.paint(draw(start(list), VT100));
    const shorter = data([running("backup", "one")], []);
    const sent = painter.paint(draw(start(shorter), VT100));
    expect(sent).toContain("\u001b[4;1H\u001b[K");
    // A VT100 knows no private mode.
    expect(sent).not.toContain("\u001b[?");
  });
});
