import { OrchesjobError } from "../../job/errors.ts";
import { defineCommand, flag, optional, required } from "../command.ts";
import type { SystemdView } from "../answers/upkeep.ts";
import { completing } from "../options/values.ts";

export const systemd = defineCommand({
  name: "systemd",
  summary: "Write systemd units: a service and a timer template for jobs, and a daily clean",
  options: {
    output: required(
      "--output",
      "DIR",
      "Required: where to write them, for example /etc/systemd/system",
      completing("directory", directory),
    ),
    user: flag("--user", "For your own service manager (systemctl --user)"),
    fleet: flag(
      "--fleet",
      "Also write orchesjob-agent.service, which keeps the agent of a member of a fleet running",
    ),
    program: optional(
      "--program",
      "PATH",
      "Path of orchesjob in the units (default: where it is now)",
      completing("file", program),
    ),
    force: flag(
      "--force",
      "Replace files that differ; without it, nothing is written and the exit code is 4",
    ),
  },
  examples: [
    "orchesjob systemd --output /etc/systemd/system",
    "orchesjob systemd --fleet --output /etc/systemd/system",
    "orchesjob systemd --user --output ~/.config/systemd/user",
  ],
  answer: async () => (await import("../answers/upkeep.ts")).SYSTEMD,
  async run({ options, output }) {
    const { writeUnits } = await import("../../systemd/write-unit-files.ts");
    const place = {
      program: options.program ?? program(process.execPath),
      forUser: options.user,
      withAgent: options.fleet,
    };
    const view: SystemdView = writeUnits(options.output, place, options.force);
    output.json(view);
    return 0;
  },
});

function directory(text: string): string {
  if (text === "") throw new OrchesjobError("usage", "--output is empty", "name a directory");
  const path = text.startsWith("/") ? text : `${process.cwd()}/${text}`;
  return path.length > 1 ? path.replace(/\/+$/, "") : path;
}

/** Allows only characters that systemd does not interpret in a command line. Throws `usage`. */
function program(path: string): string {
  if (/^\/[\w./+-]+$/.test(path)) return path;
  throw new OrchesjobError(
    "usage",
    `the executable of a unit must be an absolute path of letters, digits and . _ - + /, not ${JSON.stringify(path)}`,
    "use --program /usr/local/bin/orchesjob",
  );
}
