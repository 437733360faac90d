/** Light or dark: as the system has it, until the reader chooses. The choice stays in this browser. */

export type Theme = "auto" | "light" | "dark";

const NAME = "orchesjob-theme";
const watchers = new Set<() => void>();
const system = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "light" || chosen === "dark" ? chosen : "auto";
}

export function chooseTheme(chosen: Theme): void {
  if (chosen === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
  try {
    if (chosen === "auto") localStorage.removeItem(NAME);
    else localStorage.setItem(NAME, chosen);
  } catch {
    // Storage is forbidden: the choice ends with the page.
  }
  for (const watcher of watchers) watcher();
}

export function restoreTheme(): void {
  try {
    const kept = localStorage.getItem(NAME);
    if (kept === "light" || kept === "dark") document.documentElement.dataset["theme"] = kept;
  } catch {
    // As above.
  }
}

/** Calls back when the colours change: what is drawn on a canvas must be drawn again. */
export function watchTheme(signal: AbortSignal, watcher: () => void): void {
  watchers.add(watcher);
  system.addEventListener("change", watcher, { signal });
  signal.addEventListener("abort", () => watchers.delete(watcher));
}
