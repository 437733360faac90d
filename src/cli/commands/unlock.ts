import { unlockRunKey } from "../../jobs/unlock.ts";
import { answer } from "../output/answer.ts";
import { defineCommand, optional, required } from "../command.ts";
import { formatInstant } from "../options/time.ts";
import { duration, runKeyValue, shortText } from "../options/values.ts";

export const unlock = defineCommand({
  name: "unlock",
  summary: "Allow exactly one more run of a run key that was started with --strict",
  options: {
    runKey: required("--run-key", "KEY", "The run key", runKeyValue),
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
  examples: [`orchesjob unlock --run-key import-2026-05-01 --reason "input was corrected" --ttl 30m`],
  async run({ options, context, output }) {
    const { allowedAt, expiresAt } = await unlockRunKey(
      context,
      options.runKey,
      options.reason ?? null,
      options.ttl ?? null,
    );
    answer(
      output,
      {
        unlocked: true,
        run_key: options.runKey,
        allowed_at: formatInstant(allowedAt),
        expires_at: expiresAt === null ? null : formatInstant(expiresAt),
        reason: options.reason ?? null,
      },
      () => `run key ${JSON.stringify(options.runKey)} may run once more`,
    );
    return 0;
  },
});
