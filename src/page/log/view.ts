/** The log of a job: a window over its bytes that moves with the scroll bar, follows the end, and goes to what is searched. */
import { get, getPiece } from "../api.ts";
import { h, setText } from "../dom.ts";
import { bytes, count } from "../text.ts";
import { highlight, showLines } from "./lines.ts";
import { Search } from "./search.ts";
import { CHUNK, LogWindow } from "./window.ts";
import type { Found } from "../wire.ts";

export type Stream = "stdout" | "stderr";

export interface LogView {
  readonly element: HTMLElement;
  /** Shows the end. */
  readonly open: () => Promise<void>;
  /** Called when the log has grown to so many bytes. */
  readonly grown: (size: number) => void;
}

/** How near to an edge the next part is loaded, in pixels. */
const NEAR = 600;
/** Most requests that fill the window. */
const MOST_TRIES = 3;
/** The positions of the slider. */
const PLACES = 1_000;

export function logView(jobId: string, stream: Stream, signal: AbortSignal): LogView {
  const path = `/api/jobs/${encodeURIComponent(jobId)}/${stream}`;
  const window = new LogWindow((from, max) => getPiece(`${path}?from=${from}&max=${max}`, signal));
  const search = new Search((wanted, from) =>
    get<Found>(`${path}/search?${new URLSearchParams({ q: wanted, from: String(from) })}`, signal),
  );
  let isFollowing = true;
  let size = 0;
  /** One change of the window after the other. */
  let queue: Promise<unknown> = Promise.resolve();

  const body = h("pre", {
    class: "log-body",
    tabindex: 0,
    role: "region",
    "aria-label": `Text of ${stream}`,
  });
  const empty = h("p", { class: "log-empty" }, "Nothing yet.");
  const place = h("span", { class: "soft small nowrap" });
  const trouble = h("p", { class: "note bad", role: "alert", hidden: true });
  const slider: HTMLInputElement = h("input", {
    type: "range",
    min: 0,
    max: PLACES,
    "aria-label": "Place in the log",
    onchange: () => void goTo(Math.floor((Number(slider.value) / PLACES) * window.size)),
  });
  const follow = h("button", { type: "button", onclick: () => void toEnd() }, "Follow the end");
  const start = h("button", { type: "button", onclick: () => void toStart() }, "Beginning");
  const field = h("input", {
    type: "search",
    "aria-label": `Search in ${stream}`,
    placeholder: "Search",
    spellcheck: "false",
    autocomplete: "off",
  });
  const said = h("span", { class: "small nowrap", role: "status" });
  const form = h(
    "form",
    {
      class: "toolbar",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        if (field.value !== search.wanted) search.start(field.value);
        void find(1);
      },
    },
    field,
    h("button", { type: "submit" }, "Next"),
    h("button", { type: "button", onclick: () => void find(-1) }, "Previous"),
    said,
  );

  /** Runs one after the other; says what went wrong. */
  const act = (work: () => Promise<void>): Promise<void> => {
    const done = queue.then(async () => {
      try {
        await work();
        trouble.hidden = true;
      } catch (error) {
        if (signal.aborted) return;
        trouble.hidden = false;
        empty.hidden = true;
        setText(trouble, `Cannot read this log: ${error instanceof Error ? error.message : String(error)}`);
      }
    });
    queue = done;
    return done;
  };

  const render = () => {
    showLines(body, window.lines);
    highlight(body, search.wanted);
    size = Math.max(size, window.size);
    empty.hidden = window.lines.length > 0;
    body.hidden = window.lines.length === 0;
    slider.hidden = window.isAtStart && window.isAtEnd;
    slider.value = String(Math.round((window.to / Math.max(1, window.size)) * PLACES));
    slider.setAttribute("aria-valuetext", `${bytes(window.from)} of ${bytes(window.size)}`);
    setText(
      place,
      window.isAtStart && window.isAtEnd
        ? bytes(window.size)
        : `${bytes(window.from)} – ${bytes(window.to)} of ${bytes(window.size)}`,
    );
    follow.setAttribute("aria-pressed", String(isFollowing));
  };

  /** Loads more where the window is not full, as after a line that could not be loaded whole. */
  const fill = async (side: "before" | "after") => {
    const isThere = () => (side === "before" ? window.isAtStart : window.isAtEnd);
    for (let tries = 0; tries < MOST_TRIES && !isThere(); tries += 1) {
      if (body.scrollHeight > body.clientHeight + NEAR) return;
      await window[side]();
      render();
    }
  };
  const toEnd = () => {
    isFollowing = true;
    return act(async () => {
      const isNear = window.isAtEnd && window.lines.length > 0 && size - window.to < CHUNK;
      await (isNear ? window.after() : window.end());
      render();
      await fill("before");
      body.scrollTop = body.scrollHeight;
    });
  };
  const toStart = () => goTo(0);
  const goTo = (offset: number) => {
    isFollowing = false;
    return act(async () => {
      await window.around(offset);
      render();
      await fill("after");
      const element = [...body.children].findLast((line) => Number(line.getAttribute("data-at")) <= offset);
      body.scrollTop = element instanceof HTMLElement ? element.offsetTop - body.offsetTop - 8 : 0;
    });
  };
  const find = async (by: 1 | -1) => {
    if (search.wanted === "" && field.value === "") {
      setText(said, "");
      highlight(body, "");
      return;
    }
    if (search.wanted !== field.value) search.start(field.value);
    setText(said, "Searching …");
    let line: number | undefined;
    await act(async () => {
      line = await search.go(by);
    });
    setText(
      said,
      line === undefined
        ? "Not found"
        : search.isComplete
          ? `Match ${count(search.place)} of ${count(search.known)}`
          : `Match ${count(search.place)}; more may follow`,
    );
    if (line === undefined) return highlight(body, "");
    await goTo(line);
    for (const element of body.children)
      element.classList.toggle("is-found", element.getAttribute("data-at") === String(line));
  };

  body.addEventListener("scroll", () => {
    const below = body.scrollHeight - body.scrollTop - body.clientHeight;
    const isAtBottom = below < 4 && window.isAtEnd;
    if (isAtBottom !== isFollowing) {
      isFollowing = isAtBottom;
      follow.setAttribute("aria-pressed", String(isFollowing));
    }
    if (body.scrollTop < NEAR && !window.isAtStart) void more("before");
    else if (below < NEAR && !window.isAtEnd) void more("after");
  });
  let isLoading = false;
  const more = async (side: "before" | "after") => {
    if (isLoading) return;
    isLoading = true;
    await act(async () => {
      await window[side]();
      // What is read stays where it is: the first line that stays is the measure.
      const old = [...body.children] as HTMLElement[];
      const kept = new Set(window.lines.map(({ at }) => String(at)));
      const measure = old.find(
        (line) => kept.has(line.dataset["at"]!) && line.offsetTop >= body.scrollTop + body.offsetTop,
      );
      const before = measure?.offsetTop ?? 0;
      render();
      if (measure?.isConnected) body.scrollTop += measure.offsetTop - before;
    });
    isLoading = false;
  };
  body.addEventListener("keydown", (event) => {
    if (event.key === "Home") void toStart();
    else if (event.key === "End") void toEnd();
    else return;
    event.preventDefault();
  });

  return {
    element: h(
      "div",
      { class: "log" },
      h(
        "div",
        { class: "toolbar log-tools" },
        follow,
        start,
        slider,
        place,
        h(
          "a",
          { href: `${path}?max=${Number.MAX_SAFE_INTEGER}`, download: `${jobId}.${stream}`, class: "small" },
          "Download",
        ),
        form,
      ),
      trouble,
      empty,
      body,
    ),
    open: toEnd,
    grown(now) {
      if (now === size) return;
      size = now;
      if (isFollowing) void toEnd();
      else
        void act(async () => {
          // What is read does not move: more is loaded only if there is room for it.
          window.resize(now);
          await fill("after");
          render();
        });
    },
  };
}
