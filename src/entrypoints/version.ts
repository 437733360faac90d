/** Nothing of the program is needed to say which it is. */
import { report } from "../cli/output/report.ts";
import { writeAll } from "../linux/file.ts";
import { endProcess } from "../linux/self.ts";
import type { Root } from "../app/run-command.ts";
import { versionLine } from "../app/version.ts";

export const main: Root = async (_, { stdout, stderr }) => {
  try {
    writeAll(stdout, new TextEncoder().encode(versionLine()));
  } catch (error) {
    endProcess(report(error, stderr));
  }
  endProcess(0);
};
