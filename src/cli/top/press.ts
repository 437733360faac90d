/** What each key does: the next state, and what the program has to do for it. Pure. */
import { isActive } from "../../job/status.ts";
import { type Key, PASTED } from "./keys.ts";
import {
  bodyHeight,
  chosenJob,
  current,
  type Effect,
  extentOf,
  type Page,
  place,
  settle,
  type State,
  withCurrent,
} from "./model.ts";

export interface Pressed {
  readonly state: State;
  readonly effect?: Effect;
}

const MOST_FILTER = 200;

export function press(before: State, key: Key): Pressed {
  const state = { ...before, message: "" };
  if (key === "ctrl-c") return { state, effect: { do: "quit" } };
  if (key === "ctrl-z") return { state, effect: { do: "suspend" } };
  if (key === "ctrl-l") return { state, effect: { do: "redraw" } };
  if (state.question !== undefined) return answerQuestion(state, key);
  if (state.isTyping) return { state: settle(type(state, key)) };
  return pressOnPage(state, key);
}

function answerQuestion(state: State, key: Key): Pressed {
  const { action, target } = state.question!;
  const answered = { ...state, question: undefined };
  if (key !== "y" && key !== "Y") return { state: { ...answered, message: "Nothing was done." } };
  return { state: answered, effect: { do: action, target } };
}

/** Each change of the filter shows at once. */
function type(state: State, key: Key): State {
  const { filter } = state;
  switch (key) {
    case "enter":
      return { ...state, isTyping: false };
    case "escape":
      return { ...state, isTyping: false, filter: "" };
    case "backspace":
      return filter === ""
        ? { ...state, isTyping: false }
        : { ...state, filter: [...filter].slice(0, -1).join("") };
    case "ctrl-u":
      return { ...state, filter: "" };
    case "ctrl-w":
      return { ...state, filter: filter.replace(/\S*\s*$/u, "") };
    case "up":
    case "down":
      return move({ ...state, isTyping: false }, key) ?? state;
    default: {
      const character = key.startsWith(PASTED) ? key.slice(PASTED.length) : key;
      const isTaken = /^[^\p{Cc}]$/u.test(character) && filter.length < MOST_FILTER;
      return isTaken ? withCurrent({ ...state, filter: filter + character }, { first: 0 }) : state;
    }
  }
}

function pressOnPage(state: State, key: Key): Pressed {
  const { page } = current(state);
  const moved = move(state, key);
  if (moved !== undefined) return { state: settle(moved) };
  const job = chosenJob(state);
  switch (key) {
    case "q":
    case "escape":
      if (state.pages.length > 1) return { state: settle({ ...state, pages: state.pages.slice(0, -1) }) };
      if (key === "q") return { state, effect: { do: "quit" } };
      return { state: settle({ ...state, filter: "" }) };
    case "?":
      return page.kind === "help" ? { state } : open(state, { kind: "help" });
    case "enter":
      if (page.kind === "log" || page.kind === "help" || page.kind === "members")
        return { state: settle({ ...state, pages: state.pages.slice(0, -1) }) };
      if (job === undefined) return { state };
      return {
        ...open(state, {
          kind: "log",
          target: job,
          stream: "stdout",
          text: undefined,
          indent: 0,
          follows: true,
        }),
        effect: { do: "read" },
      };
    case "h":
      if (job === undefined || page.kind === "history") return { state };
      return {
        ...open(state, { kind: "history", runKey: job.runKey, runs: undefined, usual: undefined }),
        effect: { do: "read" },
      };
    case "c":
    case "r":
      return job === undefined ? { state } : { state: ask(state, key === "c" ? "cancel" : "rerun") };
    case "/":
      return page.kind === "jobs" ? { state: { ...state, isTyping: true } } : { state };
    case "m":
      if (page.kind === "members") return { state };
      if (state.data.members === undefined)
        return { state: { ...state, message: "This state directory is in no fleet." } };
      return { ...open(state, { kind: "members" }), effect: { do: "read" } };
    case "tab":
      if (page.kind !== "log") return { state };
      return {
        state: withCurrent(state, {
          page: {
            ...page,
            stream: page.stream === "stdout" ? "stderr" : "stdout",
            text: undefined,
            follows: true,
          },
        }),
        effect: { do: "read" },
      };
    default:
      return { state };
  }
}

function open(state: State, page: Page): Pressed {
  return { state: settle({ ...state, pages: [...state.pages, place(page)] }) };
}

function ask(state: State, action: "cancel" | "rerun"): State {
  const job = chosenJob(state)!;
  const { jobId, runKey, status } = job;
  const isRunning = isActive(job.status);
  // Processes of a lost job may live: then cancel ends them, and otherwise it says that there are none.
  if (action === "cancel" && !isRunning && job.status !== "LOST")
    return { ...state, message: `There is nothing to cancel: ${job.runKey} is ${job.status}.` };
  if (action === "rerun" && isRunning)
    return { ...state, message: `${job.runKey} is ${job.status}: it can be run again when it has ended.` };
  return { ...state, question: { action, target: { jobId, runKey, status } } };
}

/** The state after a key that moves; undefined if it does not. */
function move(state: State, key: Key): State | undefined {
  const { page, chosen, first } = current(state);
  const height = bodyHeight(state);
  const { lines } = extentOf(state);
  const by = (step: number): State => {
    if (page.kind === "help") return withCurrent(state, { first: first + step });
    if (page.kind !== "log") return withCurrent(state, { chosen: chosen + step, chosenId: undefined });
    const wanted = Math.max(0, first + step);
    return withCurrent(state, { first: wanted, page: { ...page, follows: wanted >= lines - height } });
  };
  switch (key) {
    case "up":
    case "k":
      return by(-1);
    case "down":
    case "j":
      return by(1);
    case "pageup":
    case "ctrl-b":
      return by(-height);
    case "pagedown":
    case "ctrl-f":
    case " ":
      return by(height);
    case "home":
    case "g":
      return by(-lines);
    case "end":
    case "G":
      return by(lines);
    case "left":
    case "right": {
      if (page.kind !== "log") return undefined;
      const half = Math.max(1, Math.floor(state.size.columns / 2));
      const indent = Math.max(0, page.indent + (key === "right" ? half : -half));
      return withCurrent(state, { page: { ...page, indent } });
    }
    default:
      return undefined;
  }
}
