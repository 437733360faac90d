/** The options of the commands that start a job, and the request that they make. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkHookCommand, DEFAULT_HOOK_TIMEOUT_MS } from "../../job/hook.ts";
import type { HookOrder, NewJob } from "../../job/job.ts";
import { ON_PARTITIONS } from "../../job/fleet.ts";
import { OUTPUT_MODES, OWN_STDIN } from "../../job/output.ts";
import { ANSWERS, DEFAULT_POLICY } from "../../job/policy.ts";
import { SCOPE_MODES, type ScopeMode } from "../../job/scope.ts";
import type { StartRequest } from "../../jobs/start-request.ts";
import { flag, type Option, optional, repeated, required, short, withDefault } from "../command.ts";
import { limitOptions, toLimits, toOutput } from "./limit-options.ts";
import { retryOptions, toRetry } from "./retry-options.ts";
import {
  duration,
  durationOrZero,
  fileOrStdin,
  labels,
  oneOf,
  property,
  runKeyValue,
  anyText,
  token,
  variable,
} from "./values.ts";

/** The options of a hook; `rerun` has them, too. */
export const hookOptions = {
  onExit: optional(
    "--on-exit",
    "COMMAND",
    "Run this with /bin/sh when the job has ended, whatever its result; the job's JSON is on stdin",
    checkHookCommand("--on-exit"),
  ),
  onExitTimeout: optional(
    "--on-exit-timeout",
    "DURATION",
    "End the --on-exit command after this time (default: 10m): TERM, 5 s, KILL",
    duration("--on-exit-timeout"),
  ),
  onFailure: optional(
    "--on-failure",
    "COMMAND",
    "The same, but only if the job is FAILED, LOST or CANCELLED; both may be given",
    checkHookCommand("--on-failure"),
  ),
  onFailureTimeout: optional(
    "--on-failure-timeout",
    "DURATION",
    "As --on-exit-timeout, for --on-failure",
    duration("--on-failure-timeout"),
  ),
};

/** Throws `usage`. */
export function toHooks(options: {
  readonly onExit: string | undefined;
  readonly onExitTimeout: number | undefined;
  readonly onFailure: string | undefined;
  readonly onFailureTimeout: number | undefined;
}): Pick<NewJob, "onExit" | "onFailure"> {
  return {
    onExit: toHookOrder("--on-exit", options.onExit, options.onExitTimeout),
    onFailure: toHookOrder("--on-failure", options.onFailure, options.onFailureTimeout),
  };
}

function toHookOrder(
  option: string,
  command: string | undefined,
  timeoutMs: number | undefined,
): HookOrder | null {
  if (command !== undefined) return { command, timeoutMs: timeoutMs ?? DEFAULT_HOOK_TIMEOUT_MS };
  if (timeoutMs === undefined) return null;
  throw new OrchesjobError("usage", `${option}-timeout needs ${option} COMMAND`);
}

/** What happens to a job of a fleet that is cut off; `rerun` and `fleet join` have it, too. */
/** Of start and rerun. */
export const startTimeoutOption = {
  startTimeout: withDefault(
    "--start-timeout",
    "DURATION",
    "Answer after this time at the latest, even if the command does not run yet (default: 10; 0: at once)",
    durationOrZero("--start-timeout"),
    10_000,
  ),
};

export const partitionOption = {
  onPartition: optional(
    "--on-partition",
    "POLICY",
    "In a fleet, if this host cannot reach the registry: the command goes on and its key waits (continue), or it is ended, so that another member may run the key (stop)",
    oneOf("--on-partition", ON_PARTITIONS),
  ),
};

