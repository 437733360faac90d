/**
 * The one table of what a release is built for: Linux, because nothing is released that cannot run. scripts/install.sh chooses
 * between these names; docs/releases.md says what was run on each.
 */

export interface Target {
  /** As in `orchesjob-VERSION-NAME.tar.gz`. */
  readonly name: string;
  /** What `bun build --target=` calls it. */
  readonly bun: string;
  /** The architecture of Debian that gets its package from this target. */
  readonly debian?: "amd64" | "arm64";
}

export const TARGETS: readonly Target[] = [
  { name: "linux-x64", bun: "bun-linux-x64" },
  // A package cannot choose by the processor, so Debian's is the one that runs on each.
  { name: "linux-x64-baseline", bun: "bun-linux-x64-baseline", debian: "amd64" },
  { name: "linux-x64-musl", bun: "bun-linux-x64-musl" },
  { name: "linux-arm64", bun: "bun-linux-arm64", debian: "arm64" },
  { name: "linux-arm64-musl", bun: "bun-linux-arm64-musl" },
];

/** The targets of these names, in the table's order. Throws where one is not in the table, or none is asked for. */
export function selectTargets(names: readonly string[]): readonly Target[] {
  const unknown = names.filter((name) => !TARGETS.some((target) => target.name === name));
  if (unknown.length > 0 || names.length === 0)
    throw new Error(
      `there is no target ${JSON.stringify(unknown.join(","))}; there are: ${TARGETS.map((target) => target.name).join(", ")}`,
    );
  return TARGETS.filter((target) => names.includes(target.name));
}
