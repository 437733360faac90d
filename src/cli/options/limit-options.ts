/** The options of the commands that start a job which limit what it does, and what they ask for. */
import { OrchesjobError } from "../../job/errors.ts";
import { checkHookCommand } from "../../job/hook.ts";
import { CANCEL_ON_STALL, type Limits } from "../../job/limits.ts";
import { optional, repeated } from "../command.ts";
import { anyText, duration, wholeNumber } from "./values.ts";

export const limitOptions = {
  stallAfter: optional(
    "--stall-after",
    "DURATION",
    "The job is stalled if it has written nothing for this time, e.g. 15m: stalled_since says since when",
    duration("--stall-after"),
  ),
  onStall: optional(
    "--on-stall",
    "ACTION",
    "When it stalls: end it as --timeout does (cancel), or run this command with /bin/sh, with the job's JSON on stdin",
    checkHookCommand("--on-stall"),
  ),
  graceSeconds: optional(
    "--grace-seconds",
    "N",
    "Seconds between TERM and KILL when --timeout or --on-stall ends the command (default: 5)",
    wholeNumber("--grace-seconds", 0),
  ),
  envFile: repeated(
    "--env-file",
    "FILE",
    "Set the variables of this file for the command: NAME=VALUE lines, # comments. Only the path is stored",
    anyText("file"),
  ),
};

/** Throws `usage`. */
export function toLimits(options: {
  readonly timeout: number | undefined;
  readonly stallAfter: number | undefined;
  readonly onStall: string | undefined;
  readonly graceSeconds: number | undefined;
  readonly envFile: readonly string[];
}): Limits {
  const { timeout, stallAfter, onStall, graceSeconds } = options;
  if (onStall !== undefined && stallAfter === undefined)
    throw new OrchesjobError("usage", "--on-stall needs --stall-after DURATION");
  if (graceSeconds !== undefined && timeout === undefined && onStall !== CANCEL_ON_STALL) {
    throw new OrchesjobError(
      "usage",
      "--grace-seconds needs something that ends the command",
      "add --timeout DURATION, or --stall-after DURATION --on-stall cancel; cancel has a --grace-seconds of its own",
    );
  }
  return {
    ...(stallAfter !== undefined && { stallAfterMs: stallAfter }),
    ...(onStall !== undefined && { onStall }),
    ...(graceSeconds !== undefined && { graceMs: graceSeconds * 1000 }),
    ...(options.envFile.length > 0 && { envFiles: options.envFile.map(toAbsolute) }),
  };
}

function toAbsolute(path: string): string {
  if (path === "") throw new OrchesjobError("usage", "--env-file is empty", "name a file");
  return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}