export const startOptions = {
  runKey: short(
    "-k",
    required(
      "--run-key",
      "KEY",
      "Required: the name of the work; at most one job of a run key is active",
      runKeyValue,
    ),
  ),
  requestId: optional(
    "--request-id",
    "ID",
    "Token for retries: the same run key and id always give the same job",
    token("--request-id"),
  ),
  strict: flag("--strict", "One job per run key, ever; only unlock allows one more"),
  ifSucceeded: optional(
    "--if-succeeded",
    "ANSWER",
    "If the newest job of the run key SUCCEEDED: return that job, or start a new one (default: rerun)",
    oneOf("--if-succeeded", ANSWERS),
  ),
  ifFailed: optional(
    "--if-failed",
    "ANSWER",
    "The same if it is FAILED or CANCELLED (default: rerun)",
    oneOf("--if-failed", ANSWERS),
  ),
  ifLost: optional(
    "--if-lost",
    "ANSWER",
    "The same if it is LOST (default: rerun)",
    oneOf("--if-lost", ANSWERS),
  ),
  timeout: optional(
    "--timeout",
    "DURATION",
    "End the command after this time (90, 30m, 2h, 1h30m, 1d): TERM, 5 s, KILL; the job is FAILED",
    duration("--timeout"),
  ),
  ...limitOptions,
  cwd: optional("--cwd", "DIR", "Working directory of the command (default: yours)", anyText("directory")),
  env: repeated(
    "--env",
    "NAME=VALUE",
    "Set a variable for the command; stored with the job, so not for passwords",
    variable("--env"),
  ),
  ...hookOptions,
  stdin: optional(
    "--stdin",
    "FILE",
    "What the command reads (default: nothing): a file, or - for your own stdin, at most 64 MiB, stored with the job",
    fileOrStdin,
  ),
  output: optional(
    "--output",
    "MODE",
    "What the command writes to: its log, or a pipe, so that it cannot truncate the log (default: file)",
    oneOf("--output", OUTPUT_MODES),
  ),
  ...partitionOption,
  ...retryOptions,
  label: {
    flag: "--label",
    placeholder: "NAME=VALUE",
    help: "Attach a label to the job",
    repeatable: true,
    completes: "label",
    read: labels,
  } satisfies Option<ReadonlyMap<string, string>>,
  scope: withDefault(
    "--scope",
    "MODE",
    "When the job gets its own systemd scope (default: auto, if it would end with the service or session that starts it)",
    oneOf("--scope", SCOPE_MODES),
    "auto",
  ),
  property: repeated(
    "--property",
    "NAME=VALUE",
    "Set a property of the scope, e.g. MemoryMax=2G, as systemd-run does",
    property("--property"),
  ),
};

type Values = {
  readonly [K in keyof typeof startOptions]: (typeof startOptions)[K] extends Option<infer T> ? T : never;
};

/** Throws `usage`. */
export function toStartRequest(options: Values, operands: readonly string[], name: string): StartRequest {
  if (operands.length === 0) {
    throw new OrchesjobError(
      "usage",
      `command is required: orchesjob ${name} --run-key KEY -- COMMAND [ARGS...]`,
    );
  }
  if (operands[0] === "") throw new OrchesjobError("usage", "the command is empty", "name a program");
  const { strict, ifSucceeded, ifFailed, ifLost, cwd } = options;
  if (strict && (ifSucceeded ?? ifFailed ?? ifLost) !== undefined) {
    throw new OrchesjobError(
      "usage",
      "--strict already says what a finished job means",
      "leave out --if-succeeded, --if-failed and --if-lost",
    );
  }
  checkScope(options.scope, options.property);
  const limits = toLimits(options);
  return {
    runKey: options.runKey,
    command: operands,
    env: options.env,
    labels: options.label,
    timeoutMs: options.timeout ?? null,
    requestId: options.requestId ?? null,
    rerunOfJobId: null,
    rerunReason: null,
    scope: options.scope,
    properties: options.property,
    output: toOutput(options.output, limits),
    stdin: options.stdin === undefined ? null : toStdin(options.stdin),
    onPartition: options.onPartition ?? null,
    ...toHooks(options),
    limits,
    retry: toRetry(options),
    policy: {
      strict,
      ifSucceeded: ifSucceeded ?? DEFAULT_POLICY.ifSucceeded,
      ifFailed: ifFailed ?? DEFAULT_POLICY.ifFailed,
      ifLost: ifLost ?? DEFAULT_POLICY.ifLost,
    },
    directory: cwd === undefined ? undefined : toAbsolute(cwd),
  };
}

/** Throws `usage`. */
export function checkScope(scope: ScopeMode | undefined, properties: readonly string[]): void {
  if (scope === "never" && properties.length > 0)
    throw new OrchesjobError("usage", "--property needs a scope", "leave out --scope never");
}

function toStdin(path: string): string {
  if (path === "")
    throw new OrchesjobError("usage", "--stdin is empty", "name a file, or - for your own stdin");
  return path === OWN_STDIN || path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}

function toAbsolute(path: string): string {
  if (path === "") throw new OrchesjobError("usage", "--cwd is empty", "name a directory");
  return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}
