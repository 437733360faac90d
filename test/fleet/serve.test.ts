/** What `serve` shows of other members of a fleet. */
import { expect, setDefaultTimeout } from "bun:test";
import { Fleet, serverOfFile, WITH_SERVER } from "../support/fleet.ts";
import { testWith } from "../support/needs.ts";
import { Server } from "../support/serve.ts";
import { TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);
const server = serverOfFile();

testWith(WITH_SERVER, "members and jobs of a whole fleet; logs of others are on their hosts", async () => {
  await using fleet = await Fleet.create(await server());
  const [m1, m2] = await fleet.members(2);
  const there = await m1!.answer(["start", "--sync", "--run-key", "a", "--", "true"]);
  const here = await m2!.answer(["start", "--sync", "--run-key", "b", "--", "true"]);
  await m1!.untilPublished();
  await m2!.untilPublished();
  await using page = await Server.start(m2!);
  expect(await page.json("/api/overview", "api_overview")).toMatchObject({ in_fleet: true });
  const told = await page.json("/api/fleet", "fleet");
  expect(told).toMatchObject({ member: "m2", unpublished: 0 });
  expect(told.members.map(({ member }: any) => member).sort()).toEqual(["m1", "m2"]);
  const ids = async (query: string) =>
    (await page.json(`/api/jobs${query}`, "list")).map(({ job_id }: any) => job_id);
  expect(await ids("?fleet=1")).toEqual([here.job_id, there.job_id]);
  expect(await ids("")).toEqual([here.job_id]);
  const path = `/api/jobs/${there.job_id}`;
  expect(await page.json(path, "job")).toMatchObject({ member: "m1", status: "SUCCEEDED" });
  for (const part of ["stdout", "stderr/search?q=x"]) {
    const refused = await page.fetch(`${path}/${part}`);
    expect(refused.status).toBe(409);
    expect(await refused.text()).toContain('is of member \\"m1\\", and its output is on host');
  }
  const events = page.events(`${path}/events`);
  expect((await events.next()).value).toMatchObject({ event: "job", data: { member: "m1" } });
  await events.return(undefined);
});
