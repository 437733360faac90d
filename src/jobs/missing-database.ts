/** The remark about an empty answer, in case the state directory is the wrong one. */
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";

/** The remark is made once per process, also by `list --watch`. */
let isReported = false;

/** Says that there is no store. For commands about many jobs: for a single job, findJob throws an error. */
export function reportMissingDatabase({ home, notify }: Context): void {
  if (isReported) return;
  isReported = true;
  const what =
    statPath(home.path) === undefined
      ? `the state directory ${home.path} does not exist`
      : `the state directory ${home.path} has no database yet`;
  notify(`${what}, so there are no jobs in it; were they started with the same ORCHESJOB_HOME?`);
}
