/** Collects the data of `metrics` about the fleet. Loaded only if there is a `fleet.json`. Without the registry it answers, too. */
import { readLease } from "../fleet/lease.ts";
import type { FleetMember } from "../fleet/member.ts";
import { readRenewFailures } from "../fleet/renew-failures.ts";
import { ensureAgent } from "../fleet/spawn-agent.ts";
import { OrchesjobError } from "../job/errors.ts";
import { bootTimeMs } from "../linux/clock.ts";
import { probeLock } from "../linux/file-lock.ts";
import type { Context } from "../state/context.ts";
import { debug } from "../state/debug.ts";
import { memberFiles } from "../state/paths.ts";
import type { JobStore } from "../store/store.ts";

/** How long to wait for the registry, in ms. */
const ANSWER_TIMEOUT_MS = 1_000;

export interface FleetSnapshot {
  /** Undefined if `fleet.json` cannot be used. */
  readonly member: string | undefined;
  /** Undefined if the registry does not answer quickly. */
  readonly members: { readonly withLease: number; readonly withoutLease: number } | undefined;
  /** 0: it is over, or there is none. */
  readonly leaseLeftMs: number;
  /** Undefined if the store does not count them. */
  readonly unpublished: number | undefined;
  readonly renewFailures: number;
  readonly isAgentRunning: boolean;
}

export async function readFleetMetrics(
  context: Context,
  store: JobStore | undefined,
): Promise<FleetSnapshot> {
  const { home, origin } = context;
  const publications = await store?.publications();
  const lease = readLease(home, origin.bootId);
  const unpublished = (await publications?.isTracking()) === true ? await publications!.count() : undefined;
  const isAgentRunning = probeLock(memberFiles(home).agent) === "held";
  // It was killed with something to say, such as with the unit of the last job, and no worker lives that would miss it.
  if (!isAgentRunning && (unpublished ?? 0) > 0) ensureAgent(home);
  return {
    ...(await askRegistry(context)),
    leaseLeftMs: lease === undefined ? 0 : Math.max(0, lease.deadline - bootTimeMs()),
    unpublished,
    renewFailures: readRenewFailures(home),
    isAgentRunning,
  };
}

async function askRegistry(context: Context): Promise<Pick<FleetSnapshot, "member" | "members">> {
  let member: FleetMember | undefined;
  try {
    member = (await context.openFleet()) as FleetMember | undefined;
    if (member === undefined) return { member: undefined, members: undefined };
    const { name } = member.membership;
    const facts = member.registry.describe();
    // After the time nobody waits for it.
    facts.catch(() => undefined);
    const answer = await Promise.race([facts, Bun.sleep(ANSWER_TIMEOUT_MS)]);
    if (answer === undefined) return { member: name, members: undefined };
    const { memberCount, membersWithLease: withLease } = answer;
    return { member: name, members: { withLease, withoutLease: memberCount - withLease } };
  } catch (error) {
    if (!(error instanceof OrchesjobError)) throw error;
    debug?.note("metrics go without the registry", error);
    return { member: member?.membership.name, members: undefined };
  } finally {
    // Not awaited: a connection that is being made may take its time.
    member?.registry.disconnect().catch(() => undefined);
  }
}
