/** The known word that a mistyped one most likely means; undefined if none is near. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const begun = known.filter((candidate) => word.length > 2 && candidate.startsWith(word));
  if (begun.length === 1) return begun[0];
  // --key: the end of --run-key.
  const ended = known.filter((candidate) => word.startsWith("--") && candidate.endsWith(word.slice(1)));
  if (ended.length === 1) return ended[0];
  const ranked = known.map((candidate) => ({ candidate, distance: editDistance(word, candidate) }));
  const best = ranked.reduce((a, b) => (b.distance < a.distance ? b : a));
  const most = word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3));
  return best.distance <= most ? best.candidate : undefined;
}

/** The least number of insertions, deletions and replacements that turn one word into the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replace, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
