/** How much the bench measures. The full form takes some minutes, the quick one less than one. */

interface Sizes {
  readonly latency: { readonly rounds: number };
  readonly growth: { readonly jobs: number; readonly jobsWithFiles: number; readonly rounds: number };
  readonly throughput: { readonly starts: number; readonly rounds: number };
  readonly memory: { readonly workers: number; readonly outputBytes: number; readonly settlingMs: number };
  readonly rest: { readonly seconds: number; readonly settlingMs: number };
  readonly fleet: {
    readonly rounds: number;
    readonly starts: number;
    readonly driveMs: number;
    readonly members: number;
    readonly history: number;
    readonly restSeconds: number;
  };
  readonly output: { readonly bytes: number; readonly rounds: number };
}

/** After this time a worker only waits, in ms. */
const SETTLING_MS = 2_500;

export const SIZES: Readonly<Record<"full" | "quick" | "tiny", Sizes>> = {
  full: {
    latency: { rounds: 200 },
    growth: { jobs: 1_000_000, jobsWithFiles: 500_000, rounds: 60 },
    throughput: { starts: 200, rounds: 7 },
    memory: { workers: 50, outputBytes: 1_000_000_000, settlingMs: SETTLING_MS },
    rest: { seconds: 60, settlingMs: SETTLING_MS },
    fleet: { rounds: 100, starts: 200, driveMs: 5_000, members: 1_000, history: 1_000_000, restSeconds: 60 },
    output: { bytes: 2_000_000_000, rounds: 5 },
  },
  quick: {
    latency: { rounds: 40 },
    growth: { jobs: 100_000, jobsWithFiles: 20_000, rounds: 20 },
    throughput: { starts: 60, rounds: 3 },
    memory: { workers: 20, outputBytes: 256_000_000, settlingMs: SETTLING_MS },
    rest: { seconds: 8, settlingMs: SETTLING_MS },
    fleet: { rounds: 40, starts: 60, driveMs: 2_000, members: 200, history: 100_000, restSeconds: 10 },
    output: { bytes: 256_000_000, rounds: 3 },
  },
  /** For the test that every part works: its results mean nothing. */
  tiny: {
    latency: { rounds: 1 },
    growth: { jobs: 200, jobsWithFiles: 50, rounds: 1 },
    throughput: { starts: 8, rounds: 1 },
    memory: { workers: 1, outputBytes: 100_000, settlingMs: 0 },
    rest: { seconds: 0.1, settlingMs: 0 },
    fleet: { rounds: 1, starts: 8, driveMs: 50, members: 8, history: 100, restSeconds: 0.1 },
    output: { bytes: 100_000, rounds: 1 },
  },
};
