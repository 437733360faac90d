/** Commands of other programs, with their equivalent here. People type them, and a suggestion by spelling would mislead. */
const ELSEWHERE: readonly (readonly [names: string, words: string])[] = [
  ["exec submit queue enqueue create launch spawn add new nohup", "start --run-key KEY -- COMMAND"],
  ["restart retry redo repeat again", "rerun --run-key KEY"],
  ["kill stop terminate end quit", "cancel --run-key KEY"],
  ["jobs running active pgrep", "ps"],
  ["ls", "list"],
  ["watch monitor htop dashboard", "top"],
  ["show inspect describe info get query", "status --run-key KEY"],
  ["history past", "status --run-key KEY --all --format table"],
  ["fg", "attach --run-key KEY"],
  ["tail follow journal", "logs --run-key KEY --tail 20 --follow"],
  ["log cat output stdout", "logs --run-key KEY"],
  ["stderr errors", "logs --run-key KEY --stream stderr"],
  ["join await", "wait --run-key KEY"],
  ["rm remove delete del prune purge gc vacuum", "clean --older-than 30d --dry-run"],
  ["allow permit reset", "unlock --run-key KEY"],
  ["check health diagnose fsck repair", "doctor --format table"],
  ["stats statistics prometheus", "metrics"],
  ["manual", "man"],
];

/** The equivalent of another program's command; undefined if none is known. */
export function knownElsewhere(name: string): string | undefined {
  const found = ELSEWHERE.find(([names]) => names.split(" ").includes(name));
  return found === undefined ? undefined : `orchesjob ${found[1]}`;
}
