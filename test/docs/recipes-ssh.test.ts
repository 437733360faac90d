/** The recipes that use SSH, run as they are against a real sshd whose connections break. */
import { expect, setDefaultTimeout } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Gate } from "../support/gate.ts";
import { finishedJob } from "../support/jobs.ts";
import { testWith } from "../support/needs.ts";
import { Reading } from "../support/reading.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { BINARY, type JobAnswer, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { quote, Ssh } from "../support/sshd.ts";

setDefaultTimeout(TIMEOUT_MS);

/** A server whose user's home is the sandbox's directory, with orchesjob in its PATH. */
function startServer(box: Sandbox): Promise<Ssh> {
  mkdirSync(join(box.directory, "there"));
  symlinkSync(BINARY, join(box.directory, "there/orchesjob"));
  const variables = { HOME: box.directory, PATH: `${box.directory}/there:/usr/bin:/bin` };
  const words = Object.entries(variables).map(([name, value]) => `${name}=${quote(value)}`);
  return Ssh.start(box, { prelude: `unset ORCHESJOB_HOME; export ${words.join(" ")}; cd` });
}

/**
 * The program on the server: prints its argument, waits at the gate, leaves a mark, and exits with the code in a
 * file.
 */
function writeProgram(box: Sandbox, name: string, gate: Gate): void {
  const lines = [
    "#!/bin/sh",
    'echo "begun $1"',
    gate.wait,
    'echo "$1" >> runs',
    "echo done",
    'exit "$(cat code)"',
    "",
  ];
  writeFileSync(join(box.directory, name), lines.join("\n"), { mode: 0o755 });
  endWith(box, 0);
}

function endWith(box: Sandbox, code: number): void {
  writeFileSync(join(box.directory, "code"), String(code));
}

function runs(box: Sandbox): readonly string[] {
  const path = join(box.directory, "runs");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

function history(box: Sandbox, runKey: string): Promise<readonly JobAnswer[]> {
  return box.json<JobAnswer[]>(["status", "--run-key", runKey, "--all"]);
}

testWith(
  ["sshd"],
  "the SSH loop reconnects after a lost connection, and the job runs once for each call",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using pause = new Gate(box, "pause");
    await using ssh = await startServer(box);
    const home = join(box.directory, ".local/share/orchesjob");
    mkdirSync(home, { recursive: true, mode: 0o700 });
    symlinkSync(home, box.home);
    writeProgram(box, "invoices.sh", gate);
    const here = join(box.directory, "here");
    mkdirSync(here);
    const client = [...ssh.client, "-o", "HostName=127.0.0.1"].map(quote).join(" ");
    writeFileSync(join(here, "ssh"), `#!/bin/sh\nPATH=/usr/bin:/bin exec ${client} "$@"\n`, { mode: 0o755 });
    // The pause between two tries ends when the test says so.
    writeFileSync(join(here, "sleep"), `#!/bin/sh\n${pause.wait}\n`, { mode: 0o755 });
    const recipe = readRecipeFile("invoices-over-ssh.sh");
    writeFileSync(join(here, "invoices"), recipe.replace("tries=30", "tries=3"), { mode: 0o755 });
    const call = (day: string) =>
      box.spawn([join(here, "invoices"), day], { env: { PATH: `${here}:/usr/bin:/bin` } });

    // Two callers attach again at once.
    endWith(box, 3);
    const first = call("2026-05-01");
    const shown = new Reading(first.stdout);
    await shown.until("begun");
    ssh.breakConnections();
    pause.open(1);
    await shown.until("begun 2026-05-01\nbegun 2026-05-01\n");
    const second = call("2026-05-01");
    const alsoShown = new Reading(second.stdout);
    await alsoShown.until("begun");
    gate.open(1);
    expect(await shown.all()).toBe("begun 2026-05-01\nbegun 2026-05-01\ndone\n");
    expect(await alsoShown.all()).toBe("begun 2026-05-01\ndone\n");
    expect([await first.exited, await second.exited]).toEqual([3, 3]);
    expect(runs(box)).toEqual(["2026-05-01"]);

    // The job ended before the next try: it is the same request. With another day, it is another key.
    const late = call("2026-05-02");
    const lateShown = new Reading(late.stdout);
    await lateShown.until("begun");
    ssh.breakConnections();
    gate.open(1);
    await finishedJob(box, "invoices-2026-05-02");
    pause.open(1);
    expect(await lateShown.all()).toBe("begun 2026-05-02\nbegun 2026-05-02\ndone\n");
    expect(await late.exited).toBe(3);
    expect(await history(box, "invoices-2026-05-02")).toHaveLength(1);

    // Called again after its end, it runs again; and its own exit code 255 makes no endless loop.
    endWith(box, 255);
    gate.open(1);
    pause.open(2);
    expect((await box.finished(call("2026-05-02"))).code).toBe(255);
    expect(await history(box, "invoices-2026-05-02")).toMatchObject([{ exit_code: 255 }, { exit_code: 3 }]);
    expect(runs(box)).toEqual(["2026-05-01", "2026-05-02", "2026-05-02"]);
  },
);

testWith(
  ["sshd", "paramiko"],
  "the Airflow task: a retry attaches, or returns the success, and runs a failure again",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    await using ssh = await startServer(box);
    writeProgram(box, "load-orders.sh", gate);
    const environment = { ORCHESJOB_HOME: join(box.directory, ".local/share/orchesjob") };
    const recipe = readRecipeFile("airflow_dag.py");
    const task = (day: string) => {
      const templates = [`run_id=scheduled__${day}T02:00:00+00:00`, `ds=${day}`];
      const client = ["/usr/bin/python3", join(ROOT, "test/fixtures/clients/ssh-operator.py")];
      return box.spawn([...client, String(ssh.port), box.directory, ...templates], { stdin: recipe });
    };
    const key = (day: string) => `orders-scheduled__${day}T02:00:00+00:00`;
    const jobs = async (day: string) =>
      JSON.parse(
        (await box.run(["status", "--run-key", key(day), "--all"], { env: environment })).stdout,
      ) as JobAnswer[];

    // Airflow's worker dies; then the connection breaks; then a retry sees it through.
    const killed = task("2026-05-01");
    await new Reading(killed.stdout).until("begun");
    killed.kill("SIGKILL");
    await killed.exited;
    const broken = task("2026-05-01");
    await new Reading(broken.stdout).until("begun");
    ssh.breakConnections();
    expect(await broken.exited).toBe(255);
    const retried = task("2026-05-01");
    const shown = new Reading(retried.stdout);
    await shown.until("begun");
    gate.open(1);
    expect(await shown.all()).toBe("begun 2026-05-01\ndone\n");
    expect(await retried.exited).toBe(0);

    // The answer of a success was lost.
    expect(await box.finished(task("2026-05-01"))).toMatchObject({
      code: 0,
      stdout: "begun 2026-05-01\ndone\n",
      stderr: "",
    });
    expect(await jobs("2026-05-01")).toMatchObject([{ status: "SUCCEEDED", attempt_no: 1 }]);
    expect(runs(box)).toEqual(["2026-05-01"]);

    // A failure is tried again, and succeeds.
    gate.open(2);
    endWith(box, 4);
    expect((await box.finished(task("2026-05-02"))).code).toBe(4);
    endWith(box, 0);
    expect((await box.finished(task("2026-05-02"))).code).toBe(0);
    expect(await jobs("2026-05-02")).toMatchObject([{ status: "SUCCEEDED" }, { status: "FAILED" }]);
  },
);
