import { defineCommand } from "../command.ts";

/** Internal: `top` starts it, detached. */
export const guard = defineCommand({
  name: "_guard",
  summary: "Restore the terminal when top is killed",
  options: {},
  examples: [],
  async run() {
    await (await import("../top/guard.ts")).runGuard();
    return 0;
  },
});
