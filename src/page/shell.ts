/** What stands around every view: the head of the page, the keys of the keyboard, the place of announcements. */
import { h, setText } from "./dom.ts";
import { type Connection, watchConnection } from "./live.ts";
import { address } from "./route.ts";
import { chooseTheme, type Theme, theme } from "./theme.ts";

const VIEWS: readonly { readonly name: string; readonly path: string; readonly key: string }[] = [
  { name: "Overview", path: "", key: "o" },
  { name: "Timeline", path: "timeline", key: "t" },
  { name: "Keys", path: "keys", key: "k" },
  { name: "Jobs", path: "jobs", key: "j" },
  { name: "Fleet", path: "fleet", key: "f" },
];

const CONNECTIONS: Readonly<Record<Connection, string>> = {
  live: "Live",
  waiting: "Connecting",
  lost: "No connection",
};

export interface Shell {
  readonly main: HTMLElement;
  /** Marks a view in the navigation; "" is the overview. */
  readonly select: (path: string) => void;
}

const heard = h("div", { class: "only-heard", role: "status", "aria-live": "polite" });

/** Lets screen readers say something. */
export function announce(text: string): void {
  setText(heard, text);
}

/** What the title of the window is while a view shows this. */
export const titleOf = (view: string) => (view === "" ? "orchesjob" : `${view} · orchesjob`);

export function buildShell(): Shell {
  const main = h("main", { id: "main", tabindex: -1 });
  const links = VIEWS.map(({ name, path }) => h("a", { href: address(path === "" ? [] : [path]) }, name));
  const help = helpDialog();
  const find = h("input", {
    type: "search",
    name: "find",
    placeholder: "Find a run key",
    "aria-label": "Find a run key",
    "aria-keyshortcuts": "/",
    autocomplete: "off",
    spellcheck: "false",
  });
  const form = h(
    "form",
    {
      class: "find",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        location.hash = address(["keys"], { prefix: find.value.trim() });
      },
    },
    find,
  );
  document.body.append(
    h(
      "a",
      {
        class: "skip",
        href: "#main",
        onclick: (event) => {
          // The fragment is the address of the view, so the browser cannot jump by itself.
          event.preventDefault();
          main.focus();
        },
      },
      "Skip to the content",
    ),
    h(
      "header",
      { class: "top" },
      h(
        "div",
        { class: "top-row" },
        h("a", { class: "brand", href: address([]) }, "orchesjob"),
        h("nav", { class: "nav", "aria-label": "Views" }, ...links),
        form,
        connection(),
        themeChoice(),
        h(
          "button",
          { type: "button", "aria-label": "Keyboard shortcuts", onclick: () => help.showModal() },
          "?",
        ),
      ),
    ),
    main,
    h(
      "footer",
      { class: "foot" },
      `This page only reads: nothing here changes a job. Times are those of this browser (${Intl.DateTimeFormat().resolvedOptions().timeZone}).`,
    ),
    heard,
    help,
  );
  listenToKeys(find, help);
  return {
    main,
    select(path) {
      for (const [index, link] of links.entries())
        if (VIEWS[index]!.path === path) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    },
  };
}

function connection(): HTMLElement {
  const element = h("span", { class: "connection", role: "status", "data-state": "waiting" }, "Connecting");
  watchConnection((state) => {
    element.dataset["state"] = state;
    setText(element, CONNECTIONS[state]);
  });
  return element;
}

function themeChoice(): HTMLElement {
  const option = (value: Theme, name: string) => h("option", { value, selected: theme() === value }, name);
  const select: HTMLSelectElement = h(
    "select",
    { "aria-label": "Theme", onchange: () => chooseTheme(select.value as Theme) },
    option("auto", "Auto"),
    option("light", "Light"),
    option("dark", "Dark"),
  );
  return select;
}

function helpDialog(): HTMLDialogElement {
  const keys: readonly (readonly [string, string])[] = [
    ...VIEWS.map(({ name, key }): [string, string] => [`g ${key}`, name]),
    ["/", "Find a run key"],
    ["← → ↑ ↓", "In the timeline: the run before or after, the key above or below"],
    ["+ − Home End", "In the timeline: zoom, the first or last run of the key"],
    ["Enter", "Open what is selected"],
    ["Home End", "In a log: its beginning, its end"],
    ["Esc", "Close this"],
  ];
  return h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keyboard shortcuts"),
    h("dl", {}, ...keys.flatMap(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
    h("form", { method: "dialog" }, h("button", {}, "Close")),
  );
}

function listenToKeys(find: HTMLInputElement, help: HTMLDialogElement): void {
  let isAfterG = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target instanceof Element && event.target.closest("input, select, textarea")) return;
    const view = isAfterG ? VIEWS.find(({ key }) => key === event.key) : undefined;
    isAfterG = event.key === "g";
    if (view !== undefined) location.hash = address(view.path === "" ? [] : [view.path]);
    else if (event.key === "/") find.focus();
    else if (event.key === "?") help.showModal();
    else return;
    event.preventDefault();
  });
}
