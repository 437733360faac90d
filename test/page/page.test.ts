/** The page of `serve` in a real Chromium, on real jobs. */
import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { closeSync, ftruncateSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Browser, type Page } from "../support/browser.ts";
import { Fleet, serverOfFile } from "../support/fleet.ts";
import { Gate, startWaiting } from "../support/gate.ts";
import { edit } from "../support/database.ts";
import { killWorker } from "../support/processes.ts";
import { addHistory, type Past } from "../support/history.ts";
import { ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { Server } from "../support/serve.ts";
import { testWith } from "../support/needs.ts";

setDefaultTimeout(TIMEOUT_MS);

/** What the tests saw, for people; CI keeps it. */
const PICTURES = join(ROOT, "dist/pictures");
mkdirSync(PICTURES, { recursive: true });

const postgres = serverOfFile();

/** One browser for all tests, started by the first. */
let browser: Promise<Browser> | undefined;
afterAll(async () => (await browser)?.[Symbol.asyncDispose]());

type Options = Parameters<Browser["page"]>[0];

async function openPage(server: Server, fragment = "", options: Options = {}): Promise<Page> {
  const page = await (browser ??= Browser.start()).then((started) => started.page(options));
  await page.open(`${server.address}${fragment}`);
  return page;
}

/** That nothing went wrong in the browser, and that it asked nobody but the server. */
function expectQuiet(page: Page, server: Server): void {
  expect(page.complaints).toEqual([]);
  expect(
    page.requests.filter((url) => !url.startsWith(`${server.origin}/`) && !url.startsWith("data:")),
  ).toEqual([]);
}

const run = (box: Sandbox, key: string, script: string, ...options: string[]) =>
  box.json(["start", "--sync", "--run-key", key, ...options, "--", "sh", "-c", script]);

const chromium = (name: string, body: () => Promise<void>) => testWith(["chromium"], name, body);

/** How wide the page is. Not compared with innerWidth: a phone zooms out until everything fits. */
const WIDTH = "document.documentElement.scrollWidth";

const daily = (runKey: string, took: number, days = 20): readonly Past[] =>
  Array.from({ length: days }, (_, index) => ({
    runKey,
    startedAgo: (index + 1) * 86_400,
    took: took + (index % 5),
  }));

chromium("the overview says what failed, since when, what it wrote, and what runs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await run(box, "fine", "echo all well");
  addHistory(box, [
    ...daily("nightly", 60),
    ...[3, 2].map((hours): Past => ({
      runKey: "sync",
      startedAgo: hours * 3600,
      took: 60,
      status: "FAILED",
    })),
    { runKey: "sync", startedAgo: 4 * 3600, took: 60 },
  ]);
  await run(box, "import", "echo '17 orders'; echo 'cannot reach the shop' >&2; exit 3");
  await startWaiting(box, "slow", gate);
  await startWaiting(box, "nightly", gate, "echo end");
  await using server = await Server.start(box);
  await using page = await openPage(server);

  await page.see("Failed, no success since");
  const alarm = await page.text(".alarm");
  expect(alarm).toContain("import");
  expect(alarm).toContain("exit 3");
  expect(alarm).toContain("cannot reach the shop");
  expect(alarm).toMatch(/sync[\s\S]*2 h ago|sync[\s\S]*3 h ago/);
  expect(alarm).toContain("2 in a row");
  expect(await page.text(".tiles")).toMatch(
    /Running\s+2\b[\s\S]*Failed in 24 hours\s+3\b[\s\S]*Ended in 24 hours\s+\d+\s+usually 1$/,
  );
  expect(await page.evaluate("document.title")).toBe("2 failing · orchesjob");

  // The time goes on.
  const row = `document.querySelector("main tr[data-key] a[href='#/keys/slow']").closest("tr").innerText`;
  const before = await page.evaluate<string>(row);
  await page.until("it runs longer", `${row} !== ${JSON.stringify(before)}`);

  // Live: what ends leaves the list of what runs, without a reload.
  gate.open();
  await page.until("nothing runs", `/Running\\s+0\\b/.test(document.querySelector(".tiles").innerText)`);
  await page.see("nightly\nrun 21", ".card:last-child");
  await page.picture(join(PICTURES, "overview.png"));

  // The log is one click away.
  await page.evaluate(`document.querySelector(".alarm a[aria-label='Log of import']").click()`);
  await page.see("cannot reach the shop", "#log-stderr");
  expect(await page.evaluate("location.hash")).toMatch(/^#\/jobs\/[-0-9a-f]+\?log=stderr$/);
  expectQuiet(page, server);
});

chromium("a job whose worker was killed is lost on every view before any command has looked", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const job = await startWaiting(box, "orphaned", gate);
  await using server = await Server.start(box);
  await using page = await openPage(server);
  await page.see("orphaned");
  await killWorker(job);
  await page.see("Lost", ".alarm:not([hidden])");
  await page.see(`its command still runs: ${job.target_pid}`, ".alarm");
  await page.until(
    "the figures agree",
    `/Running\\s+0\\b[^]*Failed in 24 hours\\s+1\\b/.test(document.querySelector(".tiles").innerText)`,
  );
  expect(await page.evaluate("document.title")).toBe("1 failing · orchesjob");
  for (const view of ["#/timeline", "#/keys", "#/jobs", `#/jobs/${job.job_id}`, "#/keys/orphaned"]) {
    await page.go(view);
    if (view === "#/timeline") {
      await page.evaluate(`document.querySelector(".timeline").focus()`);
      await page.press("End");
    }
    await page.see("Lost", view === "#/timeline" ? ".readout" : "main");
    // How long it took is not known before its end is recorded.
    if (view === "#/jobs") expect(await page.text("tbody")).toContain("–");
    expect(await page.text()).not.toContain("Running for");
  }
  gate.open();
  expectQuiet(page, server);
});

