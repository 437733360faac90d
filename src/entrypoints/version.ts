/** Entry point of `version`: prints the version without loading the rest of the program. */
import { report } from "../cli/output/report.ts";
import { writeAll } from "../linux/file.ts";
import { endProcess } from "../linux/self.ts";
import type { EntryPoint } from "../app/run-command.ts";
import { versionLine } from "../app/version.ts";

export const main: EntryPoint = async (_, { stdout, stderr }) => {
  try {
    writeAll(stdout, new TextEncoder().encode(versionLine()));
  } catch (error) {
    endProcess(report(error, stderr));
  }
  endProcess(0);
};
