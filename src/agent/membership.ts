/** Joining a fleet, leaving it, and declaring another member dead. */
import { formatDuration } from "../job/duration.ts";
import { OrchesjobError } from "../job/errors.ts";
import { commandLine } from "../job/shell-word.ts";
import { DEFAULT_LEASE_MS } from "../job/fleet.ts";
import { checkLease, type Membership, readMembership, writeMembership } from "../fleet/membership.ts";
import { FleetMember } from "../fleet/member.ts";
import { parseAddress } from "../fleet/postgres/address.ts";
import { connectionOf } from "../fleet/postgres/connect.ts";
import { migrate } from "../fleet/postgres/migrate.ts";
import type { Member, RegistryFacts } from "../fleet/registry.ts";
import { ensureAgent } from "../fleet/spawn-agent.ts";
import { listActive } from "../jobs/list.ts";
import { takeLock } from "../linux/file-lock.ts";
import { closeFile, removeFile } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";
import type { Context } from "../state/context.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";
import { Publisher } from "./publisher.ts";

/** What the caller says about the member. What is left out stays as it is; a new member gets the default. */
export type JoinTerms = Pick<Membership, "url" | "passwordFile"> & {
  readonly [Term in "name" | "leaseMs" | "onPartition" | "publishesOutput"]: Membership[Term] | undefined;
};

/** Joins, and publishes all jobs that are there. Joining the same fleet again changes the terms. Throws OrchesjobError. */
export async function joinFleet(context: Context, given: JoinTerms, version: string): Promise<FleetMember> {
  const { home } = context;
  checkLease(home);
  const store = context.createStore();
  const lock = takeJoiningLock(home);
  const former = statPath(home.fleet) === undefined ? undefined : readMembership(home);
  const terms = completeTerms(given, former, context.origin.host);
  // Making the schema takes longer than any other question.
  const connection = connectionOf({ ...terms, leaseMs: Number.POSITIVE_INFINITY, memberId: "" });
  const { place } = connection.address;
  if (former !== undefined && parseAddress(former.url).place !== place)
    throw new OrchesjobError(
      "conflict",
      `the state directory ${home.path} is in another fleet, as member ${JSON.stringify(former.name)}`,
      "leave that one first: orchesjob fleet leave",
    );
  try {
    await migrate(connection);
  } catch (error) {
    throw former === undefined ? notJoined(error) : error;
  } finally {
    await connection.close();
  }
  const publications = await store.publications();
  // Without its fleet.json the directory is still the member that it was: the registry has its jobs.
  const memberId = former?.memberId ?? (await publications.memberId()) ?? crypto.randomUUID();
  const membership = { ...terms, memberId };
  const member = new FleetMember(home, context.origin, version, membership, true);
  await refuseActiveElsewhere(context, member);
  const { name, leaseMs, onPartition } = membership;
  const lastToken = await publications.lastToken();
  const answer = await member.registry.join({ name, leaseMs, onPartition, lastToken });
  if (!("joined" in answer))
    throw new OrchesjobError(
      "conflict",
      `the fleet has a member ${JSON.stringify(name)} already: ${answer.stateDirectory} on host ${answer.host}`,
      `give another name: --name NAME; or, if that host is gone for good: ${commandLine(["fleet", "forget", name, "--reason", "TEXT"])}, then join again`,
    );
  // From here on every start asks the registry.
  writeMembership(home, membership);
  await publications.track(memberId);
  const active = await listActive(context);
  if (active.length > 0) ensureAgent(home);
  const left = await new Publisher(context, member, store).publish();
  if (left > 0) {
    ensureAgent(home);
    context.notify(`${left} jobs could not be published yet; the agent goes on`);
  }
  closeFile(lock);
  return member;
}

function completeTerms(
  given: JoinTerms,
  former: Membership | undefined,
  host: string,
): Omit<Membership, "memberId"> {
  // A password in the URL replaces a file.
  const passwordFile =
    given.passwordFile ?? (parseAddress(given.url).password === undefined ? former?.passwordFile : undefined);
  return {
    url: given.url,
    ...(passwordFile === undefined ? {} : { passwordFile }),
    name: given.name ?? former?.name ?? host,
    leaseMs: given.leaseMs ?? former?.leaseMs ?? DEFAULT_LEASE_MS,
    onPartition: given.onPartition ?? former?.onPartition ?? "continue",
    publishesOutput: given.publishesOutput ?? former?.publishesOutput ?? true,
  };
}

