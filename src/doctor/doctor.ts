/** `doctor`: runs the checks of everything that orchesjob depends on, and fixes what can be fixed safely. */
import { isThere } from "../linux/stat.ts";
import { memberFiles } from "../state/paths.ts";
import { explainStorage } from "../state/storage-trouble.ts";
import type { Context } from "../state/context.ts";
import { checkDatabase, checkPythonCopy, checkSchema, checkWriteAheadLog } from "./database.ts";
import { checkDirectory, checkFileSystem, checkFolders, checkFreeSpace, checkPermissions } from "./files.ts";
import { checkLeftovers, checkLogs, checkOrphans, checkWorkers } from "./jobs.ts";
import { checkClock, checkEnvironment, checkSystemd } from "./surroundings.ts";
import { type Finding, fromError, type Verdict } from "./finding.ts";
import { CheckContext } from "./check-context.ts";

type Check = (checkContext: CheckContext) => Finding | Promise<Finding>;

/** In this order, because later checks depend on earlier ones. */
const CHECKS: Readonly<Record<string, Check>> = {
  state_directory: checkDirectory,
  folders: checkFolders,
  permissions: checkPermissions,
  file_system: checkFileSystem,
  free_space: checkFreeSpace,
  database: checkDatabase,
  schema: checkSchema,
  write_ahead_log: checkWriteAheadLog,
  workers: checkWorkers,
  orphans: checkOrphans,
  leftovers: checkLeftovers,
  job_logs: checkLogs,
  python_copy: checkPythonCopy,
  systemd: checkSystemd,
  clock: checkClock,
  environment: checkEnvironment,
};

export interface Diagnosis {
  readonly check: string;
  /** After the fix, if there was one. */
  readonly status: Verdict;
  readonly message: string;
  readonly hint: string | null;
  /** What the fix did; null: nothing was fixed. */
  readonly fixed: string | null;
}

/** Runs all checks; an error in a check becomes its finding. With `fix` it fixes what can be fixed, then checks again. */
export async function examine(context: Context, fix: boolean): Promise<readonly Diagnosis[]> {
  const checkContext = new CheckContext(context);
  const fleet =
    isThere(context.home.fleet) || isThere(memberFiles(context.home).lease)
      ? (await import("./fleet.ts")).fleetChecks(checkContext)
      : undefined;
  const diagnoses: Diagnosis[] = [];
  for (const [name, check] of Object.entries({ ...CHECKS, ...fleet?.checks })) {
    let finding = await run(check, checkContext);
    let fixed: string | null = null;
    if (fix && finding.fix !== undefined) {
      try {
        fixed = await finding.fix();
        checkContext.invalidate();
        finding = await run(check, checkContext);
      } catch (error) {
        const { message } = fromError(error);
        finding = { ...finding, message: `${finding.message}; it could not be fixed: ${message}` };
      }
    }
    const { status, message, hint = null } = finding;
    diagnoses.push({ check: name, status, message, hint, fixed });
  }
  await fleet?.end();
  return diagnoses;
}

async function run(check: Check, checkContext: CheckContext): Promise<Finding> {
  try {
    return await check(checkContext);
  } catch (error) {
    return fromError(explainStorage(error));
  }
}