chromium("the token leaves the address, and without it the page says where to get it", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box);
  await using page = await openPage(server);
  expect(await page.evaluate("location.href")).toBe(`${server.origin}/`);
  expect(await page.evaluate("document.cookie")).toBe("");
  // There is not even a database; the first job appears by itself.
  await page.see("No jobs in the last four weeks");
  await run(box, "first", "true");
  await page.see("All is well");
  await page.see("first\nrun 1");
  // Nothing has failed, but that is not all that somebody must see.
  await using gate = new Gate(box);
  await box.json(["start", "--run-key", "hangs", "--stall-after", "1s", "--", "sh", "-c", gate.wait]);
  await page.see("1 stalled");
  await page.see("hangs\nrun 1");
  await page.see("stalled", "td .under.slow");
  expect(await page.text(".calm")).toStartWith("No run key has failed");
  expectQuiet(page, server);
  await page.send("Network.clearBrowserCookies");
  await page.go("#/jobs");
  await page.see("open the address that `orchesjob serve` has printed");
});

chromium("the timeline draws 10,000 runs without stutter, and the keyboard goes through them", async () => {
  await using box = new Sandbox();
  await run(box, "a-first", "true");
  const runs: Past[] = [];
  for (let key = 0; key < 100; key += 1)
    for (let at = 0; at < 100; at += 1)
      runs.push({
        runKey: `key-${key}`,
        startedAgo: 6 * 86_400 - at * 5_000 - key * 10,
        took: 60 * (1 + ((key * at) % 40)),
        status: at % 29 === 7 ? "FAILED" : at % 41 === 3 ? "LOST" : at % 53 === 5 ? "CANCELLED" : "SUCCEEDED",
      });
  addHistory(box, runs);
  await using server = await Server.start(box);
  await using page = await openPage(server, "#/timeline?span=week", { dark: true });
  await page.see("10\u202f001 runs of 101 keys");

  // Scrolled from the top to the bottom: the frames between are drawn in time.
  const frames = await page.evaluate<readonly number[]>(`new Promise((done) => {
    const box = document.querySelector(".timeline");
    const took = [];
    let last;
    requestAnimationFrame(function frame(time) {
      if (last !== undefined) took.push(time - last);
      last = time;
      box.scrollTop += 80;
      if (took.length < 40) requestAnimationFrame(frame); else done(took.sort((a, b) => a - b));
    });
  })`);
  const [median, longest] = [frames[20]!, frames.at(-1)!].map(Math.round);
  console.error(
    `the timeline of 10,000 runs: of 40 frames the median took ${median} ms, the longest ${longest} ms`,
  );
  // The longest says how busy the machine is; what is drawn for each is bounded by what can be seen.
  expect(median).toBeLessThan(100);
  expect(await page.evaluate<number>(`document.querySelectorAll(".timeline-names a").length`)).toBeLessThan(
    40,
  );
  await page.picture(join(PICTURES, "timeline-10000.png"));

  await page.evaluate(`document.querySelector(".timeline").focus()`);
  await page.press("Home");
  await page.press("ArrowDown");
  await page.see("key-0", ".readout");
  await page.press("End");
  const newest = await page.text(".readout");
  await page.press("ArrowLeft");
  await page.until(
    "another run is chosen",
    `document.querySelector(".readout").innerText !== ${JSON.stringify(newest)}`,
  );
  await page.press("-");
  await page.until("the span is 30 days", `location.hash.includes("span=month")`);
  await page.press("Enter");
  await page.see("key-0 run 99");

  // The same for those who do not see it.
  await page.go("#/timeline?span=week");
  await page.evaluate(`document.querySelector("details").open = true`);
  expect(await page.text("details tbody tr:nth-child(2)")).toMatch(/^key-0\s+100\s+9\d\s+\d\s+\d\s+\d\s/);

  // A place and a filter in the address.
  await page.go("#/timeline?span=day&end=2020-01-01T00:00:00.000Z");
  await page.see("No run in this period.");
  expectQuiet(page, server);
});

