/** doctor on the database: whether it is there, whole, and of a version that we know. */
import { bytesText } from "../job/bytes.ts";
import { probeLock } from "../linux/file-lock.ts";
import { removeFile } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import { refuseLostDatabase } from "../state/create-home.ts";
import { jobOfLog, readNames } from "../state/log-directory.ts";
import { lockFilePath, pythonCopy } from "../state/paths.ts";
import { type CheckContext, isFinding, notLookedAt } from "./check-context.ts";
import { type Finding, fromError, ok, problem, warning } from "./finding.ts";

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
        `there is none, but ${copy} is there, which an upgrade has kept`,
        `put ${database} back, or begin with the copy: mv ${copy} ${database}`,
      );
    if (hasLogs(checkContext.home.logs))
      return warning(
        `there is none, but logs of jobs are in ${checkContext.home.logs}`,
        `put ${database} back; the next start makes a new one, which does not know these jobs`,
      );
    return ok("there is none yet; the first start makes it");
  }
  if (error !== undefined && kind === "rebuilt")
    return { ...fromError(error), fix: () => repairRebuilt(checkContext) };
  if (error !== undefined) return fromError(error);
  if (damage.length > 0) return problem(`${database} is damaged: ${damage.join("; ")}`, DAMAGED);
  const checked = thorough ? "every index agrees with its table" : "its pages are sound (quick_check)";
  return ok(`${bytesText(bytes)}; ${checked}`);
}

async function repairRebuilt(checkContext: CheckContext): Promise<string> {
  const isHeld = (jobId: string) => probeLock(lockFilePath(checkContext.home, jobId)) === "held";
  const repaired = await (await checkContext.examination()).fix(isHeld);
  if (repaired === undefined) return "another process has just repaired it";
  return `put ${repaired.jobs} jobs back from what was left; the database as it was is kept as ${repaired.copy}`;
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
    return ok(`schema ${schema}; the next command brings it to ${knownSchema}, and nothing is lost`);
  if (kind === "newer") return fromError(error);
  if (kind === "ours") return ok(`schema ${schema}`);
  return notLookedAt("the database cannot be used");
}

/** Each process that opens the database reads all of it. */
const LARGE_LOG_BYTES = 64 * 1024 ** 2;

export async function checkWriteAheadLog(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const { pendingBytes } = await checkContext.examination();
  const text = `${bytesText(pendingBytes)} are not in the database itself yet`;
  if (pendingBytes < LARGE_LOG_BYTES) return ok(text);
  const hint = `look who reads without an end, which keeps it from being emptied: fuser -v ${checkContext.home.database}`;
  const store = await checkContext.store();
  if (isFinding(store)) return warning(text, hint);
  return warning(text, hint, async () => {
    await store.checkpoint();
    return "moved what was written into the database";
  });
}

export async function checkPythonCopy(checkContext: CheckContext): Promise<Finding> {
  const blocker = checkContext.blocker();
  if (blocker !== undefined) return blocker;
  const copy = pythonCopy(checkContext.home);
  const unfinished = `${copy}.unfinished`;
  // An upgrade that goes on has not finished its own; afterwards there is nobody who would.
  if (statPath(unfinished) !== undefined && (await checkContext.examination()).kind === "ours") {
    return warning(`${unfinished} was left by an upgrade that was interrupted`, `rm ${unfinished}`, () => {
      removeFile(unfinished);
      return `deleted ${unfinished}`;
    });
  }
  const facts = statPath(copy);
  if (facts === undefined) return ok("no copy of a Python orchesjob's database");
  if (facts.kind !== "file" || !(await checkContext.context.isOldCopy(copy)))
    return warning(
      `${copy} is no database of the Python orchesjob, and of no use to go back`,
      `look what it is, and move it away: mv ${copy} ${copy}.away`,
    );
  return ok(`${copy} has ${bytesText(facts.size)}; the next orchesjob clean deletes it`);
}
