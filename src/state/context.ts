/** What every use case is given. Built once, by app/compose.ts. */
import type { Origin } from "../job/job.ts";
import type { Examination } from "../store/examination.ts";
import type { JobStore } from "../store/store.ts";
import type { Home } from "./paths.ts";

export interface Context {
  readonly home: Home;
  /** This process's kernel, boot and PID namespace. */
  readonly origin: Origin;
  /**
   * The store; undefined where the state directory has none yet. Nothing is created. Throws where it had one, and jobs of it
   * still run: nobody could tell of them.
   */
  openStore(): JobStore | undefined;
  /** The store, made if there is none. */
  createStore(): JobStore;
  /** Looks at the store without changing anything, also where the state directory is not as it should be. */
  examineStore(): Promise<Examination>;
  /** Whether a file is what an upgrade keeps: a database of the Python orchesjob. A quick look. */
  isOldCopy(path: string): Promise<boolean>;
  /** Descriptor of stderr, for what a job has written there. */
  readonly stderr: number;
  /** Tells a person something on stderr. */
  notify(message: string): void;
  /** As notify, but only where stderr is a terminal. */
  progress(message: string): void;
}