chromium("a log is live, searchable, and its beginning is reached from its end", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const script = `seq -f 'row %g' 1 30000; ${gate.wait}; echo 'one more'; ${gate.wait}; echo oops >&2; exit 7`;
  const job = await box.json(["start", "--run-key", "chatty", "--", "sh", "-c", script]);
  await using server = await Server.start(box);
  await using page = await openPage(server, `#/jobs/${job.job_id}`);
  await page.see("row 30000", ".log-body");
  await page.see("Running for");
  const isAtBottom = `(({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight < 4)(document.querySelector(".log-body"))`;
  expect(await page.evaluate(isAtBottom)).toBe(true);

  // What changes without an event is read again; the facts that stay are the same elements.
  const fact = (name: string) =>
    `[...document.querySelectorAll(".facts dt")].find((one) => one.innerText === "${name}").nextElementSibling`;
  await page.evaluate(`${fact("job_id")}.kept = "yes"`);
  const quiet = await page.evaluate<string>(`${fact("quiet_seconds")}.innerText`);

  gate.open(1);
  await page.see("one more", ".log-body");
  await page.until("its last line is shown", `${fact("last_line")}.innerText === "one more"`);
  expect(await page.evaluate(`${fact("job_id")}.kept`)).toBe("yes");
  expect(quiet).toMatch(/s$/);
  await page.until("the end is followed", isAtBottom);

  // Who reads further up is not moved.
  await page.evaluate(`document.querySelector(".log-body").focus()`);
  await page.press("Home");
  await page.see("row 1\n", ".log-body");
  expect(await page.evaluate(`document.querySelector(".log-body").scrollTop`)).toBeLessThan(20);
  gate.open(1);
  await page.until(
    "it has failed",
    `document.querySelector(".head .status").innerText.includes("Failed · exit 7")`,
  );
  expect(await page.evaluate(`document.querySelector(".log-body").scrollTop`)).toBeLessThan(20);
  await page.see("chatty: failed", "title");

  // Scrolling loads what comes next, and keeps the place.
  await page.until(
    "all was scrolled through",
    `(() => {
      const body = document.querySelector(".log-body");
      body.scrollTop += 4000;
      return body.innerText.includes("row 12345\\n");
    })()`,
  );

  await page.evaluate(`(() => {
    const field = document.querySelector(".log input[type=search]");
    field.value = "row 2718";
    field.form.requestSubmit();
  })()`);
  await page.see("Match 1 of 11", ".log");
  await page.until(
    "the first is shown",
    `document.querySelector(".log-line.is-found")?.innerText.trim() === "row 2718"`,
  );
  expect(await page.evaluate("CSS.highlights.get('found').size")).toBeGreaterThan(0);
  await page.evaluate(
    `[...document.querySelectorAll(".log button")].find((one) => one.innerText === "Previous").click()`,
  );
  await page.until(
    "the last is shown",
    `document.querySelector(".log-line.is-found")?.innerText.trim() === "row 27189"`,
  );

  expect(await unnamed(page)).toEqual([]);
  await page.evaluate(`document.querySelector("#tab-stderr").click()`);
  await page.see("oops", "#log-stderr");
  expectQuiet(page, server);
});

