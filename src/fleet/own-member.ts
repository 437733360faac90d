/** What the parts of the fleet need of the own state directory's membership. */
import type { Job } from "../job/job.ts";
import type { Home } from "../state/paths.ts";
import type { Membership } from "./membership.ts";
import type { Registry } from "./registry.ts";

export interface OwnMember {
  readonly home: Home;
  readonly membership: Membership;
  readonly registry: Registry;
  /** Whether a job is of our own state directory. */
  isOwn(job: Job): boolean;
  /** Lets the registry know the member again: it was restored from a backup that is older than the join. */
  rejoin(lastToken: number): Promise<void>;
}
