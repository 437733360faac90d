/**
 * The targets of a release: Linux, because nothing is released that cannot run. scripts/install.sh chooses between these names;
 * docs/releases.md says what was run on each.
 */

export interface Target {
  /** As in `orchesjob-VERSION-NAME.tar.gz`. */
  readonly name: string;
  /** What `bun build --target=` calls it. */
  readonly bun: string;
  /** The Debian architecture whose package is made from this target. */
  readonly debian?: "amd64" | "arm64";
}

export const TARGETS: readonly Target[] = [
  { name: "linux-x64", bun: "bun-linux-x64" },
  // A package cannot depend on the processor's features, so Debian gets the target that runs on all of them.
  { name: "linux-x64-baseline", bun: "bun-linux-x64-baseline", debian: "amd64" },
  { name: "linux-x64-musl", bun: "bun-linux-x64-musl" },
  { name: "linux-arm64", bun: "bun-linux-arm64", debian: "arm64" },
  { name: "linux-arm64-musl", bun: "bun-linux-arm64-musl" },
];

/** Returns the targets of these names, in the table's order. Throws if a name is not in the table, or there are none. */
export function selectTargets(names: readonly string[]): readonly Target[] {
  const unknown = names.filter((name) => !TARGETS.some((target) => target.name === name));
  if (unknown.length > 0 || names.length === 0)
    throw new Error(
      `there is no target ${JSON.stringify(unknown.join(","))}; there are: ${TARGETS.map((target) => target.name).join(", ")}`,
    );
  return TARGETS.filter((target) => names.includes(target.name));
}
