/** doctor's checks of the database: whether it exists, is undamaged, and has a known version. */
import { bytesText } from "../job/bytes.ts";
import { probeLock } from "../linux/file-lock.ts";
import { removeFile } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { refuseLostDatabase } from "../state/create-home.ts";
import { jobOfLog, readNames } from "../state/log-directory.ts";
import { lockFilePath, pythonCopy } from "../state/paths.ts";
import { type CheckContext, isFinding, skipped } from "./check-context.ts";
import { countText, type Finding, fromError, ok, problem, warning } from "./finding.ts";

const DAMAGED =
  "restore a backup, or save what can be read: docs/troubleshooting.md, The database is damaged";

export async function checkDatabase(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const { kind, error, damage, thorough, bytes } = await checkContext.examination();
  const { database } = checkContext.home;
  if (kind === "missing") {
    refuseLostDatabase(checkContext.home);
    const copy = pythonCopy(checkContext.home);
    if (statPath(copy)?.kind === "file" && (await checkContext.context.isOldCopy(copy)))
      return warning(
        `there is none, but an upgrade has kept ${copy}`,
        `put ${database} back, or start from the copy: mv ${copy} ${database}`,
      );
    if (hasLogs(checkContext.home.logs))
      return warning(
        `there is none, but ${checkContext.home.logs} has logs of jobs`,
        `put ${database} back; otherwise the next start creates a new one, which does not know these jobs`,
      );
    return ok("there is none yet; the first start creates it");
  }
  if (error !== undefined && kind === "rebuilt")
    return { ...fromError(error), fix: () => repairRebuilt(checkContext) };
  if (error !== undefined) throw error;
  if (damage.length > 0) return problem(`${database} is damaged: ${damage.join("; ")}`, DAMAGED);
  const checked = thorough ? "every index agrees with its table" : "its pages are sound (quick_check)";
  return ok(`${bytesText(bytes)}; ${checked}`);
}

async function repairRebuilt(checkContext: CheckContext): Promise<string> {
  const isHeld = (jobId: string) => probeLock(lockFilePath(checkContext.home, jobId)) === "held";
  const repaired = await (await checkContext.examination()).fix(isHeld);
  if (repaired === undefined) return "another process has just repaired it";
  return `restored ${countText(repaired.jobs, "job", "jobs")} from what was left; the old database is kept as ${repaired.copy}`;
}

function hasLogs(directory: string): boolean {
  for (const names of readNames(directory))
    if (names.some((name) => jobOfLog(name) !== undefined)) return true;
  return false;
}

export async function checkSchema(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const { kind, error, schema, knownSchema } = await checkContext.examination();
  if (kind === "missing") return ok("there is no database yet");
  if (kind === "python") return ok("of the Python orchesjob; the next command upgrades it and keeps a copy");
  if (kind === "older")
    return ok(`schema ${schema}; the next command upgrades it to ${knownSchema}, and nothing is lost`);
  if (kind === "newer") return fromError(error);
  if (kind === "ours") return ok(`schema ${schema}`);
  return skipped("the database cannot be used");
}

/** A warning above this, because each process that opens the database reads the whole write-ahead log. */
const LARGE_LOG_BYTES = 64 * 1024 ** 2;

export async function checkWriteAheadLog(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const { pendingBytes } = await checkContext.examination();
  const text = `${bytesText(pendingBytes)} not yet moved into the database file`;
  if (pendingBytes < LARGE_LOG_BYTES) return ok(text);
  const hint = `find the process whose long read keeps it from being emptied: fuser -v ${checkContext.home.database}`;
  const store = await checkContext.store();
  if (isFinding(store)) return warning(text, hint);
  return warning(text, hint, async () => {
    await store.checkpoint();
    return "moved it into the database file";
  });
}

export async function checkPythonCopy(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const copy = pythonCopy(checkContext.home);
  const unfinished = `${copy}.unfinished`;
  // A running upgrade is still writing this file. Once the database is upgraded, it is a leftover.
  if (statPath(unfinished) !== undefined && (await checkContext.examination()).kind === "ours") {
    return warning(`an interrupted upgrade has left ${unfinished}`, `rm ${unfinished}`, () => {
      removeFile(unfinished);
      return `deleted ${unfinished}`;
    });
  }
  const facts = statPath(copy);
  if (facts === undefined) return ok("no copy of a Python orchesjob's database");
  if (facts.kind !== "file" || !(await checkContext.context.isOldCopy(copy)))
    return warning(
      `${copy} is not a database of the Python orchesjob, so it is of no use for going back`,
      `see what it is, and move it away: mv ${copy} ${copy}.away`,
    );
  return ok(`${copy} has ${bytesText(facts.size)}; the next orchesjob clean deletes it`);
}
