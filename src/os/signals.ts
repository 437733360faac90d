/** Names of signals: `SIGTERM` for 15, as signal(7) has them. */
export function signalName(number: number): string {
  const { signals } = process.getBuiltinModule("node:os").constants;
  const found = Object.entries(signals).find(
    ([name, value]) => value === number && name !== "SIGIOT" && name !== "SIGPOLL",
  );
  return found?.[0] ?? `SIG${number}`;
}
