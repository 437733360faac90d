import { EXIT_CODES } from "../../job/errors.ts";
import type { Diagnosis } from "../../doctor/doctor.ts";
import type { Verdict } from "../../doctor/finding.ts";
import { defineCommand, flag } from "../command.ts";
import type { DoctorView } from "../answers/upkeep.ts";
import { chooseFormat, formatOption } from "../options/format-option.ts";
import { sanitize } from "../output/sanitize.ts";

export const doctor = defineCommand({
  name: "doctor",
  summary: "Check the state directory and its surroundings, and say what is wrong and what to do",
  options: {
    fix: flag("--fix", "Repair what can be repaired safely, and say what was done"),
    format: formatOption,
  },
  examples: ["orchesjob doctor --format table", "orchesjob doctor --fix"],
  answer: async () => (await import("../answers/upkeep.ts")).DOCTOR,
  async run({ options: { fix, format }, context, output }) {
    // On demand: no other command needs it.
    const { examine } = await import("../../doctor/doctor.ts");
    const diagnoses = await examine(context, fix);
    const count = (status: Verdict) => diagnoses.filter((each) => each.status === status).length;
    const summary = {
      status: worst(diagnoses),
      ok: count("ok"),
      warning: count("warning"),
      problem: count("problem"),
      fixed: diagnoses.filter((each) => each.fixed !== null).length,
    };
    if (chooseFormat(format, "json") === "table") {
      output.text(diagnoses.map(lines).join(""));
    } else {
      const checks = diagnoses.map(({ check, status, message, hint, fixed }) => ({
        check,
        status,
        message,
        way_out: hint,
        fixed,
      }));
      const view: DoctorView = { summary, checks };
      output.json(view);
    }
    return summary.status === "problem" ? EXIT_CODES.conflict : 0;
  },
});

function worst(diagnoses: readonly Diagnosis[]): Verdict {
  const has = (status: Verdict) => diagnoses.some((each) => each.status === status);
  return has("problem") ? "problem" : has("warning") ? "warning" : "ok";
}

const CHECK_WIDTH = 16;
const STATUS_WIDTH = 8;

function lines({ check, status, message, hint, fixed }: Diagnosis): string {
  const indent = " ".repeat(CHECK_WIDTH + STATUS_WIDTH);
  return [
    check.padEnd(CHECK_WIDTH) + status.padEnd(STATUS_WIDTH) + sanitize(message),
    ...(fixed === null ? [] : [`${indent}fixed: ${sanitize(fixed)}`]),
    ...(hint === null ? [] : [`${indent}way out: ${sanitize(hint)}`]),
  ]
    .map((line) => `${line}\n`)
    .join("");
}
