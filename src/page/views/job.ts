/** A job: how it is or ended, against what is usual, its log, and all its fields. */
import { get, getKey } from "../api.ts";
import { h, setText } from "../dom.ts";
import { everySecond, listen } from "../live.ts";
import { type LogView, logView, type Stream } from "../log/view.ts";
import { isActive, statusOf, WORDS } from "../outcome.ts";
import { againstBar, slowness, usually } from "../parts/against.ts";
import { codeOf, jobText, reasonOf } from "../parts/cells.ts";
import { factsOf } from "../parts/facts.ts";
import { at, now, took } from "../parts/time.ts";
import { address, jobAddress, keyAddress, type Route } from "../route.ts";
import { announce, titleOf } from "../shell.ts";
import { ago, commandLine, duration, full, moment, rough, visible } from "../text.ts";
import type { Job, Key, Run } from "../wire.ts";

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
    facts.replaceChildren(factsOf(job as unknown as Record<string, unknown>, withEmpty.checked));
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
  everySecond(signal, tick);
  void logs.open();

  const take = (next: Job) => {
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

/** "Failed at 02:13:05, 35 min ago, after 2 m 14 s." */
export function sentenceOf(job: Job): string {
  const seconds = took(job);
  if (job.status === "STARTING")
    return job.retry_at === null
      ? "Accepted; its command does not run yet."
      : `Waits until ${full(at(job.retry_at))}.`;
  if (job.finished_at === null && !isActive(job.status))
    return `Lost since it began ${moment(at(job.started_at), now())}: its worker is gone.`;
  if (job.finished_at === null)
    return `Running for ${duration(seconds)}, since ${moment(at(job.started_at), now())}.`;
  const end = at(job.finished_at);
  const found = job.finished_at_detected ? "Found to be lost" : WORDS[job.status];
  return `${found} ${ago(end, now())}, ${full(end)}, after ${duration(seconds)}.`;
}

function notesOf(job: Job): readonly HTMLElement[] {
  const notes: HTMLElement[] = [];
  const note = (kind: string, ...children: readonly (Node | string)[]) =>
    notes.push(h("p", { class: `note ${kind}`.trimEnd() }, ...children));
  const reason = reasonOf(job);
  if (reason !== "") note(job.status === "FAILED" ? "bad" : "odd", jobText(reason));
  if (job.stalled_since !== null) note("odd", `Stalled: no output since ${full(at(job.stalled_since))}.`);
  if (job.orphan_pids.length > 0)
    note(
      "odd",
      `Its command still runs (process ${job.orphan_pids.join(", ")}) and holds the run key. End it: `,
      h("code", { class: "mono" }, `orchesjob cancel --job-id ${job.job_id}`),
    );
  if (job.silent_seconds !== null)
    note(
      "odd",
      `The member ${visible(job.member ?? "")} was not heard for ${rough(job.silent_seconds)}: this is the last that is known.`,
    );
  if (job.retried_by_job_id !== null)
    note(
      "",
      "Another attempt followed: ",
      h("a", { href: jobAddress(job.retried_by_job_id) }, "open it"),
      ".",
    );
  return notes;
}

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