/** Who is in no fleet yet cannot ask for its status. */
function notJoined(error: unknown): unknown {
  if (!(error instanceof OrchesjobError) || error.code !== "locked") return error;
  return new OrchesjobError(
    error.code,
    `${error.what}; the state directory has not joined`,
    "check the URL, and that PostgreSQL runs there and lets this host in; then join again",
  );
}

/** A key that is active here and elsewhere would run twice at once. */
async function refuseActiveElsewhere(context: Context, member: FleetMember): Promise<void> {
  for (const job of await listActive(context)) {
    const { newest } = await member.registry.lookUp(job.runKey, null);
    if (newest?.elsewhere === undefined || member.isOwn(newest) || !newest.elsewhere.holdsKey) continue;
    throw new OrchesjobError(
      "conflict",
      `run key ${JSON.stringify(job.runKey)} is active here (job ${job.jobId}) and on host ${newest.elsewhere.host} (job ${newest.jobId})`,
      "wait for the end of one of them, or cancel it; then join",
    );
  }
}

/** Leaves the fleet; no job may be active. `isCopy`: the directory is a copy of a member, which stays in the fleet. */
export async function leaveFleet(context: Context, version: string, isCopy: boolean): Promise<Membership> {
  const { home } = context;
  const membership = readMembership(home);
  const store = context.createStore();
  const lock = takeJoiningLock(home);
  await refuseActive(context);
  if (!isCopy)
    await leaveRegistry(context, new FleetMember(home, context.origin, version, membership, true), store);
  await (await store.publications()).ignore();
  removeFile(home.fleet);
  for (const path of Object.values(memberFiles(home))) removeFile(path);
  closeFile(lock);
  return membership;
}

async function refuseActive(context: Context): Promise<void> {
  const [active] = await listActive(context);
  if (active === undefined) return;
  throw new OrchesjobError(
    "conflict",
    `cannot leave the fleet: job ${active.jobId} of run key ${JSON.stringify(active.runKey)} is ${active.status}`,
    `wait for it, or cancel it: orchesjob wait --job-id ${active.jobId}`,
  );
}

/** Returns the lock, which ends with this process at the latest. Throws `locked` if another process joins or leaves. */
function takeJoiningLock(home: Home): number {
  const lock = takeLock(memberFiles(home).joining);
  if (lock !== undefined) return lock;
  throw new OrchesjobError(
    "locked",
    `another process is joining a fleet with ${home.path}, or leaving one`,
    "try again when it has ended",
  );
}

async function leaveRegistry(context: Context, member: FleetMember, store: JobStore): Promise<void> {
  try {
    await new Publisher(context, member, store).publish();
  } catch (error) {
    // An earlier call was killed after the registry had let us go.
    if (!(error instanceof OrchesjobError) || error.code !== "conflict") throw error;
  }
  const [held] = await member.registry.leave();
  if (held !== undefined)
    throw new OrchesjobError(
      "conflict",
      `cannot leave the fleet: job ${held.jobId} still holds run key ${JSON.stringify(held.runKey)}`,
      `processes of it may live: orchesjob cancel --job-id ${held.jobId}`,
    );
}

export interface FleetStatus {
  readonly membership: Membership;
  readonly registry: RegistryFacts;
  readonly members: readonly Member[];
  /** Changes that this member has yet to publish, now. */
  readonly unpublished: number;
}

export async function readFleetStatus(context: Context, member: FleetMember): Promise<FleetStatus> {
  const store = context.openStore();
  const unpublished = store === undefined ? 0 : await (await store.publications()).count();
  // It may have been killed after the last worker had ended.
  if (unpublished > 0) ensureAgent(context.home);
  return {
    membership: member.membership,
    registry: await member.registry.describe(),
    members: await member.registry.members(),
    unpublished,
  };
}

/** Frees the keys of a member whose host is dead for good; returns the jobs that held them. Throws OrchesjobError. */
export async function forgetMember(
  member: FleetMember,
  name: string,
  reason: string,
): Promise<readonly { readonly jobId: string; readonly runKey: string }[]> {
  const found = (await member.registry.members()).find((each) => each.name === name);
  if (found !== undefined && (found.leaseLeftMs ?? 0) > 0)
    throw new OrchesjobError(
      "conflict",
      `member ${JSON.stringify(name)} lives: host ${found.host} has renewed its lease, and ${formatDuration(found.leaseLeftMs!)} of it are left`,
      "end its jobs with orchesjob cancel; or, if that host has died just now, try again when the lease is over",
    );
  const jobs = await member.registry.forget(name, reason);
  if (jobs !== undefined) return jobs;
  throw new OrchesjobError(
    "not-found",
    `the fleet has no member ${JSON.stringify(name)}`,
    "see: orchesjob fleet status",
  );
}