chromium("a log of 1 GB is shown and searched without loading it", async () => {
  await using box = new Sandbox();
  const job = await run(box, "huge", "echo begin");
  const size = 2 ** 30;
  const log = openSync(job.stdout_file, "r+");
  ftruncateSync(log, size);
  writeSync(log, "\nneedle in the hay\n", size / 2);
  writeSync(log, "\nthe last line\n", size - 15);
  closeSync(log);
  await using server = await Server.start(box);
  await using page = await openPage(server, `#/jobs/${job.job_id}?log=stdout`);
  await page.see("the last line", ".log-body");
  await page.see("of 1.07 GB", ".log");
  await page.evaluate(`(() => {
    const field = document.querySelector(".log input[type=search]");
    field.value = "needle";
    field.form.requestSubmit();
  })()`);
  await page.until(
    "it is found",
    `document.querySelector(".log-line.is-found")?.innerText.trim() === "needle in the hay"`,
  );
  await page.evaluate(`(() => {
    const slider = document.querySelector(".log input[type=range]");
    slider.value = 0;
    slider.dispatchEvent(new Event("change"));
  })()`);
  await page.see("begin\n", ".log-body");
  const loaded = await page.evaluate<number>(
    `performance.getEntriesByType("resource").filter(({ name }) => name.includes("/stdout?")).reduce((sum, { transferSize }) => sum + transferSize, 0)`,
  );
  expect(loaded).toBeGreaterThan(0);
  expect(loaded).toBeLessThan(2_000_000);
  expectQuiet(page, server);
});

chromium("filters are in the address: they hold after a reload, and a link leads to them", async () => {
  await using box = new Sandbox();
  await run(box, "backup-a", "exit 1", "--label", "team=ops");
  await run(box, "backup-b", "true", "--label", "team=ops");
  await run(box, "report", "exit 1");
  await using server = await Server.start(box);
  await using page = await openPage(server, "#/jobs?status=FAILED");
  await page.see("2 jobs");
  await page.evaluate(`(() => {
    const [prefix] = document.querySelectorAll("form[aria-label=Filter] input[type=search]");
    prefix.value = "backup-";
    prefix.dispatchEvent(new Event("input"));
  })()`);
  await page.see("1 job\n");
  expect(await page.text("main")).toContain("backup-a");
  expect(await page.evaluate("location.hash")).toBe("#/jobs?status=FAILED&prefix=backup-");
  await page.send("Page.reload");
  await page.see("1 job\n");
  expect(await page.evaluate(`document.querySelector("input[value=FAILED]").checked`)).toBe(true);
  await page.go("#/jobs?label=team%3Dops");
  await page.see("2 jobs");
  await page.go("#/jobs?label=nonsense");
  await page.until(
    "the reason is shown",
    `document.querySelector("[role=alert]:not([hidden])")?.innerText.includes("nonsense")`,
  );

  await page.go("#/keys?prefix=back");
  await page.see("2 run keys beginning with back");
  await page.go("#/jobs/01a20fd5-733f-7698-861e-48a659795e65");
  await page.see("there is no job");
  await page.go("#/nowhere");
  await page.see("There is no such page");
  // The browser's own line about the 400 and the 404.
  expect(page.complaints.filter((text) => !/status of 40[04]/.test(text))).toEqual([]);
});

