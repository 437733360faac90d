/** What is said where an empty answer may have another reason than that there are no jobs: it is the wrong directory. */
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";

/** Once, also to who looks again and again. */
let isTold = false;

/** For those who have asked for many jobs, and got no store; who asked for one gets an error of that kind. */
export function reportMissingDatabase({ home, notify }: Context): void {
  if (isTold) return;
  isTold = true;
  const what =
    statPath(home.path) === undefined
      ? `the state directory ${home.path} does not exist`
      : `the state directory ${home.path} has no database yet`;
  notify(`${what}, so there are no jobs in it; is ORCHESJOB_HOME the one that they were started with?`);
}
