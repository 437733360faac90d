/** `orchesjob top` in a real terminal: what it shows, what its keys do, and how it leaves the terminal behind. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync } from "node:fs";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { finishedJob, startReady } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { findProcesses } from "../support/processes.ts";
import { BINARY, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { onTerminal } from "../support/terminal.ts";
import { Tmux } from "../support/tmux.ts";

setDefaultTimeout(TIMEOUT_MS);

const server = serverOfFile();

/** A prompt and nothing else. */
const EMPTY = /^[$#]$/;

/** Starts `top` in a shell, after the settings of the terminal were written to the file `before`. */
async function startTop(tmux: Tmux, words = ""): Promise<number> {
  await tmux.line(`stty -g > before; ${words}${BINARY} top`);
  await tmux.shows(/^ orchesjob top {2}/);
  const process = () => findProcesses(tmux.box, "top").filter((pid) => isTop(pid))[0];
  return until("top runs", process);
}

function isTop(pid: number): boolean {
  const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  return words[0] === BINARY && words[1] === "top";
}

/** Checks that the shell has its screen and its settings again. */
async function expectRestored(tmux: Tmux): Promise<void> {
  await until("the terminal has its own screen", async () => (await tmux.ask("#{alternate_on}")) === "0");
  expect(await tmux.ask("#{cursor_flag} #{wrap_flag}")).toBe("1 1");
  await tmux.line("stty -g > after; cmp before after && echo the same");
  // The shell may print its prompt only after the line was typed.
  await tmux.shows(/(^|[#$] )the same$/m);
}

testWith(
  ["tmux"],
  "the jobs, their output, their history; cancel and rerun after a question; q",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using first = new Gate(box, "first");
    for (let run = 0; run < 5; run++)
      await box.json(["start", "--run-key", "nightly", "--sync", "--", "true"]);
    await box.json(["start", "--run-key", "broken", "--sync", "--", "sh", "-c", "echo why >&2; exit 3"]);
    await startReady(box, "nightly", `echo ready; ${first.wait}; echo more; ${gate.wait}`);
    await startReady(
      box,
      "hostile\u202e key",
      `printf 'ready\\n\\033[31mred\\033[2J \\342\\200\\256x'; ${gate.wait}`,
    );
    await using tmux = await Tmux.start(box);
    await startTop(tmux);
    const list = await tmux.shows(/nightly +RUNNING .* ready/);
    expect(list[0]).toContain("2 active");
    expect(list[1]).toMatch(/^ {2}RUN KEY +STATUS +TOOK +USUAL +95 % +QUIET +LAST LINE$/);
    // The oldest first. A fast key makes it late soon.
    expect(list[2]).toMatch(/^> nightly +RUNNING +\d+s( !)? +<?0\.\ds +<?0\.\ds +\d+s ready$/);
    expect(list[3]).toMatch(/^ {2}hostile· key +RUNNING .* red ·x$/);
    expect(list[4]).toMatch(/^ {2}RUN KEY .* AGO RESULT AND COMMAND$/);
    expect(list[5]).toMatch(/^ {2}broken +FAILED +<?0\.\ds +- +- +\d+s exit 3: sh -c/);
    expect(list[6]).toMatch(/^ {2}nightly +SUCCEEDED/);
    expect(list).toHaveLength(24);

    await tmux.press("Enter");
    await tmux.shows(/^ nightly#6 {2}RUNNING {2}\[stdout 6 B\] +stderr 0 B[^]*\nready\n/);
    first.open();
    await tmux.shows(/\nready\nmore\n/);
    await tmux.press("Escape");
    await tmux.shows(/^ orchesjob top {2}/);
    await tmux.press("h");
    await tmux.shows(
      /^ History of nightly: 5 of the last 5 succeeded, usual <?0\.\ds, 95 % <?0\.\ds\n ▁*█*\n[^]*> 20..-/,
    );
    await tmux.press("q");

    await tmux.press("/");
    await tmux.line("broken");
    await tmux.shows(/filter "broken": 1 of the newest \d+ ended[^]*\n> broken/);
    await tmux.press("Enter", "Tab");
    await tmux.shows(/stdout 0 B +\[stderr 4 B\][^]*\nwhy\n/);
    await tmux.press("Escape", "r");
    await tmux.shows(/\n Run again broken \(FAILED\)\? y\/n$/);
    await tmux.press("y");
    await tmux.shows(/Started again: broken, attempt 2/);
    expect(await finishedJob(box, "broken")).toMatchObject({
      attempt_no: 2,
      exit_code: 3,
      rerun_reason: "from orchesjob top",
    });

    await tmux.press("?");
    await tmux.shows(/^ orchesjob top: keys/);
    await tmux.press("q", "q");
    await expectRestored(tmux);
  },
);

testWith(
  ["tmux"],
  "cancel ends the job that the question names; a lost job is found without a change of the database",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const victim = await startWaiting(box, "victim", gate);
    await startWaiting(box, "other", gate);
    await using tmux = await Tmux.start(box, "sh", {
      columns: 100,
      rows: 12,
      env: { TERM: "screen-256color" },
    });
    await startTop(tmux);
    await tmux.shows(/other +RUNNING/);
    process.kill(victim.worker_pid!, "SIGKILL");
    await tmux.shows(/^ {2}RUN KEY.* AGO [^]*victim +LOST .* worker_killed/m);
    expect((await tmux.screen())[0]).toContain("1 active");
    // The victim was chosen, and still is.
    await tmux.press("Home", "c");
    await tmux.shows(/Cancel other \(RUNNING\)\? y\/n$/);
    await tmux.press("n");
    await tmux.shows(/Nothing was done/);
    // "policy" pasted, or typed ahead: nobody has seen the question, so the y is no answer.
    await tmux.paste("policy");
    await tmux.press("c", "y");
    await tmux.shows(/Cancel other \(RUNNING\)\? y\/n$/);
    expect(await box.json(["status", "--run-key", "other"])).toMatchObject({ status: "RUNNING" });
    await tmux.press("y");
    await tmux.shows(/Cancelled: other/);
    expect(await finishedJob(box, "other")).toMatchObject({
      status: "CANCELLED",
      cancel_reason: "from orchesjob top",
    });
    await tmux.press("C-c");
    await expectRestored(tmux);
  },
);

testWith(["tmux"], "whoever follows a job sees its next attempt", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `echo "attempt $ORCHESJOB_ATTEMPT"; ${gate.wait}; exit 1`;
  await box.json([
    "start",
    "--run-key",
    "k",
    "--retries",
    "1",
    "--retry-delay",
    "0",
    "--",
    "sh",
    "-c",
    script,
  ]);
  // Not as the command of the pane: tmux 3.3a sometimes never learns that such a one has ended.
  await using tmux = await Tmux.start(box);
  await startTop(tmux);
  await tmux.shows(/> k +RUNNING/);
  await tmux.press("Enter");
  await tmux.shows(/^ k#1 {2}RUNNING[^]*\nattempt 1\n/);
  gate.open(1);
  await tmux.shows(/^ k#2 {2}RUNNING[^]*\nattempt 2\n[^]*\n Attempt 1 has failed; this is the next one\.$/);
  await tmux.press("C-c");
  await expectRestored(tmux);
});

testWith(
  ["tmux"],
  "the terminal is given back after each signal, also those that nobody can catch",
  async () => {
    await using box = new Sandbox();
    await box.json(["start", "--run-key", "k", "--sync", "--", "true"]);
    // dash restores no settings of its own.
    await using tmux = await Tmux.start(box, "sh", { rows: 12 });
    for (const signal of ["SIGTERM", "SIGHUP", "SIGKILL", "SIGQUIT"] as const) {
      const pid = await startTop(tmux);
      process.kill(pid, signal);
      if (signal === "SIGKILL" || signal === "SIGQUIT")
        await tmux.shows(/orchesjob: top was killed; if the terminal does not work as before, type: reset/);
      await expectRestored(tmux);
      await until("its guard has ended", () => findProcesses(box, "_guard").length === 0);
      await tmux.line("clear");
      await tmux.shows(EMPTY);
    }
  },
);

testWith(["tmux", "bash"], "it stops on Ctrl-Z, and goes on with fg; it fits every size", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "once", "--sync", "--", "true"]);
  await using tmux = await Tmux.start(box, "bash --norc", { rows: 10 });
  const pid = await startTop(tmux);
  for (const stop of [() => tmux.press("C-z"), () => process.kill(pid, "SIGTSTP")]) {
    await stop();
    await tmux.shows(/Stopped/);
    await expectRestored(tmux);
    await tmux.line("clear; fg");
    await tmux.shows(/^ orchesjob top[^]*once +SUCCEEDED/);
  }
  // Nobody can catch this one: the screen is taken again when it goes on.
  process.kill(pid, "SIGSTOP");
  await tmux.shows(/Stopped/);
  await tmux.line("fg");
  await tmux.shows((lines) => lines[0]!.startsWith(" orchesjob top") && lines.length === 10);

  for (const [columns, rows] of [
    [132, 40],
    [40, 6],
    [12, 3],
    [3, 2],
    [80, 24],
  ] as const) {
    await tmux.resize(columns, rows);
    await tmux.shows(
      (lines) => lines.length === rows && lines.every((line) => Bun.stringWidth(line) <= columns),
    );
  }
  await tmux.shows(/^ orchesjob top[^]*once +SUCCEEDED/);
  await tmux.press("q");
  await expectRestored(tmux);
});

testWith(["tmux"], "it goes on while the database is away, on each page", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "k", "--sync", "--", "echo", "hello"]);
  await using tmux = await Tmux.start(box);
  await startTop(tmux);
  await tmux.shows(/> k +SUCCEEDED/);
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${box.home}/orchesjob.db${suffix}`, { force: true });
  await tmux.press("h");
  await tmux.shows(/^ History of k[^]*orchesjob\.db is gone/);
  await tmux.press("Escape", "Enter");
  await tmux.shows(/\nhello\n/);
  await tmux.press("q", "q");
  await expectRestored(tmux);
});

testWith(["tmux"], "NO_COLOR: no colour, and each status is a word all the same", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "bad", "--sync", "--", "false"]);
  await using tmux = await Tmux.start(box);
  await startTop(tmux);
  await tmux.press("Down");
  await tmux.shows(/bad +FAILED/);
  const colored = /\u001b\[(\d+;)*3[0-8]/;
  await box.json(["start", "--run-key", "good", "--sync", "--", "true"]);
  await tmux.shows(/good +SUCCEEDED/);
  expect(await tmux.colored()).toMatch(colored);
  await tmux.press("q");
  await expectRestored(tmux);
  await tmux.line("clear");
  await tmux.shows(EMPTY);
  await startTop(tmux, "NO_COLOR=1 ");
  await tmux.shows(/good +SUCCEEDED/);
  expect(await tmux.colored()).not.toMatch(colored);
  await tmux.press("q");
  await expectRestored(tmux);
});

test("a VT100 without a locale gets nothing that it does not know", async () => {
  await using box = new Sandbox();
  await box.json(["start", "--run-key", "schlüssel", "--sync", "--", "true"]);
  const screen = onTerminal(box, ["top"], { env: { TERM: "vt100", LC_ALL: "C" } });
  await until("the list", () => screen.shown().includes("schl?ssel"));
  screen.type("h");
  await until("the history", () => screen.shown().includes("History of schl?ssel"));
  await until("its bars", () => screen.shown().includes("The highest"));
  screen.type("\u0003");
  expect(await screen.ended()).toBe(0);
  const shown = screen.shown();
  expect(shown).toMatch(/^[\r\n\u001b -~]*$/);
  // Lines that do not wrap are all of DEC's private modes that it is asked for, and colours there are none.
  expect([...new Set(shown.match(/\u001b\[\?[^a-z]*[a-z]/g))].sort()).toEqual(["\u001b[?7h", "\u001b[?7l"]);
  expect([...new Set(shown.match(/\u001b\[[\d;]*m/g))].every((sgr) => /^\u001b\[[0147]m$/.test(sgr))).toBe(
    true,
  );
});

test("without a terminal, or one whose cursor moves, it refuses and names what works", async () => {
  await using box = new Sandbox();
  expectFailure(
    await box.run(["top"]),
    2,
    /^orchesjob: top needs a terminal .* orchesjob ps, or orchesjob list\n$/,
  );
  const screen = onTerminal(box, ["top"], { env: { TERM: "dumb" } });
  expect(await screen.ended()).toBe(2);
  expect(screen.shown()).toMatch(
    /^orchesjob: top cannot move the cursor .* "dumb" \(TERM\); set TERM .* orchesjob list\r\n$/,
  );
  expectFailure(await box.run(["top", "--all"]), 2, /--all/);
  expectFailure(await box.run(["top", "key"]), 2, /"key"/);
});

testWith(["tmux", ...WITH_SERVER], "in a fleet: the jobs of all hosts, and its members", async () => {
  await using fleet = await Fleet.create(await server());
  const [here, there] = await fleet.members(2);
  await using gate = new Gate(fleet);
  await startWaiting(there!, "far", gate);
  await here!.json(["start", "--run-key", "near", "--sync", "--", "true"]);
  await there!.untilPublished();
  await using tmux = await Tmux.start(here!, "sh", { columns: 120 });
  await startTop(tmux);
  await tmux.shows(/2 members[^]*far +\S+ +RUNNING[^]*near +\S+ +SUCCEEDED/);
  await tmux.press("Home", "Enter");
  await tmux.shows(/is of member "m2", and its output is on host/);
  await tmux.press("Escape", "m");
  await tmux.shows(/> m1 \(here\) .*\n {2}m2 /);
  await tmux.press("Escape", "c");
  await tmux.shows(/Cancel far/);
  await tmux.press("y");
  await tmux.shows(/Cancelled: far/);
  await tmux.press("q");
  await expectRestored(tmux);
});
