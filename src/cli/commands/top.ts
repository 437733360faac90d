import { OrchesjobError } from "../../job/errors.ts";
import { isTerminal } from "../../linux/self.ts";
import { defineCommand } from "../command.ts";

const INPUT = 0;

export const top = defineCommand({
  name: "top",
  summary: "Watch jobs on the whole screen: follow their output, see what is usual, cancel, run again",
  options: {},
  examples: ["orchesjob top", "NO_COLOR=1 orchesjob top", "ssh -t web-1 orchesjob top"],
  async run({ context, output }) {
    const { lookOf } = await import("../top/look.ts");
    const elsewhere = "for a pipe or a file: orchesjob ps, or orchesjob list";
    if (output.columns() === undefined || !isTerminal(INPUT))
      throw new OrchesjobError("usage", "top needs a terminal for its keys and its screen", elsewhere);
    const look = lookOf(process.env);
    if (look === undefined)
      throw new OrchesjobError(
        "usage",
        `top cannot move the cursor of a terminal of type ${JSON.stringify(process.env["TERM"] ?? "")} (TERM)`,
        "set TERM to the type of yours, such as xterm-256color; or use orchesjob ps, or orchesjob list",
      );
    const { runTop } = await import("../top/top.ts");
    return runTop(context, output.descriptor, look);
  },
});
