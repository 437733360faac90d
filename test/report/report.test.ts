/** `orchesjob report`: what it says of real jobs, what hostile texts become in it, and that a file is replaced whole or not at all. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { edit } from "../support/database.ts";
import { expectFailure } from "../support/expect.ts";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { killWorker } from "../support/processes.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { shell } from "../support/shell.ts";
import { strike } from "../support/strace.ts";

setDefaultTimeout(TIMEOUT_MS);

const server = serverOfFile();

const HOUR = 3_600_000_000;

async function finish(box: Sandbox, runKey: string, script = "true"): Promise<void> {
  await box.json(["start", "--run-key", runKey, "--sync", "--", "sh", "-c", script]);
}

/** Moves the jobs of a key into the past, as if each had taken some seconds. */
function moveBack(box: Sandbox, runKey: string, hours: number, seconds: number): void {
  const end = Date.now() * 1000 - hours * HOUR;
  edit(
    box,
    `update job_records set started_at = ${end - seconds * 1_000_000}, finished_at = ${end} where run_key = '${runKey}'`,
  );
}

async function report(box: Sandbox, ...words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await box.run(["report", ...words]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** The cells of the table rows in a text, by the first cell. */
function rows(markdown: string): ReadonlyMap<string, readonly string[]> {
  const lines = markdown.split("\n").filter((line) => line.startsWith("| "));
  return new Map(
    lines.map((line) => {
      const [first = "", ...rest] = line
        .slice(2, -2)
        .split(" | ")
        .map((cell) => cell.trim());
      return [first, rest];
    }),
  );
}

test("the period next to the one before: outcomes, durations, keys, failures with their last lines", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await finish(box, "moved");
  edit(box, "update job_records set run_key = 'nightly'");
  moveBack(box, "nightly", 36, 100);
  await finish(box, "moved");
  edit(box, "update job_records set run_key = 'nightly', attempt_no = 2 where run_key = 'moved'");
  for (const key of ["gone", "gone"]) await finish(box, key);
  moveBack(box, "gone", 30, 5);
  await finish(box, "once");
  moveBack(box, "once", 30, 5);
  edit(
    box,
    "update job_records set started_at = finished_at - 130000000 where run_key = 'nightly' and attempt_no = 2",
  );
  await finish(box, "bad", "exit 1");
  await finish(box, "bad", "for i in $(seq 1 15); do echo line $i >&2; done; printf 'no end' >&2; exit 7");
  await startWaiting(box, "runs", gate);

  const text = await report(box, "--since", "24h");
  const found = rows(text);
  expect(text).toStartWith("# Jobs on ");
  expect(found.get("Active now")).toEqual(["1", ""]);
  expect(found.get("Ended")).toEqual(["3", "4"]);
  expect(found.get("Succeeded")).toEqual(["1 (33.3 %)", "4 (100 %)"]);
  expect(found.get("Failed")).toEqual(["2", "0"]);
  expect(found.get("Longest")).toEqual(["2m10s", "1m40s"]);
  // Runs, before, not succeeded, median, before, 95 %, longest, usual.
  expect(found.get("nightly")).toEqual(["1", "1", "-", "2m10s", "1m40s", "2m10s", "2m10s", "1m40s", "2m10s"]);
  expect(found.get("bad")).toEqual(["2", "0", "2 failed", "-", "-", "-", "-", "-", "-"]);
  expect(found.get("runs")![1]).toBe("RUNNING");
  // It ran twice in the period before. A key of a single run may be a work of that day alone.
  expect(found.get("gone")![0]).toBe("2");
  expect(found.has("once")).toBe(false);
  expect(text).toMatch(/### bad\n\n2 times, the last one at .*: FAILED, exit code 7\. Job [-\da-f]+\n/);
  expect(text).toContain("\n```\nline 7\nline 8\n");
  expect(text).toContain("line 15\nno end\n```\n");

  // The same in HTML; the name says which.
  expect(await report(box, "--since", "24h", "--output", "report.html")).toBe("");
  const html = readFileSync(join(box.directory, "report.html"), "utf8");
  expect(html).toStartWith("<!doctype html>");
  expect(html).toContain('<td class="number" align="right">1 (33.3 %)</td>');
  expect(html).toContain("line 15\nno end</pre>");
  // One file: nothing is loaded, nothing runs.
  expect(html).not.toMatch(/<script|<link|<img|<iframe|\ssrc=|\shref=|url\(|@import|https?:|\son\w+=/i);
  expect(await report(box, "--output", "-", "--format", "html")).toStartWith("<!doctype html>");
});

test("texts of jobs have no meaning in a report", async () => {
  await using box = new Sandbox();
  const key = "<script>alert(1)</script> & \"q\" 'a' | `c` *b* [x](y) _u_ a_b \u202e# \u2066<!--";
  const hostile = "</pre><script>alert(2)</script> \u001b[31mred\u001b]0;t\u0007 ``` \u202ex ````";
  const script = `printf '%s\\n' "$0" >&2; exit 3`;
  await box.json(["start", "--run-key", key, "--sync", "--", "sh", "-c", script, hostile]);
  const html = await report(box, "--format", "html");
  const markdown = await report(box);
  for (const text of [html, markdown])
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
  // As a browser sees it: every tag is ours, and the texts are texts.
  const tags = new Set<string>();
  const parts: string[] = [];
  await new HTMLRewriter()
    .on("*", { element: ({ tagName }) => void tags.add(tagName), text: ({ text }) => void parts.push(text) })
    .onDocument({ comments: ({ text }) => void tags.add(`comment ${text}`) })
    .transform(new Response(html))
    .text();
  expect([...tags].sort()).toEqual(
    "body code div h1 h2 h3 head html meta p pre style table tbody td th thead title tr".split(" "),
  );
  expect(parts.join("")).toContain(
    "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot; &#39;a&#39; | `c`",
  );
  expect(parts.join("")).toContain("&lt;/pre&gt;&lt;script&gt;alert(2)&lt;/script&gt; red ``` ·x ````");
  expect(markdown).toContain(
    "### \\<script\\>alert(1)\\</script\\> \\& \"q\" 'a' \\| \\`c\\` \\*b\\* \\[x\\](y) \\_u\\_ a_b ·\\# ·\\<\\!--\n",
  );
  // The fence is longer than what would close it.
  expect(markdown).toContain("\n`````\n</pre><script>alert(2)</script> red ``` ·x ````\n`````\n");
});

test("the file is private at first, keeps its mode later, and a link stays one; what is no file is written to", async () => {
  await using box = new Sandbox();
  await finish(box, "k");
  const path = join(box.directory, "real.md");
  await report(box, "--output", "real.md");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(join(box.directory, "shared.md"), "old", { mode: 0o644 });
  symlinkSync("shared.md", join(box.directory, "link.md"));
  await report(box, "--output", join(box.directory, "link.md"));
  expect(lstatSync(join(box.directory, "link.md")).isSymbolicLink()).toBe(true);
  expect(statSync(join(box.directory, "shared.md")).mode & 0o777).toBe(0o644);
  expect(readFileSync(join(box.directory, "shared.md"), "utf8")).toContain("# Jobs on ");
  // A link, and a link to it, to what is not there yet.
  symlinkSync("later.md", join(box.directory, "first"));
  symlinkSync(join(box.directory, "first"), join(box.directory, "second"));
  await report(box, "--output", "second");
  expect(["first", "second"].map((name) => lstatSync(join(box.directory, name)).isSymbolicLink())).toEqual([
    true,
    true,
  ]);
  expect(lstatSync(join(box.directory, "later.md")).isFile()).toBe(true);
  expect((await shell(box, `"$0" report --output /dev/stdout | cat`)).stdout).toContain("# Jobs on ");
  expectFailure(
    await box.run(["report", "--output", "/dev/full"]),
    1,
    /cannot write \/dev\/full: no space left/,
  );
  expectFailure(
    await box.run(["report", "--output", "no/such/x.html"]),
    1,
    /cannot write no\/such\/x\.html: no such file/,
  );
  expectFailure(await box.run(["report", "--output", "."]), 1, /cannot write \.: it is a directory/);
});

test("a job whose worker was killed is lost in the first report that finds it", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await killWorker(await startWaiting(box, "killed", gate));
  const found = rows(await report(box));
  expect(found.get("Active now")?.[0]).toBe("0");
  expect(found.get("Lost")?.[0]).toBe("1");
});

testWith(["strace"], "a report that fails, or is killed, leaves the one before as it was", async () => {
  await using box = new Sandbox();
  await finish(box, "k");
  const path = join(box.directory, "report.html");
  const words = ["report", "--output", path];
  writeFileSync(path, "the one before");
  const full = await strike(box, { call: "fsync", effect: "ENOSPC", when: 1 }, words);
  expect(full.hit).toBeDefined();
  expectFailure(full.finished, 1, /cannot write .*report\.html: no space left on device/);
  expect(readdirSync(box.directory).filter((name) => name.startsWith("report"))).toEqual(["report.html"]);
  for (const call of ["fsync", "rename"]) {
    const killed = await strike(box, { call, effect: "SIGKILL", when: 1 }, words);
    expect(killed.hit).toBeDefined();
    expect(readFileSync(path, "utf8")).toBe("the one before");
  }
  await report(box, "--output", path);
  expect(readFileSync(path, "utf8")).toStartWith("<!doctype html>");
});

test("bad values, and no jobs: an exit code and a way out", async () => {
  await using box = new Sandbox();
  expectFailure(await box.run(["report"]), 3, /there are no jobs in .*ORCHESJOB_HOME/);
  for (const since of ["x", "", "2026-13-01", "7"]) {
    const result = await box.run(["report", "--since", since]);
    expectFailure(result, 2, /--since.*write 2026-01-31/);
    expect(result.stderr).toContain(JSON.stringify(since));
  }
  expectFailure(
    await box.run(["report", "--since", "9000-01-01"]),
    2,
    /"9000-01-01" is not at least a minute ago.*--since 7d/,
  );
  expectFailure(await box.run(["report", "--since", "0s"]), 2, /"0s" is not at least a minute ago/);
  expectFailure(
    await box.run(["report", "--format", "pdf"]),
    2,
    /--format must be html or markdown, not "pdf"/,
  );
  expectFailure(await box.run(["report", "--output="]), 2, /--output is empty; name a file/);
  expectFailure(await box.run(["report", "key"]), 2, /"key"/);
  await finish(box, "k");
  expectFailure(await box.run(["report", "--fleet"]), 3, /is in no fleet; leave out --fleet/);
  moveBack(box, "k", 1000, 1);
  const empty = await report(box);
  for (const said of ["No job is active", "No job has failed", "No job has ended in this period"])
    expect(empty).toContain(said);
});

testWith(
  WITH_SERVER,
  "--fleet: the jobs of all members, and the last lines that they have published",
  async () => {
    await using fleet = await Fleet.create(await server());
    const [here, there] = await fleet.members(2);
    await using gate = new Gate(fleet);
    await finish(here!, "near");
    await finish(there!, "far", "echo far away >&2; exit 9");
    await startWaiting(there!, "runs", gate);
    await there!.untilPublished();
    const found = rows(await report(here!, "--fleet"));
    expect(found.get("Ended")).toEqual(["2", "0"]);
    expect(found.get("runs")![1]).toBe("RUNNING");
    const text = await report(here!, "--fleet");
    expect(text).toMatch(/### far\n\nOnce .* exit code 9\. Job .*\n\n` sh -c .* `\n\n```\nfar away\n```\n/);
    expect(rows(await report(here!)).get("Ended")).toEqual(["1", "0"]);
  },
);
