import { defineCommand, flag } from "../command.ts";

/** Internal: whatever needs the registry starts it, detached. */
export const agent = defineCommand({
  name: "_agent",
  summary: "Publish the jobs of this member, and renew its lease",
  options: { stay: flag("--stay", "Do not end when there is no work") },
  examples: [],
  async run({ options, context, program: { version } }) {
    const { FleetMember } = await import("../../fleet/member.ts");
    const { home, origin } = context;
    const member = new FleetMember(home, origin, version, undefined, true);
    const { runAgent } = await import("../../agent/agent.ts");
    await runAgent(context, member, options.stay);
    return 0;
  },
});
