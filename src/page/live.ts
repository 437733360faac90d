/** What changes without a click: events of the server, and the time. */

export type Connection = "live" | "waiting" | "lost";

const watchers = new Set<(state: Connection) => void>();

/** Calls back when the connection to the server is lost or comes back. */
export function watchConnection(watcher: (state: Connection) => void): void {
  watchers.add(watcher);
}

/** Says how the connection is, also after a plain request. */
export function report(state: Connection): void {
  for (const watcher of watchers) watcher(state);
}

/**
 * Calls back with each event of these names until the signal is aborted, and after each new connection with the name "open":
 * what happened in between is not known then. A hidden page does not listen, because a browser has only six connections for
 * all its pages of one server. `last`: after this event there is nothing more to hear.
 */
export function listen(
  path: string,
  names: readonly string[],
  signal: AbortSignal,
  onEvent: (name: string, data: string) => void,
  last?: string,
): void {
  let source: EventSource | undefined;
  let timer = 0;
  let isOver = false;
  const stop = () => {
    window.clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const connect = () => {
    stop();
    if (isOver || document.hidden) return;
    const here = (source = new EventSource(path));
    here.onopen = () => {
      report("live");
      onEvent("open", "");
    };
    here.onerror = () => {
      report("lost");
      // The browser connects again by itself, but not after an answer that is an error.
      if (here.readyState === EventSource.CLOSED) timer = window.setTimeout(connect, 5_000);
    };
    for (const name of names)
      here.addEventListener(name, (event) => {
        if (name === last) {
          isOver = true;
          stop();
        }
        onEvent(name, String(event.data));
      });
  };
  connect();
  document.addEventListener("visibilitychange", connect, { signal });
  signal.addEventListener("abort", stop);
}

/** Calls now and every second until the signal is aborted, but not while nobody looks. */
export function everySecond(signal: AbortSignal, act: () => void): void {
  act();
  const timer = window.setInterval(() => {
    if (!document.hidden) act();
  }, 1_000);
  signal.addEventListener("abort", () => window.clearInterval(timer));
}

/** Calls at most once in a while, the last call never lost. */
export function atMostEvery(ms: number, signal: AbortSignal, act: () => void): () => void {
  let timer = 0;
  let last = -Infinity;
  signal.addEventListener("abort", () => window.clearTimeout(timer));
  return () => {
    if (timer !== 0) return;
    timer = window.setTimeout(
      () => {
        timer = 0;
        last = performance.now();
        act();
      },
      Math.max(0, last + ms - performance.now()),
    );
  };
}
