/** A job: how it is or ended, against what is usual, its log, and all its fields. */
import { get, getKey } from "../api.ts";
import { h, setText } from "../dom.ts";
import { everySecond, listen } from "../live.ts";
import { type LogView, logView, type Stream } from "../log/view.ts";
import { isActive, statusOf, WORDS } from "../outcome.ts";
import { againstBar, slowness, usually } from "../parts/against.ts";
import { codeOf, jobText } from "../parts/cells.ts";
import { factsOf, replaceFacts } from "../parts/facts.ts";
import { notesOf, sentenceOf } from "../parts/sentences.ts";
import { took } from "../parts/time.ts";
import { address, jobAddress, keyAddress, type Route } from "../route.ts";
import { announce, titleOf } from "../shell.ts";
import { commandLine, visible } from "../text.ts";
import type { Job, Key, Run } from "../wire.ts";

/** How often a running job is read without an event, in seconds. */
const LOOK = 3;
const STREAMS: readonly Stream[] = ["stdout", "stderr"];

export async function showJob(
  into: HTMLElement,
  { path, query }: Route,
  signal: AbortSignal,
): Promise<string> {
  const id = path[1]!;
  const url = `/api/jobs/${encodeURIComponent(id)}`;
  let job = await get<Job>(url, signal);
  const key = job.member === null ? await getKey(job.run_key, signal).catch(() => undefined) : undefined;
  const usual = key?.usual ?? null;

  const status = h("span");
  const summary = h("p");
  const compared = h("p", { class: "toolbar small" });
  const notes = h("div", { class: "view" });
  const facts = h("div", { class: "body" });
  const command = h("code", { class: "command job-text" });
  const withEmpty: HTMLInputElement = h("input", { type: "checkbox", onchange: () => render() });

  const render = () => {
    status.replaceChildren(statusOf(job.status, codeOf(job)));
    notes.replaceChildren(...notesOf(job));
    notes.hidden = notes.childElementCount === 0;
    setText(command, visible(commandLine(job.command)));
    replaceFacts(facts, factsOf(job as unknown as Record<string, unknown>, withEmpty.checked));
    tick();
  };
  const tick = () => {
    setText(summary, sentenceOf(job));
    const seconds = took(job);
    const words = slowness(seconds, usual) || usually(usual);
    const text = h("span", { class: slowness(seconds, usual) === "" ? "soft" : "slow" }, words);
    compared.replaceChildren(...[againstBar(seconds, usual), text].filter((part) => part !== null));
    compared.hidden = words === "";
  };

  const chosen = query.get("log");
  const logs = logTabs(
    id,
    chosen === "stderr" || (chosen === null && job.status === "FAILED") ? "stderr" : "stdout",
    signal,
  );
  into.append(
    h(
      "div",
      {},
      h(
        "p",
        { class: "soft small" },
        job.member === null
          ? h("a", { href: keyAddress(job.run_key) }, "All runs of this key")
          : `On ${visible(job.host)}, member ${visible(job.member)}`,
        ...neighbours(job, key),
      ),
      h(
        "div",
        { class: "head" },
        h("h1", {}, jobText(job.run_key), h("span", { class: "soft" }, ` run ${job.attempt_no}`)),
        status,
      ),
      summary,
      compared,
    ),
    notes,
    command,
    logs.element,
    h(
      "section",
      { class: "card" },
      h(
        "header",
        {},
        h("h2", {}, "All fields"),
        h("label", { class: "check small" }, withEmpty, "Show empty fields"),
      ),
      facts,
    ),
  );
  render();
  let seconds = 0;
  everySecond(signal, () => {
    tick();
    seconds += 1;
    // Its silence and its last line change without an event.
    if (isActive(job.status) && seconds % LOOK === 0) void get<Job>(url, signal).then(take, () => undefined);
  });
  void logs.open();

  const take = (next: Job) => {
    // An answer that was overtaken by the event of the end.
    if (isActive(next.status) && !isActive(job.status)) return;
    if (isActive(job.status) && !isActive(next.status)) announce(sentenceOf(next));
    job = next;
    document.title = titleOf(titleOfJob(job));
    render();
  };
  listen(
    `${url}/events`,
    ["job", "log", "end", "gone"],
    signal,
    (name, data) => {
      if (name === "job") take(JSON.parse(data) as Job);
      else if (name === "log") logs.grown(JSON.parse(data) as Record<Stream, number>);
      else if (name === "gone") notes.append(h("p", { class: "note odd" }, "This job was deleted."));
    },
    "end",
  );
  return titleOfJob(job);
}

const titleOfJob = (job: Job) => `${visible(job.run_key)}: ${WORDS[job.status].toLowerCase()}`;

function neighbours(job: Job, key: Key | undefined): readonly (Node | string)[] {
  const jobs = key?.runs ?? [];
  const place = jobs.findIndex(({ job_id }) => job_id === job.job_id);
  if (place < 0) return [];
  const link = (to: Run | undefined, name: string) =>
    to === undefined ? [] : [" · ", h("a", { href: jobAddress(to.job_id) }, name)];
  return [...link(jobs[place + 1], "← Run before"), ...link(jobs[place - 1], "Run after →")];
}

interface LogTabs {
  readonly element: HTMLElement;
  readonly open: () => Promise<void>;
  readonly grown: (sizes: Readonly<Record<Stream, number>>) => void;
}

function logTabs(id: string, first: Stream, signal: AbortSignal): LogTabs {
  const views = new Map<Stream, LogView>(STREAMS.map((stream) => [stream, logView(id, stream, signal)]));
  const opened = new Set<Stream>();
  const tabs = STREAMS.map((stream) =>
    h(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${stream}`,
        "aria-controls": `log-${stream}`,
        onclick: () => void open(stream),
        onkeydown: (event) => {
          if (!(event instanceof KeyboardEvent) || !/^Arrow(Left|Right)$/.test(event.key)) return;
          const other = STREAMS[1 - STREAMS.indexOf(stream)]!;
          void open(other);
          tabs[STREAMS.indexOf(other)]!.focus();
        },
      },
      stream,
    ),
  );
  const panels = STREAMS.map((stream) =>
    h(
      "div",
      { role: "tabpanel", id: `log-${stream}`, "aria-labelledby": `tab-${stream}` },
      views.get(stream)!.element,
    ),
  );
  const open = async (stream: Stream) => {
    for (const [index, name] of STREAMS.entries()) {
      tabs[index]!.setAttribute("aria-selected", String(name === stream));
      tabs[index]!.tabIndex = name === stream ? 0 : -1;
      panels[index]!.hidden = name !== stream;
    }
    history.replaceState(null, "", address(["jobs", id], { log: stream }));
    if (opened.has(stream)) return;
    opened.add(stream);
    await views.get(stream)!.open();
  };
  return {
    element: h(
      "section",
      { class: "card", id: "log" },
      h(
        "header",
        {},
        h("h2", {}, "Log"),
        h("div", { class: "tabs", role: "tablist", "aria-label": "Stream" }, ...tabs),
      ),
      ...panels,
    ),
    open: () => open(first),
    grown(sizes) {
      for (const [stream, view] of views) {
        setText(tabs[STREAMS.indexOf(stream)]!, sizes[stream] === 0 ? `${stream} (empty)` : stream);
        if (opened.has(stream)) view.grown(sizes[stream]);
      }
    },
  };
}
