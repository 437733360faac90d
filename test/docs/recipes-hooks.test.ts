/** The recipes for hooks report failures, and nothing else. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hookedJob } from "../support/hooks.ts";
import { testWith } from "../support/needs.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { BINARY, type JobAnswer, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

function writeProgram(box: Sandbox, path: string, text: string): string {
  writeFileSync(join(box.directory, path), text, { mode: 0o755 });
  return join(box.directory, path);
}

testWith(["curl"], "the webhook gets the failed job, and not the one that succeeded", async () => {
  await using box = new Sandbox();
  const received: JobAnswer[] = [];
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      received.push((await request.json()) as JobAnswer);
      return new Response("ok", { status: request.url.endsWith("/busy") ? 400 : 200 });
    },
  });
  const hook = writeProgram(box, "notify-webhook.sh", readRecipeFile("notify-webhook.sh"));
  const start = async (runKey: string, path: string, ...command: readonly string[]) => {
    const words = ["--env", `WEBHOOK_URL=http://127.0.0.1:${server.port}/${path}`, "--on-exit", hook];
    await box.json(["start", "--run-key", runKey, "--sync", ...words, "--", ...command]);
    return hookedJob(box, runKey);
  };
  expect(await start("good", "hook", "true")).toMatchObject({ on_exit_code: 0 });
  expect(received).toEqual([]);
  expect(await start("bad", "hook", "false")).toMatchObject({ on_exit_code: 0 });
  expect(received).toMatchObject([{ run_key: "bad", status: "FAILED", exit_code: 1 }]);
  expect(await start("untold", "busy", "false")).toMatchObject({ on_exit_code: 22 });
});

testWith([], "the mail has the end of stderr and the job, and comes only for failures", async () => {
  await using box = new Sandbox();
  const bin = join(box.directory, "bin");
  mkdirSync(bin);
  symlinkSync(BINARY, join(bin, "orchesjob"));
  const mail = join(box.directory, "mail");
  writeProgram(box, "bin/sendmail", `#!/bin/sh\n[ "$1" = -t ] && cat > ${mail}\n`);
  const hook = `${writeProgram(box, "notify-mail.sh", readRecipeFile("notify-mail.sh"))} admin@example.org`;
  const start = async (runKey: string, script: string) => {
    const words = ["start", "--run-key", runKey, "--sync", "--on-exit", hook, "--", "sh", "-c", script];
    await box.json(words, { env: { PATH: `${bin}:/usr/bin:/bin` } });
    return hookedJob(box, runKey);
  };
  expect(await start("good", "exit 0")).toMatchObject({ on_exit_code: 0 });
  expect(existsSync(mail)).toBe(false);
  expect(await start("bad", 'echo "disk is full" >&2; exit 3')).toMatchObject({ on_exit_code: 0 });
  const [head, stderr, json] = readFileSync(mail, "utf8").split("\n\n");
  expect(head).toMatch(/^To: admin@example\.org\nSubject: .*: job bad is FAILED$/);
  expect(stderr).toBe("disk is full");
  expect(JSON.parse(json!)).toMatchObject({ run_key: "bad", exit_code: 3 });
});
