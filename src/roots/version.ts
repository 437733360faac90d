/** Nothing of the program is needed to say which it is. */
import { report } from "../cli/report.ts";
import { writeAll } from "../os/file.ts";
import { endProcess } from "../os/self.ts";
import type { Root } from "../run-command.ts";
import { versionLine } from "../version.ts";

export const main: Root = async (_, { stdout, stderr }) => {
  try {
    writeAll(stdout, new TextEncoder().encode(versionLine()));
  } catch (error) {
    endProcess(report(error, stderr));
  }
  endProcess(0);
};
