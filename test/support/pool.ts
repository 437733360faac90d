/** Many callers at once: each takes the next piece of work when it has finished its last. */
export async function inParallel(
  callers: number,
  count: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const caller = async () => {
    while (next < count) {
      const index = next;
      next += 1;
      await work(index);
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
}
