/** The machine that the other tests here use: that it runs a real systemd, and leaves nothing behind. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { testWith } from "../support/needs.ts";
import { isAlive, ROOT, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(
  ["systemd"],
  "a machine has units, a journal and a user manager, and leaves nothing behind",
  async () => {
    await using box = new Sandbox();
    let pid: number;
    {
      await using machine = await SystemdMachine.boot(box);
      pid = machine.pid;
      await machine.units({
        "hello.service": "[Service]\nType=oneshot\nExecStart=/bin/echo hello from a unit\n",
      });
      await machine.must(["systemctl", "start", "hello.service"]);
      expect(await machine.journal("hello.service")).toContain("hello from a unit\n");
      await machine.startUserManager();
      await machine.must(["systemd-run", "--user", "-q", "touch", `${TESTER.home}/was-here`], {
        asTester: true,
      });
      await until("it has run", () => existsSync(machine.path(`${TESTER.home}/was-here`)));
      expect(await machine.must([PROGRAM, "--version"], { asTester: true })).toMatch(/^orchesjob \d/);
    }
    expect(isAlive(pid)).toBeFalse();
    expect(readdirSync(box.directory)).toEqual([]);
  },
);

testWith(["systemd"], "a machine whose test is killed ends, too, and leaves nothing behind", async () => {
  await using box = new Sandbox();
  const script = join(box.directory, "test-that-is-killed.ts");
  await Bun.write(
    script,
    `import { Sandbox } from "${ROOT}test/support/sandbox.ts";
     import { SystemdMachine } from "${ROOT}test/support/systemd.ts";
     const box = new Sandbox();
     const machine = await SystemdMachine.boot(box);
     await Bun.write("${box.directory}/facts.part", JSON.stringify([machine.pid, box.directory]));
     (await import("node:fs")).renameSync("${box.directory}/facts.part", "${box.directory}/facts");
     await Bun.sleep(1e9);`,
  );
  const test = box.spawn([process.execPath, script], { env: { TMPDIR: box.directory } });
  const facts = join(box.directory, "facts");
  const [pid, directory] = await until("it has booted", async () =>
    existsSync(facts) ? ((await Bun.file(facts).json()) as [number, string]) : false,
  );
  expect(isAlive(pid)).toBeTrue();
  test.kill("SIGKILL");
  await box.finished(test);
  await until("nothing of it is left", () => !isAlive(pid) && readdirSync(directory).length === 0);
  await until("its supervisor is gone", () => box.processes().length === 0);
});
