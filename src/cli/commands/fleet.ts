import { OrchesjobError } from "../../job/errors.ts";
import { commandLine } from "../../job/shell-word.ts";
import { LONGEST_LEASE_MS, SHORTEST_LEASE_MS } from "../../job/fleet.ts";
import type { FleetMember } from "../../fleet/member.ts";
import { defineCommand, flag, optional } from "../command.ts";
import type { ForgottenView, LeftView } from "../answers/fleet.ts";
import { openMember } from "../options/open-member.ts";
import { chooseFormat, formatOption } from "../options/format-option.ts";
import { partitionOption } from "../options/start-options.ts";
import { anyText, duration, shortText, token } from "../options/values.ts";
import { fleetView } from "../output/fleet-view.ts";

const ACTIONS = ["join", "leave", "status", "forget"] as const;

export const fleet = defineCommand({
  name: "fleet",
  summary: "One run key across several hosts: join a registry in PostgreSQL, leave it, show the members",
  operands: "join URL | leave | status | forget MEMBER",
  operandChoices: ACTIONS,
  isInterleaved: true,
  options: {
    name: optional("--name", "NAME", "join: the name of this member (default: the host's)", token("--name")),
    lease: optional(
      "--lease",
      "DURATION",
      "join: how long the others wait for a sign of this host (default: 60)",
      duration("--lease"),
    ),
    ...partitionOption,
    passwordFile: optional(
      "--password-file",
      "FILE",
      "join: a file whose first line is the password of PostgreSQL (default: in the URL, or in ~/.pgpass)",
      anyText("file"),
    ),
    withoutOutput: flag("--without-output", "join: do not publish the last 64 KiB of each job's output"),
    copy: flag("--copy", "leave: this directory is a copy of a member, which stays in the fleet"),
    reason: optional("--reason", "TEXT", "forget: how you know that the host is dead", shortText("--reason")),
    format: formatOption,
  },
  examples: [
    "orchesjob fleet join 'postgresql://orchesjob@db.example.com/fleet?sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem'",
    "orchesjob fleet status --format table",
    `orchesjob fleet forget web-3 --reason "its disk burned"`,
  ],
  answer: async () => (await import("../answers/fleet.ts")).FLEET,
  async run({ options, operands: [action, operand, ...rest], context, output, program: { version } }) {
    if (action === undefined || !ACTIONS.some((known) => known === action))
      throw usage(action === undefined ? "say what to do" : `fleet cannot ${JSON.stringify(action)}`);
    const takes = action === "join" || action === "forget";
    if (rest.length > 0 || (!takes && operand !== undefined))
      throw usage(`fleet ${action} takes no ${JSON.stringify(takes ? rest[0] : operand)}`);
    const membership = await import("../../agent/membership.ts");
    if (action === "join") {
      if (operand === undefined) throw usage("fleet join needs the URL of the registry");
      const { lease } = options;
      if (lease !== undefined && (lease < SHORTEST_LEASE_MS || lease > LONGEST_LEASE_MS))
        throw new OrchesjobError(
          "usage",
          `--lease must be between ${SHORTEST_LEASE_MS / 1000} s and ${LONGEST_LEASE_MS / 3_600_000} h`,
          "the default is 60",
        );
      const terms = {
        url: operand,
        ...(options.passwordFile === undefined ? {} : { passwordFile: toAbsolute(options.passwordFile) }),
        name: options.name,
        leaseMs: lease,
        onPartition: options.onPartition,
        publishesOutput: options.withoutOutput ? false : undefined,
      };
      const member = await membership.joinFleet(context, terms, version);
      output.json(fleetView(await membership.readFleetStatus(context, member)));
      return end(member);
    }
    if (action === "leave") {
      const { name } = await membership.leaveFleet(context, version, options.copy);
      const view: LeftView = { left: true, member: name };
      output.json(view);
      return 0;
    }
    const member = await openMember(context);
    if (action === "forget") {
      if (operand === undefined) throw usage("fleet forget needs the name of a member");
      if (options.reason === undefined)
        throw new OrchesjobError(
          "usage",
          "fleet forget needs --reason TEXT: its keys may run elsewhere from then on, so say how you know that the host is dead",
          `for example: ${commandLine(["fleet", "forget", operand, "--reason", "the machine is switched off"])}`,
        );
      const jobs = await membership.forgetMember(member, operand, options.reason);
      const view: ForgottenView = {
        forgotten: operand,
        reason: options.reason,
        jobs: jobs.map(({ jobId, runKey }) => ({ job_id: jobId, run_key: runKey })),
      };
      output.json(view);
      return end(member);
    }
    const status = await membership.readFleetStatus(context, member);
    if (chooseFormat(options.format, "json") === "table") {
      const { memberTable } = await import("../output/fleet-view.ts");
      output.text(memberTable(output.columns(), status.members));
    } else output.json(fleetView(status));
    return end(member);
  },
});

async function end(member: FleetMember): Promise<number> {
  await member.registry.disconnect();
  return 0;
}

function usage(what: string): OrchesjobError {
  return new OrchesjobError(
    "usage",
    what,
    "usage: orchesjob fleet join URL | leave | status | forget MEMBER",
  );
}

function toAbsolute(path: string): string {
  return path.startsWith("/") ? path : `${process.cwd()}/${path}`;
}
