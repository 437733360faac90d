import { OrchesjobError } from "../../job/errors.ts";
import type { FleetMember } from "../../fleet/member.ts";
import { defineCommand, flag } from "../command.ts";

/** Internal: whatever needs the registry starts it, detached. */
export const agent = defineCommand({
  name: "_agent",
  summary: "Publish the jobs of this member, and renew its lease",
  options: { stay: flag("--stay", "Do not end when there is no work") },
  examples: [],
  async run({ options, context }) {
    const member = (await context.openFleet()) as FleetMember | undefined;
    if (member === undefined)
      throw new OrchesjobError("not-found", `the state directory ${context.home.path} is in no fleet`);
    const { runAgent } = await import("../../agent/agent.ts");
    await runAgent(context, member, options.stay);
    return 0;
  },
});
