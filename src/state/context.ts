/** What every use case is given. Built once, by app/compose.ts. */
import type { Origin } from "../job/job.ts";
import type { Examination } from "../store/examination.ts";
import type { Fleet } from "../store/fleet.ts";
import type { JobStore } from "../store/store.ts";
import type { Home } from "./paths.ts";

export interface Context {
  readonly home: Home;
  /** This process's kernel, boot and PID namespace. */
  readonly origin: Origin;
  /**
   * Opens the store; undefined if the state directory has none yet. Creates nothing. Throws if the database is gone while its
   * jobs still run: the answer would be wrong.
   */
  openStore(): JobStore | undefined;
  /** Opens the store, and creates it if there is none. */
  createStore(): JobStore;
  /** Opens the store for a process that must change nothing; undefined if there is none. */
  openReadOnly(): Promise<JobStore | undefined>;
  /** The fleet of the state directory; undefined if it is in none. Loads the client of the registry only if there is one. */
  openFleet(): Promise<Fleet> | undefined;
  /** Examines the store without changing anything, even if the state directory is not as it should be. */
  examineStore(): Promise<Examination>;
  /** Whether a file is a database of the Python orchesjob, as an upgrade keeps it. Quick. */
  isOldCopy(path: string): Promise<boolean>;
  /** Descriptor of stderr, for what a job has written there. */
  readonly stderr: number;
  /** Prints a message for the user on stderr. */
  notify(message: string): void;
  /** As notify, but only if stderr is a terminal. */
  progress(message: string): void;
}
