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
 * Calls back with each event of these names until the signal is aborted. After each connection the server says `ready`, or how
 * the job is: what happened before that is not told, so it must be asked for then. A hidden page does not listen, because a
 * browser has only six connections for all its pages of one server. `last`: after this event there is nothing more to hear.
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
    here.onopen = () => report("live");
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

/**
 * Calls at most once in `ms`, the last call never lost. `act` is not called again while it works, and then not for ten times as
 * long as it took: what is large or slow is asked for less often.
 */
export function atMostEvery(ms: number, signal: AbortSignal, act: () => Promise<void>): () => void {
  let timer = 0;
  let isWorking = false;
  let isWanted = false;
  let next = -Infinity;
  signal.addEventListener("abort", () => window.clearTimeout(timer));
  const work = async () => {
    timer = 0;
    isWorking = true;
    isWanted = false;
    const begin = performance.now();
    try {
      await act();
    } catch {
      // The connection says that it is lost; the next event asks again.
    }
    isWorking = false;
    const end = performance.now();
    next = begin + Math.max(ms, (end - begin) * 10);
    if (isWanted && !signal.aborted) request();
  };
  const request = () => {
    isWanted = true;
    if (timer !== 0 || isWorking) return;
    timer = window.setTimeout(() => void work(), Math.max(0, next - performance.now()));
  };
  return request;
}
