/** The page that `orchesjob serve` shows: chooses the view by the address, and keeps it until the address changes. */
import { ServerError } from "./api.ts";
import { h } from "./dom.ts";
import { report } from "./live.ts";
import { readRoute, type Route } from "./route.ts";
import { announce, buildShell, titleOf } from "./shell.ts";
import { restoreTheme } from "./theme.ts";
import { showFleet } from "./views/fleet.ts";
import { showJob } from "./views/job.ts";
import { showJobs } from "./views/jobs.ts";
import { showKey } from "./views/key.ts";
import { showKeys } from "./views/keys.ts";
import { showOverview } from "./views/overview.ts";
import { showTimeline } from "./views/timeline.ts";

/**
 * Fills `into`. It has returned when the first data is shown, and goes on until the signal is aborted. Returns the title of
 * the page.
 */
type View = (into: HTMLElement, route: Route, signal: AbortSignal) => Promise<string>;

function viewOf({ path: [name, item] }: Route): View {
  if (name === undefined) return showOverview;
  if (name === "timeline") return showTimeline;
  if (name === "keys") return item === undefined ? showKeys : showKey;
  if (name === "jobs") return item === undefined ? showJobs : showJob;
  if (name === "fleet") return showFleet;
  return async (into) => {
    into.append(h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "To the overview")));
    return "No such page";
  };
}

/** How long after a failed request the view is tried again. */
const RETRY_MS = 2_000;

restoreTheme();
const shell = buildShell();
let running = new AbortController();
let shownPath: string | undefined;

async function show(): Promise<void> {
  running.abort();
  const controller = (running = new AbortController());
  const route = readRoute(location.hash);
  const path = route.path.join("/");
  const isNewPath = path !== shownPath;
  const into = h("div", { class: "view", "aria-busy": "true" });
  shell.select(route.path[0] ?? "");
  if (isNewPath) shell.main.replaceChildren(into);
  try {
    const title = await viewOf(route)(into, route, controller.signal);
    if (controller.signal.aborted) return;
    document.title = titleOf(title);
  } catch (error) {
    if (controller.signal.aborted) return;
    // What the view has begun stops, too.
    controller.abort();
    if (!(error instanceof ServerError)) console.error(error);
    into.append(failure(error));
  }
  // A filter that changed: what was there stays until the new data is there.
  if (!isNewPath) shell.main.replaceChildren(into);
  into.removeAttribute("aria-busy");
  if (isNewPath && shownPath !== undefined) {
    scrollTo(0, 0);
    shell.main.focus({ preventScroll: true });
    announce(document.title);
  }
  shownPath = path;
}

function failure(error: unknown): HTMLElement {
  if (error instanceof ServerError && error.status === 0) retryLater();
  const reason = error instanceof Error ? error.message : String(error);
  return h(
    "div",
    { class: "note bad", role: "alert" },
    h("p", {}, `Cannot show this: ${reason}`),
    h("button", { type: "button", onclick: () => void show() }, "Try again"),
  );
}

/** Tries until the server is back or the reader goes elsewhere. */
function retryLater(): void {
  report("lost");
  const { hash } = location;
  setTimeout(() => {
    if (location.hash === hash) void show();
  }, RETRY_MS);
}

addEventListener("hashchange", () => void show());
void show();
