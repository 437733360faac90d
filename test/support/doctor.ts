/** doctor's answer, by check. */
import { expect } from "bun:test";
import type { Sandbox } from "./sandbox.ts";

export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warning" | "problem";
  readonly message: string;
  readonly way_out: string | null;
  readonly fixed: string | null;
}

export interface Diagnosis {
  readonly summary: Readonly<Record<"ok" | "warning" | "problem" | "fixed", number>> & {
    readonly status: string;
  };
  readonly checks: readonly Finding[];
  /** The finding of a check. */
  of(check: string): Finding;
  /** All findings that are not ok. */
  readonly complaints: readonly Finding[];
}

export const CHECKS =
  "state_directory folders permissions file_system free_space database schema write_ahead_log workers orphans leftovers job_logs python_copy systemd clock environment".split(
    " ",
  );

/** What it checks beside that in a fleet. */
export const FLEET_CHECKS = [
  ...CHECKS,
  ..."fleet_file fleet_registry fleet_rights fleet_tls fleet_server fleet_clock fleet_notify fleet_member fleet_agent fleet_changes".split(
    " ",
  ),
];

/** Runs doctor, and checks what all its answers have in common. */
export async function diagnose(
  box: Sandbox,
  words: readonly string[] = [],
  run: (words: readonly string[]) => ReturnType<Sandbox["run"]> = (args) => box.run(args),
  expected = CHECKS,
): Promise<Diagnosis> {
  return judge(await run(["doctor", ...words]), expected);
}

export function judge(result: Awaited<ReturnType<Sandbox["run"]>>, expected = CHECKS): Diagnosis {
  expect(result.stderr).toBe("");
  const { summary, checks } = JSON.parse(result.stdout) as Pick<Diagnosis, "summary" | "checks">;
  expect(checks.map(({ check }) => check)).toEqual(expected);
  for (const { status, message, way_out } of checks) {
    expect(way_out === null).toBe(status === "ok");
    expect(`${message} ${way_out}`).not.toMatch(
      /\n|\bat [\w./]+[:(]|SQLiteError|Error:|node:|bunfs|undefined/,
    );
  }
  const count = (status: string) => checks.filter((each) => each.status === status).length;
  const [ok, warning, problem] = ["ok", "warning", "problem"].map(count) as [number, number, number];
  const fixed = checks.filter((each) => each.fixed !== null).length;
  const status = problem > 0 ? "problem" : warning > 0 ? "warning" : "ok";
  expect(summary).toEqual({ status, ok, warning, problem, fixed });
  expect(result.code).toBe(problem > 0 ? 4 : 0);
  return {
    summary,
    checks,
    of: (check) => checks.find((each) => each.check === check)!,
    complaints: checks.filter((each) => each.status !== "ok"),
  };
}

/**
 * The checks that are not ok, by name and status, without the checks of the machine, which may have faults of its
 * own.
 */
export function complaintsOf({ complaints }: Diagnosis): string[] {
  return complaints
    .filter(({ check }) => !["free_space", "systemd", "clock", "file_system"].includes(check))
    .map(({ check, status }) => `${check}: ${status}`);
}
