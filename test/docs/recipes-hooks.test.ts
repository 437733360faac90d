/** The recipes for hooks, each with a real receiver: they report failures, and nothing else. */
import { expect, setDefaultTimeout } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { JobView } from "../../src/cli/answers/job.ts";
import { testWith } from "../support/needs.ts";
import { Reading } from "../support/reading.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { BINARY, type JobAnswer, ROOT, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { SmtpServer } from "../support/smtp.ts";

setDefaultTimeout(TIMEOUT_MS);

/** The PATH of a host on which orchesjob, a recipe and these programs are installed. */
function install(box: Sandbox, recipe: string, programs: Readonly<Record<string, string>> = {}): string {
  const bin = join(box.directory, "bin");
  mkdirSync(bin);
  for (const [name, target] of Object.entries({ orchesjob: BINARY, ...programs }))
    symlinkSync(target, join(bin, name));
  writeFileSync(join(bin, recipe), readRecipeFile(recipe), { mode: 0o755 });
  return `${bin}:/usr/bin:/bin`;
}

interface Order {
  readonly runKey: string;
  readonly hook: readonly [option: "--on-exit" | "--on-failure", command: string];
  readonly script: string;
  readonly options?: readonly string[];
  readonly env: Record<string, string>;
}

/** Runs a job, and waits for the end of its hook if that has to run. */
async function runHooked(box: Sandbox, order: Order): Promise<JobView> {
  const { runKey, hook, script, options = [], env } = order;
  const words = [`--run-key=${runKey}`, "--sync", ...hook, ...options, "--", "sh", "-c", script];
  const { status } = await box.json<JobView>(["start", ...words], { env });
  const runs = hook[0] === "--on-exit" || status !== "SUCCEEDED";
  return until(`the hook of ${runKey} is recorded`, async () => {
    const job = await box.json<JobView>(["status", `--run-key=${runKey}`]);
    return (!runs || (job.on_exit_finished_at ?? job.on_failure_finished_at) !== null) && job;
  });
}

testWith(["curl"], "the webhook gets the failed job, and not the one that succeeded", async () => {
  await using box = new Sandbox();
  const received: JobAnswer[] = [];
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      received.push((await request.json()) as JobAnswer);
      return new Response("ok", { status: request.url.endsWith("/refused") ? 400 : 200 });
    },
  });
  const env = { PATH: install(box, "notify-webhook.sh") };
  const run = (runKey: string, path: string, script: string) => {
    const options = ["--env", `WEBHOOK_URL=http://127.0.0.1:${server.port}/${path}`];
    return runHooked(box, { runKey, hook: ["--on-failure", "notify-webhook.sh"], script, options, env });
  };
  expect(await run("good", "hook", "exit 0")).toMatchObject({ on_failure_code: null });
  expect(received).toEqual([]);
  expect(await run("bad", "hook", "exit 1")).toMatchObject({ on_failure_code: 0 });
  expect(received).toMatchObject([{ run_key: "bad", status: "FAILED", exit_code: 1 }]);
  expect(await run("untold", "refused", "exit 1")).toMatchObject({ on_failure_code: 22 });
});