chromium("hostile texts are shown and do nothing", async () => {
  await using box = new Sandbox();
  const script = "<script>globalThis.ran=1</script><img src=x onerror=globalThis.ran=2>";
  const key = `${script}\u202eevil\u2066 ../%2e javascript:alert(1)`;
  const output = `${script}\\n\\033]0;title\\007\\033[31mred\\033[0m \\342\\200\\256desrever \\000\\033[2J<b>bold</b>\\n`;
  const job = await run(
    box,
    key,
    `printf '${output}'; printf '${output}' >&2; exit 1`,
    "--label",
    `x=${script}\u202e`,
  );
  await using server = await Server.start(box);
  await using page = await openPage(server);
  const own = [`#/jobs/${job.job_id}`, `#/keys/${encodeURIComponent(key)}`];
  for (const view of ["#/", "#/timeline", "#/jobs", "#/keys", ...own]) {
    await page.go(view);
    await page.see(
      "<script>globalThis.ran=1</script><img src=x onerror=globalThis.ran=2>\\u202eevil\\u2066 ../%2e",
    );
    expect(
      await page.evaluate(
        `[globalThis.ran, document.querySelectorAll("main script, main img, main b").length]`,
      ),
    ).toEqual([null, 0]);
    // Neither in what is seen nor in what is read aloud.
    const said = `[document.title, document.body.innerText, ...[...document.querySelectorAll("[title], [aria-label]")].map((one) => one.title + one.ariaLabel)].join("")`;
    expect(await page.evaluate<string>(said)).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u0000\u001b]/);
    if (view.startsWith("#/jobs/")) {
      await page.see("<b>bold</b>", "#log-stderr .log-body");
      const log = await page.text("#log-stderr .log-body");
      expect(log).toBe(`${script}\nred \\u202edesrever \\x00<b>bold</b>\n`.trimEnd());
      expect(await page.text("#log-stderr .fg-1")).toBe("red");
      await page.picture(join(PICTURES, "hostile.png"));
    }
  }
  expectQuiet(page, server);
});

chromium("a key's page shows durations, what is usual, and the calendar; each can be read", async () => {
  await using box = new Sandbox();
  await run(box, "other", "true");
  addHistory(box, [
    ...daily("nightly", 100),
    { runKey: "nightly", startedAgo: 3_600, took: 400, status: "FAILED" },
  ]);
  await using server = await Server.start(box);
  await using page = await openPage(server, "#/keys/nightly");
  await page.see("nightly");
  expect(await page.text(".tiles")).toMatch(
    /Runs\s+21\b[\s\S]*Succeeded\s+95 %[\s\S]*Median\s+1 m 42 s[\s\S]*95 % within\s+1 m 44 s/,
  );
  expect(await page.evaluate(`document.querySelectorAll(".durations a").length`)).toBe(21);
  const newest = await page.evaluate<string>(
    `document.querySelector(".durations a:last-of-type").getAttribute("aria-label")`,
  );
  expect(newest).toMatch(/^Failed, 6 m 40 s, \d{4}-\d\d-\d\d /);
  const today = await page.evaluate<readonly string[]>(
    `[...document.querySelectorAll(".calendar a")].map((day) => day.getAttribute("aria-label"))`,
  );
  expect(today.length).toBeGreaterThanOrEqual(20);
  expect(today.join("; ")).toContain("1 failed");
  expectQuiet(page, server);
});

