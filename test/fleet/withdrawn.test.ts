/** A claim of which nothing became, because its launcher was killed: it uses up neither a request id nor a strict key. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

const MEMBER = {
  ...{
    member_id: "00000000-0000-4000-8000-000000000001",
    boot_id: "boot",
    machine_id: "machine",
    host: "host",
  },
  ...{ session_id: 0, beat: 0, epoch: 0, unpublished: 0, version: "test" },
};
const JOB = { command: ["true"], cwd: "/", startedAt: 1 };

testWith(
  WITH_SERVER,
  "a claim that is given back leaves neither its request id nor its strict key used",
  async () => {
    await using fleet = await Fleet.create(await server());
    await fleet.member("m1");
    const call = async (name: string, ...values: readonly unknown[]) => {
      const texts = values.map((value) =>
        typeof value === "string" ? `'${value}'` : `'${JSON.stringify(value)}'::jsonb`,
      );
      const [row] = await fleet.sql<{ answer: any }>(
        `select orchesjob.${name}(${texts.join(", ")}) as answer`,
      );
      return row!.answer;
    };
    await call("join_fleet", {
      ...{ member_id: MEMBER.member_id, name: "bare", lease_ms: 60_000, on_partition: "continue" },
      ...{ state_directory: "/nowhere", version: "test", last_token: 0 },
    });
    const caller = { ...MEMBER, ...(await call("renew", MEMBER)) };
    const claim = (job_id: string, expected: string | null) =>
      call("claim", caller, {
        ...{ job_id, run_key: "k", attempt_no: 0, expected, strict: true, use_override: false },
        ...{ request_id: "r", on_partition: null, job: { ...JOB, jobId: job_id } },
      });
    expect(await claim("first", null)).toMatchObject({ granted: true });
    await call("withdraw", caller, "first");
    expect(await call("look_up", "k", "r")).toMatchObject({ requested: null, strict_job_id: null });
    // A job that ran keeps both, also if its member has forgotten it: its database may have been put back.
    expect(await claim("second", "first")).toMatchObject({ granted: true });
    await fleet.sql("update orchesjob.job_records set change = 3 where job_id = 'second'");
    await call("withdraw", caller, "second");
    const kept = await call("look_up", "k", "r");
    expect(kept).toMatchObject({ strict_job_id: "second" });
    expect(kept.requested.job).toMatchObject({ jobId: "second", status: "LOST", lostReason: "unknown" });
  },
);