testWith(["msmtp"], "the mail has the end of stderr and the job, and comes only for failures", async () => {
  await using box = new Sandbox();
  using server = new SmtpServer();
  // As Debian's msmtp-mta installs it.
  const env = {
    PATH: install(box, "notify-mail.sh", { sendmail: "/usr/bin/msmtp" }),
    HOME: box.directory,
  };
  writeFileSync(
    join(box.directory, ".msmtprc"),
    `account default\nhost 127.0.0.1\nport ${server.port}\nfrom jobs@example.org\n`,
    { mode: 0o600 },
  );
  const run = (runKey: string, script: string) =>
    runHooked(box, { runKey, hook: ["--on-failure", "notify-mail.sh admin@example.org"], script, env });
  expect(await run("good", "exit 0")).toMatchObject({ on_failure_code: null });
  expect(server.mails).toEqual([]);
  expect(await run("bad", 'echo "disk is full" >&2; exit 3')).toMatchObject({ on_failure_code: 0 });
  expect(server.mails).toMatchObject([{ from: "jobs@example.org", to: ["admin@example.org"] }]);
  const [head, stderr, json] = server.mails[0]!.text.split("\n\n");
  expect(head).toMatch(/^To: admin@example\.org\nSubject: .*: job bad is FAILED$/m);
  expect(stderr).toBe("disk is full");
  expect(JSON.parse(json!)).toMatchObject({ run_key: "bad", exit_code: 3 });
  // The mail server is away: the record of the hook says so.
  server[Symbol.dispose]();
  const untold = await run("untold", "exit 3");
  expect(untold.on_failure_code).not.toBe(0);
  expect(untold.on_failure_error).toContain("msmtp");
});

testWith(
  ["notify-send", "dbus-daemon", "python3-jeepney"],
  "the notification on the desktop has the end of stderr, and comes only for failures",
  async () => {
    await using box = new Sandbox();
    const bus = box.spawn(["dbus-daemon", "--session", "--nofork", "--print-address"]);
    const address = (await new Reading(bus.stdout).until("\n")).split("\n")[0]!;
    const env = { PATH: install(box, "notify-desktop.sh"), DBUS_SESSION_BUS_ADDRESS: address };
    const words = ["/usr/bin/python3", join(ROOT, "test/fixtures/notification-server.py")];
    const shown = new Reading(box.spawn(words, { env }).stdout);
    await shown.until("ready\n");
    const run = (runKey: string, script: string) =>
      runHooked(box, { runKey, hook: ["--on-failure", "notify-desktop.sh"], script, env });
    expect(await run("good", "exit 0")).toMatchObject({ on_failure_code: null });
    expect(await run("-bad", 'echo "cannot read <a&b>" >&2; exit 3')).toMatchObject({
      on_failure_code: 0,
      on_failure_error: null,
    });
    const [ready, line] = (await shown.until("}\n")).split("\n");
    expect(ready).toBe("ready");
    expect(JSON.parse(line!)).toEqual({
      program: "orchesjob",
      summary: "-bad: FAILED",
      body: "cannot read &lt;a&amp;b>",
      urgency: 2,
    });
    bus.kill();
    await bus.exited;
    expect((await run("untold", "exit 3")).on_failure_code).not.toBe(0);
  },
);

testWith(["curl"], "the service gets a ping at the start of a job and one at its end", async () => {
  await using box = new Sandbox();
  const pings: string[] = [];
  let busy = false;
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, searchParams } = new URL(request.url);
      pings.push(`${pathname} ${searchParams.get("rid")} ${await request.text()}`);
      return new Response("", { status: busy ? 400 : 200 });
    },
  });
  const env = { PATH: install(box, "ping-healthchecks.sh") };
  const ping = "ping-healthchecks.sh";
  const run = async (runKey: string, script: string) => {
    pings.length = 0;
    const options = ["--env", `PING_URL=http://127.0.0.1:${server.port}/id`];
    const job = await runHooked(box, {
      runKey,
      hook: ["--on-exit", ping],
      script: `${ping}; ${script}`,
      options,
      env,
    });
    return { job, told: pings.map((text) => text.replace(job.job_id, "ID")) };
  };
  expect((await run("good", "echo done")).told).toEqual(["/id/start ID ", "/id ID done\n"]);
  expect((await run("bad", "echo half; exit 3")).told).toEqual(["/id/start ID ", "/id/fail ID half\n"]);
  // The service is ill: the job runs all the same, and the record of the hook says that nobody was told.
  busy = true;
  const { job } = await run("untold", "echo done");
  expect(job).toMatchObject({ status: "SUCCEEDED", on_exit_code: 1 });
});