chromium("dark and light follow the system, until somebody chooses", async () => {
  await using box = new Sandbox();
  await run(box, "k", "true");
  await using server = await Server.start(box);
  await using page = await openPage(server, "", { dark: true });
  const ground = () => page.evaluate<string>("getComputedStyle(document.documentElement).backgroundColor");
  expect(await ground()).toBe("rgb(20, 22, 26)");
  const choose = (value: string) =>
    page.evaluate(`(() => {
      const select = document.querySelector("select[aria-label=Theme]");
      select.value = "${value}";
      select.dispatchEvent(new Event("change"));
    })()`);
  await choose("light");
  expect(await ground()).toBe("rgb(247, 247, 245)");
  await page.evaluate("globalThis.isOld = true");
  await page.send("Page.reload");
  await page.until(
    "it is loaded again",
    `!globalThis.isOld && document.querySelector(".view:not([aria-busy])")`,
  );
  expect(await ground()).toBe("rgb(247, 247, 245)");
  await choose("auto");
  expect(await ground()).toBe("rgb(20, 22, 26)");
});

/** Texts with too little contrast, controls without a name, headings that skip a level, missing landmarks. */
const FAULTS = `(() => {
  const faults = [];
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (color) => color
    .map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest(".only-heard, .skip, option, :disabled")) continue;
    const grounds = [];
    for (let up = element; up; up = up.parentElement) grounds.unshift(getComputedStyle(up).backgroundColor);
    const style = getComputedStyle(element);
    const color = element.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(rgb(grounds)), light(rgb([...grounds, color]))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.push(ratio.toFixed(2) + " " + element.className + " " + node.textContent.slice(0, 40));
  }
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3")) {
    if (!heading.checkVisibility()) continue;
    const now = Number(heading.tagName[1]);
    if (now > level + 1) faults.push("heading skips a level: " + heading.innerText);
    level = now;
  }
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  for (const landmark of ["header", "nav[aria-label]", "main", "footer", "form[role=search]", "[aria-live=polite]"])
    if (!document.querySelector(landmark)) faults.push("no " + landmark);
  return faults;
})()`;

interface AxNode {
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
}

/** The roles of what can be operated or stands for a picture, and has no name for a screen reader. */
async function unnamed(page: Page): Promise<readonly string[]> {
  const { nodes } = await page.send<{ nodes: readonly AxNode[] }>("Accessibility.getFullAXTree");
  const named =
    /^(button|link|textbox|searchbox|checkbox|slider|combobox|tab|tabpanel|image|img|application)$/i;
  return nodes
    .filter(({ ignored, name }) => !ignored && !name?.value.trim())
    .map(({ role }) => role?.value ?? "")
    .filter((role) => named.test(role));
}

chromium("every view fits 390 px, has contrast, names and headings, in both themes", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const long =
    "a-run-key-that-goes-on-and-on-without-any-place-to-break-it-because-somebody-built-it-from-parts";
  const bad = await run(
    box,
    "import",
    "seq 2000; echo '\\033[31mred\\033[0m and a-very-long-word-'$(seq -s x 400) >&2; exit 1",
  );
  await run(box, long, "exit 2", "--label", `team=${long}`);
  addHistory(box, daily("nightly", 60));
  await startWaiting(box, "nightly", gate);
  await using server = await Server.start(box);
  for (const dark of [false, true]) {
    await using page = await openPage(server, "", { dark, width: 390, height: 844 });
    for (const view of [
      "#/",
      "#/timeline",
      "#/jobs",
      "#/keys",
      `#/jobs/${bad.job_id}`,
      "#/keys/nightly",
      `#/keys/${long}`,
      "#/fleet",
    ]) {
      await page.go(view);
      if (view.startsWith("#/jobs/")) await page.see("red and", "#log-stderr .log-body");
      expect({
        view,
        dark,
        width: await page.evaluate(WIDTH),
        faults: await page.evaluate(FAULTS),
      }).toEqual({
        view,
        dark,
        width: 390,
        faults: [],
      });
      expect({ view, unnamed: await unnamed(page) }).toEqual({ view, unnamed: [] });
    }
    await page.go("#/");
    await page.picture(join(PICTURES, `narrow-${dark ? "dark" : "light"}.png`), true);
  }
  gate.open();
});

