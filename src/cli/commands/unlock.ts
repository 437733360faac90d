import { unlockRunKey } from "../../jobs/unlock.ts";
import type { UnlockView } from "../answers/upkeep.ts";
import { answer } from "../output/answer.ts";
import { defineCommand, optional, short } from "../command.ts";
import { keyOperand, toRunKey } from "../options/selectors.ts";
import { formatInstant } from "../options/time.ts";
import { duration, runKeyValue, shortText } from "../options/values.ts";

export const unlock = defineCommand({
  name: "unlock",
  summary: "Allow exactly one more run of a run key that was started with --strict",
  ...keyOperand,
  options: {
    runKey: short("-k", optional("--run-key", "KEY", "The run key", runKeyValue)),
    reason: optional(
      "--reason",
      "TEXT",
      "Why; the job that uses the permission has it as its rerun_reason",
      shortText("--reason"),
    ),
    ttl: optional(
      "--ttl",
      "DURATION",
      "The permission ends after this time (default: when it is used)",
      duration("--ttl"),
    ),
  },
  examples: [`orchesjob unlock import-2026-05-01 --reason "input was corrected" --ttl 30m`],
  answer: async () => (await import("../answers/upkeep.ts")).UNLOCK,
  async run({ options, operands, context, output }) {
    const runKey = toRunKey(options, operands);
    const { allowedAt, expiresAt } = await unlockRunKey(
      context,
      runKey,
      options.reason ?? null,
      options.ttl ?? null,
    );
    const view: UnlockView = {
      unlocked: true,
      run_key: runKey,
      allowed_at: formatInstant(allowedAt),
      expires_at: expiresAt === null ? null : formatInstant(expiresAt),
      reason: options.reason ?? null,
    };
    answer(output, view, () => `run key ${JSON.stringify(runKey)} may run once more`);
    return 0;
  },
});
