/** doctor's checks of the registry of the fleet, from its own answer. */
import { formatDuration } from "../job/duration.ts";
import { readMembership } from "../fleet/membership.ts";
import { parseAddress } from "../fleet/postgres/address.ts";
import { KNOWN_SCHEMA } from "../fleet/postgres/migrate.ts";
import { refusalError } from "../fleet/refusal.ts";
import type { Registry, RegistryFacts } from "../fleet/registry.ts";
import { incarnationOf } from "../fleet/session.ts";
import { readTextIfAny } from "../linux/file.ts";
import type { CheckContext } from "./check-context.ts";
import { countText, type Finding, fromError, listText, ok, problem, warning } from "./finding.ts";

/** What the registry says about itself, and how long it took. */
export interface RegistryAnswer {
  readonly registry: Registry;
  readonly facts: RegistryFacts;
  /** The first question, with the connection, and the fastest of the next ones, in ms. */
  readonly connectMs: number;
  readonly latencyMs: number;
  /** How far the clock of the registry is ahead of ours, in ms, give or take half of latencyMs. */
  readonly aheadMs: number;
}

const ms = (value: number) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function checkAnswer({ facts, connectMs, latencyMs }: RegistryAnswer): Finding {
  const { place, schemaVersion, memberCount, membersWithLease } = facts;
  if (schemaVersion !== KNOWN_SCHEMA)
    return problem(
      `the registry ${place} has schema ${schemaVersion}, and this orchesjob knows ${KNOWN_SCHEMA}`,
      schemaVersion > KNOWN_SCHEMA
        ? "use the newer orchesjob of the other members on this host, too"
        : "as the owner of the schema, join again, which migrates it: orchesjob fleet join URL",
    );
  return ok(
    `${place} answers in ${ms(latencyMs)}, the first time in ${ms(connectMs)} with the connection; schema ${schemaVersion}; ${countText(memberCount, "member", "members")}, ${membersWithLease} with a lease`,
  );
}

export function checkRights({ facts }: RegistryAnswer, { home }: CheckContext): Finding {
  const { user } = parseAddress(readMembership(home).url);
  const { missingRights } = facts;
  if (missingRights.length === 0)
    return ok(`user ${JSON.stringify(user)} may call every function of the schema`);
  return problem(
    `user ${JSON.stringify(user)} may not call ${listText(missingRights)} in schema orchesjob`,
    `as the owner of the schema: grant execute on all functions in schema orchesjob to "${user}"`,
  );
}

export async function checkEncryption(
  { registry, facts }: RegistryAnswer,
  { home }: CheckContext,
): Promise<Finding> {
  if (facts.isLocal) return ok("the registry is on this machine: nothing crosses a network");
  const { isVerified } = parseAddress(readMembership(home).url);
  if (isVerified) return ok("TLS, and the certificate of the server is verified");
  const hint =
    "join again with sslmode=verify-full&sslrootcert=FILE in the URL: orchesjob fleet join URL --name NAME";
  if (await registry.isEncrypted())
    return warning(
      "TLS without verification: whoever can divert the connection can pose as the registry",
      hint,
    );
  return warning("no TLS: commands and output of the jobs cross the network in the clear", hint);
}

export function checkServer({ facts }: RegistryAnswer): Finding {
  if (facts.isUnsafe)
    return problem(
      "PostgreSQL runs with fsync = off: after a crash of its machine the registry may be damaged, and a key may run twice",
      "set fsync = on in postgresql.conf, and restart PostgreSQL",
    );
  if (facts.recoveryMs > 0)
    return warning(
      `a recovery is under way: no key is granted for ${formatDuration(Math.ceil(facts.recoveryMs / 1000) * 1000)} (${facts.recoveryReason ?? "for an unknown reason"})`,
      "wait: meanwhile all members publish their jobs again",
    );
  return ok(
    facts.isReplicatedSynchronously
      ? "acknowledges a job only when a standby has it too (synchronous replication)"
      : "acknowledges a job without waiting for a standby: after a failover it may have forgotten the newest ones, and learns them again from the members that answer",
  );
}

export function checkClocks({ latencyMs, aheadMs }: RegistryAnswer): Finding {
  const size = Math.abs(aheadMs);
  const difference =
    size <= latencyMs / 2
      ? `agrees with this host's to ${ms(latencyMs / 2)}`
      : `is ${size < 10_000 ? ms(size) : `${Math.round(size / 1000)} s`} ${aheadMs > 0 ? "ahead of" : "behind"} this host's`;
  return ok(`the registry's clock ${difference}; leases do not depend on it`);
}

export async function checkNotifications({ registry }: RegistryAnswer): Promise<Finding> {
  // A channel of our own: that of the member would wake its agent.
  if (await registry.listen({ jobId: `doctor-${crypto.randomUUID()}` }, () => undefined))
    return ok("the registry can notify the agent");
  return warning(
    "notifications do not come through, as with a pooler in transaction mode: the agent asks every 3 s instead, so cancel from another host takes longer",
    "if that matters, join again with the address of PostgreSQL itself, or of a pooler in session mode",
  );
}

/** Whether the registry knows this member, and whether another machine uses its membership. */
export async function checkMember(
  { registry }: RegistryAnswer,
  { home, context: { origin } }: CheckContext,
): Promise<Finding> {
  const membership = readMembership(home);
  const member = (await registry.members()).find(({ memberId }) => memberId === membership.memberId);
  if (member === undefined) return fromError(refusalError({ refused: "unknown" }, membership));
  const isForeign = member.bootId !== null && member.bootId !== incarnationOf(home, origin);
  if (!isForeign || (member.leaseLeftMs ?? 0) <= 0)
    return ok(`the registry knows this member; no other machine uses its membership`);
  const host = member.host ?? "an unknown host";
  if (member.machineId === (readTextIfAny("/etc/machine-id") ?? "").trim())
    return warning(
      `the registry still has the session of another boot of this machine, or of a copy of this directory (host ${host})`,
      `if it has just booted, no action is needed: that session ends in ${formatDuration(Math.ceil(member.leaseLeftMs! / 1000) * 1000)}. If it comes back, there are two copies of this machine: orchesjob fleet leave --copy on one of them`,
    );
  return fromError(refusalError({ refused: "cloned", host, waitMs: member.leaseLeftMs! }, membership));
}