chromium("everything is reached with the keyboard alone, and shows where the focus is", async () => {
  await using box = new Sandbox();
  await run(box, "import", "exit 1");
  await using server = await Server.start(box);
  await using page = await openPage(server);
  const focus = () =>
    page.evaluate<string>(
      "document.activeElement.innerText || document.activeElement.getAttribute('aria-label')",
    );
  await page.press("Tab");
  expect(await focus()).toBe("Skip to the content");
  await page.press("Enter");
  expect(await page.evaluate("document.activeElement.id")).toBe("main");

  // From stop to stop: each is visible, and each is marked.
  const stops: string[] = [];
  for (let count = 0; count < 8; count += 1) {
    await page.press("Tab");
    if (await page.evaluate("document.activeElement === document.body")) break;
    const stop = await page.evaluate<{ text: string; outline: string; seen: boolean }>(`(() => {
      const { activeElement: element } = document;
      return { text: element.innerText, outline: getComputedStyle(element).outlineStyle, seen: element.checkVisibility() };
    })()`);
    stops.push(stop.text);
    if (stop.text !== "") expect(stop).toMatchObject({ outline: "solid", seen: true });
  }
  expect(stops).toContain("import");
  expect(stops).toContain("Log");

  await page.press("g");
  await page.press("j");
  await page.see("1 job\n");
  expect(await page.evaluate("document.activeElement.id")).toBe("main");
  await page.press("?");
  await page.see("Keyboard shortcuts", "dialog[open]");
  await page.press("Escape");
  await page.until("the help is closed", `document.querySelector("dialog:not([open])")`);
  await page.press("/");
  for (const letter of "imp") await page.press(letter);
  await page.press("Enter");
  await page.see("1 run key beginning with imp");
  expectQuiet(page, server);
});

chromium("the page says when the server is gone, and goes on when it is back", async () => {
  await using box = new Sandbox();
  await run(box, "k", "true");
  const first = await Server.start(box);
  await using page = await openPage(first);
  await page.until("it is live", `document.querySelector(".connection").innerText === "Live"`);
  const port = new URL(first.origin!).port;
  await Bun.write(join(box.directory, "token"), `${first.token}\n`);
  await first.stop();
  await page.until("it says so", `document.querySelector(".connection").innerText === "No connection"`);
  await page.go("#/jobs");
  await page.see("is `orchesjob serve` still running?");
  await page.go("#/keys");
  await page.see("is `orchesjob serve` still running?");
  await Bun.spawn(["chmod", "600", join(box.directory, "token")]).exited;
  await using _again = await Server.start(
    box,
    ["--listen", `127.0.0.1:${port}`, "--token-file", join(box.directory, "token")],
    first.token,
  );
  await page.see("1 run key");
  await page.until("it is live", `document.querySelector(".connection").innerText === "Live"`);
});

