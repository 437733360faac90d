/** Name of a signal: `SIGTERM` for 15, as signal(7) has them. */
export function signalName(number: number): string {
  const { signals } = process.getBuiltinModule("node:os").constants;
  const found = Object.entries(signals).find(
    ([name, value]) => value === number && name !== "SIGIOT" && name !== "SIGPOLL",
  );
  return found?.[0] ?? `SIG${number}`;
}

/** Signals that ask a worker to end. They are meant for its command, whose own end is then recorded. */
export const PASSED_ON = { SIGTERM: 15, SIGINT: 2, SIGHUP: 1 } as const;
