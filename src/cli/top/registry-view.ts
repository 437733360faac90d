/** The jobs of other members, asked for in the background: a registry that is far away must not delay a key. */
import type { FleetMember } from "../../fleet/member.ts";
import { OrchesjobError } from "../../job/errors.ts";
import type { Job } from "../../job/job.ts";
import { ACTIVE, isActive } from "../../job/status.ts";
import { isThere } from "../../linux/stat.ts";
import type { Context } from "../../state/context.ts";
import type { Run } from "../../store/figures.ts";
import type { ListFilter } from "../../store/store.ts";
import type { MemberRow } from "./model.ts";

const MOST_ACTIVE = 10_000;
const REGISTRY_STEP_MS = 2_000;

/** A filter that lets every job through. */
export const EVERYTHING = {
  labels: new Map<string, string>(),
  runKeyPrefix: "",
  since: undefined,
  until: undefined,
};

export interface Found {
  readonly active: readonly Job[];
  readonly ended: readonly Job[];
}

export class RegistryView {
  found: Found = { active: [], ended: [] };
  members: readonly MemberRow[] | undefined;
  problem: string | undefined;
  /** Grows with each answer. */
  revision = 0;
  #member: FleetMember | undefined;
  #isAsking = false;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly context: Context,
    readonly onNews: () => void,
  ) {
    if (isThere(context.home.fleet)) this.members = [];
  }

  refresh(limit: number): void {
    if (this.members === undefined || this.#isAsking || performance.now() - this.#askedAt < REGISTRY_STEP_MS)
      return;
    this.#isAsking = true;
    this.#ask(limit)
      .then(() => (this.problem = undefined))
      .catch((error: unknown) => {
        this.problem = error instanceof Error ? error.message : String(error);
      })
      .finally(() => {
        this.#isAsking = false;
        this.#askedAt = performance.now();
        this.onNews();
      });
  }

  async #ask(limit: number): Promise<void> {
    const member = (this.#member ??= (await this.context.openFleet()) as FleetMember | undefined);
    if (member === undefined) return;
    const list = async (filter: Pick<ListFilter, "statuses" | "limit">) =>
      (await member.list({ ...EVERYTHING, ...filter })).filter((job) => !member.isOwn(job));
    const active = await list({ statuses: ACTIVE, limit: MOST_ACTIVE });
    const newest = await list({ statuses: [], limit });
    this.revision += 1;
    this.found = { active, ended: newest.filter((job) => !isActive(job.status)) };
    this.members = (await member.registry.members()).map((each) => ({
      ...{ name: each.name, host: each.host ?? "-", leaseLeftMs: each.leaseLeftMs, active: each.active },
      ...{
        unpublished: each.unpublished,
        version: each.version,
        isOwn: each.memberId === member.membership.memberId,
      },
    }));
  }

  async history(runKey: string): Promise<readonly Run[]> {
    const member = this.#member;
    if (member === undefined) return [];
    try {
      const jobs = (await member.history(runKey)).filter((job) => !member.isOwn(job));
      return jobs.map((job) => ({ ...job, endedAt: job.finishedAt }));
    } catch (error) {
      if (!(error instanceof OrchesjobError)) throw error;
      this.problem = error.message;
      return [];
    }
  }

  async close(): Promise<void> {
    await this.#member?.registry.disconnect();
  }
}