testWith(
  ["chromium", "postgresql"],
  "the fleet's page shows members, their leases, and who runs what",
  async () => {
    await using fleet = await Fleet.create(await postgres());
    const [here, there] = await fleet.members(2);
    await using gate = new Gate(fleet);
    await startWaiting(there!, "over-there", gate);
    await startWaiting(here!, "right-here", gate);
    await using server = await Server.start(here!);
    await using page = await openPage(server, "#/fleet");
    await page.see("m2");
    expect(await page.text(".tiles")).toMatch(/Members\s+2\b[\s\S]*Without a lease\s+0\b/);
    await page.see("over-there");
    expect(await page.text(".card:last-child")).toMatch(/m2\s+over-there/);
    expect(await page.text(".card:last-child")).toMatch(/\(this one\)\s+right-here/);
    await page.picture(join(PICTURES, "fleet.png"));

    // The log of a job of another host is there, and the page says where.
    await page.evaluate(
      `[...document.querySelectorAll("main a")].find((link) => link.innerText === "over-there").click()`,
    );
    await page.see("and its output is on host", "#log");
    expect(page.complaints.filter((text) => !/status of 40[49]/.test(text))).toEqual([]);
    gate.open();
  },
);

/** Run keys of an imaginary host: hours between runs, seconds that one takes, and how many of a hundred fail. */
const HOST: readonly (readonly [runKey: string, hours: number, seconds: number, bad: number])[] = [
  ["backup-db1", 24, 1500, 3],
  ["backup-db2", 24, 900, 2],
  ["billing-export", 12, 1100, 2],
  ["geo-refresh", 8, 700, 6],
  ["import-orders", 1, 140, 4],
  ["import-prices", 0.5, 35, 2],
  ["index-search", 4, 2400, 3],
  ["ledger-close", 24, 3000, 0],
  ["mail-digest", 12, 80, 0],
  ["renew-certs", 24, 9, 0],
  ["report-daily", 24, 4200, 8],
  ["rotate-logs", 6, 12, 0],
  ["sync-warehouse", 2, 600, 3],
  ["thumbnails", 3, 1900, 1],
];

function pastOfHost(): readonly Past[] {
  // Always the same numbers, so that the pictures differ only where the page does.
  let seed = 11;
  const random = () => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
  return HOST.flatMap(([runKey, hours, seconds, bad]) => {
    const runs: Past[] = [];
    for (let ago = (0.25 + random() * 0.7) * hours * 3600; ago < 35 * 86_400; ago += hours * 3600) {
      const chance = random() * 100;
      const status =
        (runKey === "sync-warehouse" && ago < 5 * 3600) || chance < bad
          ? "FAILED"
          : chance < bad + 0.5
            ? "LOST"
            : chance < bad + 1
              ? "CANCELLED"
              : "SUCCEEDED";
      const took = seconds * (0.8 + random() * 0.4) * (status === "FAILED" ? 0.4 : 1);
      if (took < ago) runs.push({ runKey, startedAgo: ago, took, status });
    }
    return runs;
  });
}

chromium("the pictures of the README", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  await run(box, "cache-warm", "true");
  addHistory(box, pastOfHost());
  await startWaiting(box, "thumbnails", gate);
  const slow = `echo 'rendered page 812 of 900'; ${gate.wait}`;
  await box.json(["start", "--run-key", "report-daily", "--label", "team=finance", "--", "sh", "-c", slow]);
  edit(
    box,
    `update job_records set started_at = started_at - case run_key when 'thumbnails' then 540 else 7900 end * 1000000
     where status = 'RUNNING'`,
  );
  await run(
    box,
    "sync-warehouse",
    "echo 'ERROR cannot connect to warehouse-2: connection refused' >&2; exit 1",
  );
  await using server = await Server.start(box);
  await using light = await openPage(server, "", { height: 900 });
  await light.see("warehouse-2");
  await light.see("rendered page 812 of 900");
  expect(await light.text(".tiles")).toMatch(/Running\s+2\s+1 longer than usual/);
  await light.until("the hours are drawn", `document.querySelector(".hours")`);
  await light.picture(join(PICTURES, "readme-overview.png"));
  await using dark = await openPage(server, "#/timeline?span=day", { dark: true, height: 780 });
  await dark.see("15 keys");
  await dark.evaluate(`document.querySelector(".timeline").focus()`);
  await dark.press("End");
  await dark.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
  await dark.picture(join(PICTURES, "readme-timeline.png"));
  gate.open();
});
