/** The registry on PostgreSQL. Each verb is one call of a function of the schema `orchesjob`, so it is one transaction. */
import { toDocument } from "../../job/document.ts";
import type { CancelRequest, Job } from "../../job/job.ts";
import { bootTimeMs } from "../../linux/clock.ts";
import type { PublishedOutput } from "../../store/fleet.ts";
import type { ListFilter } from "../../store/store.ts";
import type {
  Announcement,
  ClaimOrder,
  Grant,
  KeyState,
  Member,
  MemberTerms,
  PublishResult,
  Refusal,
  Registry,
  RegistryFacts,
  Renewal,
} from "../registry.ts";
import type { Session } from "../session.ts";
import type { Functions } from "../functions.ts";
import { parseAddress } from "./address.ts";
import { unreachable } from "./errors.ts";
import { type Row, toEntry, toHeld, toJobIfAny, toJobs, toRefusal } from "./convert.ts";

export class PostgresRegistry implements Registry {
  constructor(
    readonly functions: Functions,
    readonly session: Session,
  ) {}

  #call(name: string, ...values: readonly unknown[]): Promise<any> {
    return this.functions.call(name, values);
  }

  /** As #call, for an answer that is never null. Throws `locked` if it is: whoever answers is no registry. */
  async #ask(name: string, ...values: readonly unknown[]): Promise<any> {
    const answer = await this.#call(name, ...values);
    if (typeof answer === "object" && answer !== null) return answer;
    throw unreachable(
      parseAddress(this.session.membership.url).place,
      `it does not answer as a registry does (${name})`,
    );
  }

  /** A call on behalf of the member: says what it knows of its session, and notes what the registry answers. */
  async #callAsMember(name: string, value?: unknown, more: Row = {}): Promise<any> {
    const askedAt = bootTimeMs();
    const caller = { ...this.session.describe(), ...more };
    const answer = await this.#ask(name, caller, ...(value === undefined ? [] : [value]));
    this.session.hear(answer.session ?? answer, askedAt);
    return answer;
  }

  async lookUp(runKey: string, requestId: string | null): Promise<KeyState> {
    const found = await this.#ask("look_up", runKey, requestId);
    const requested = toJobIfAny(found.requested);
    return {
      newest: toJobIfAny(found.newest),
      requested: requested && { job: requested, command: found.requested_command ?? null },
      strictJobId: found.strict_job_id ?? undefined,
      override: found.override ? { reason: found.override_reason ?? null } : undefined,
    };
  }

  async claim({ job, onPartition, ...order }: ClaimOrder): Promise<Grant | Refusal> {
    const answer = await this.#callAsMember("claim", {
      job_id: job.jobId,
      run_key: job.runKey,
      attempt_no: order.attemptNo,
      expected: order.expected,
      strict: order.strict,
      use_override: order.useOverride,
      request_id: job.requestId,
      on_partition: onPartition,
      job: toDocument(job),
    });
    if (answer.refused !== undefined) return toRefusal(answer);
    const { fencing_token, attempt_no, on_partition } = answer;
    return { fencingToken: fencing_token, attemptNo: attempt_no, onPartition: on_partition };
  }

  async withdraw(jobId: string): Promise<void> {
    await this.#call("withdraw", this.session.describe(), jobId);
  }

  async bindRequest(
    runKey: string,
    requestId: string,
    jobId: string,
    command: readonly string[],
  ): Promise<void> {
    await this.#call("bind_request", runKey, requestId, jobId, command);
  }

  async unlock(runKey: string, reason: string | null, ttlMs: number | null): Promise<void> {
    await this.#call("unlock", runKey, reason, ttlMs);
  }

  async publish(jobs: readonly Announcement[]): Promise<readonly PublishResult[] | Refusal> {
    const answer = await this.#callAsMember("publish", jobs.map(toEntry));
    if (answer.refused !== undefined) return toRefusal(answer);
    return answer.results.map(({ result, token = null }: Row): PublishResult => ({
      result,
      grantedToken: token,
    }));
  }

  async renew(unpublished: number): Promise<Renewal | Refusal> {
    const answer = await this.#callAsMember("renew", undefined, { unpublished });
    if (answer.refused !== undefined) return toRefusal(answer);
    return {
      epoch: answer.epoch,
      holds: answer.holds.map((held: Row) => ({
        jobId: held["job_id"],
        change: held["change"],
        cancelRequest: held["cancel_request"],
      })),
      revoked: answer.revoked,
    };
  }

  async find(beginning: string, limit: number): Promise<readonly Job[]> {
    return toJobs(await this.#ask("find_jobs", beginning, limit));
  }

  async history(runKey: string): Promise<readonly Job[]> {
    return toJobs(await this.#ask("history", runKey));
  }

  async list({
    statuses,
    labels,
    runKeyPrefix: prefix,
    since,
    until,
    limit: most,
    order,
  }: ListFilter): Promise<readonly Job[]> {
    const filter = { statuses, labels: Object.fromEntries(labels), prefix, most };
    const verb = order === "ended" ? "list_ended" : "list_jobs";
    return toJobs(await this.#ask(verb, { ...filter, since: since ?? null, until: until ?? null }));
  }

  async output(jobId: string): Promise<PublishedOutput | undefined> {
    const found = await this.#call("output", jobId);
    if (found === null) return undefined;
    const { stdout, stderr, stdout_bytes: stdoutBytes, stderr_bytes: stderrBytes } = found;
    return { stdout, stderr, stdoutBytes, stderrBytes };
  }

  async requestCancel(jobId: string, request: CancelRequest): Promise<Job | undefined> {
    return toJobIfAny(await this.#call("request_cancel", jobId, request));
  }

  async members(): Promise<readonly Member[]> {
    const rows: readonly Row[] = await this.#ask("list_members");
    return rows.map((row) => ({
      name: row["name"],
      memberId: row["member_id"],
      host: row["host"],
      address: row["address"],
      stateDirectory: row["state_directory"],
      bootId: row["boot_id"],
      machineId: row["machine_id"],
      version: row["version"],
      leaseMs: row["lease_ms"],
      leaseLeftMs: row["lease_left_ms"],
      onPartition: row["on_partition"],
      unpublished: row["unpublished"],
      renewedAt: row["renewed_at"],
      active: row["active"],
    }));
  }

  async join({
    name,
    leaseMs,
    onPartition,
    lastToken,
  }: MemberTerms): Promise<{ joined: true } | { host: string; stateDirectory: string }> {
    const { member_id, version, state_directory } = this.session.describe();
    const answer = await this.#ask("join_fleet", {
      ...{ member_id, version, state_directory, name },
      ...{ lease_ms: leaseMs, on_partition: onPartition, last_token: lastToken },
    });
    if (answer.refused === undefined) return { joined: true };
    return { host: answer.host ?? "an unknown host", stateDirectory: answer.state_directory };
  }

  async leave(): Promise<readonly { jobId: string; runKey: string }[]> {
    const answer = await this.#ask("leave_fleet", this.session.describe().member_id);
    return answer.refused === undefined ? [] : toHeld(answer.jobs);
  }

  async forget(
    name: string,
    reason: string,
  ): Promise<readonly { jobId: string; runKey: string }[] | undefined> {
    const answer = await this.#ask("forget_member", name, reason);
    return answer.refused === undefined ? toHeld(answer.jobs) : undefined;
  }

  async clean(
    ...[before, keep, limit, after, dry]: Parameters<Registry["clean"]>
  ): ReturnType<Registry["clean"]> {
    // Asked again after a lost connection, it gets the same answer.
    return this.#ask("clean", crypto.randomUUID(), before, keep, limit, after, dry);
  }

  async describe(): Promise<RegistryFacts> {
    const found = await this.#ask("describe");
    const address = parseAddress(this.session.membership.url);
    return {
      place: address.place,
      schemaVersion: found.schema_version,
      epoch: found.epoch,
      recoveryMs: found.recovery_ms,
      now: found.now,
      isLocal: address.isSocket || /^(127\.|\[?::1|localhost$)/.test(address.host),
      isReplicatedSynchronously: found.synchronous_standby_names !== "",
      isUnsafe: found.fsync !== "on",
      recoveryReason: found.recovery_reason,
      missingRights: found.missing_rights,
      memberCount: found.members,
      membersWithLease: found.members_with_lease,
    };
  }

  async expectNews(jobId: string): Promise<void> {
    await this.#call("expect_news", jobId);
  }

  async isEncrypted(): Promise<boolean> {
    return this.#call("is_encrypted");
  }

  async listen(topic: { member: true } | { jobId: string }, callback: () => void): Promise<boolean> {
    const name = "member" in topic ? String(this.session.describe().member_id) : topic.jobId;
    return this.functions.listen(name, callback);
  }

  async disconnect(): Promise<void> {
    await this.functions.close();
  }
}
