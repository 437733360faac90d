/**
 * An existing client: a reservation daemon keeps the `job_id` of what it started. Later it asks for the status and
 * the result by id, or cancels, and passes output and exit code on to the customer.
 */
import { expect, setDefaultTimeout, test } from "bun:test";
import { Gate } from "../support/gate.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

interface Reservation {
  readonly jobId: string;
}

/** What the customer gets to see. */
interface Passed {
  readonly output: string;
  readonly errors: string;
  readonly code: number;
}

/** The daemon's own code, which knows only commands, exit codes and a few fields. */
class Daemon {
  readonly #box: Sandbox;

  constructor(box: Sandbox) {
    this.#box = box;
  }

  async reserve(
    key: string,
    command: readonly string[],
    options: readonly string[] = [],
  ): Promise<Reservation> {
    const { job_id: jobId } = await this.#ask(["start", "--run-key", key, ...options, "--", ...command]);
    return { jobId: String(jobId) };
  }

  async isDone({ jobId }: Reservation): Promise<boolean> {
    const { status } = await this.#ask(["status", "--job-id", jobId]);
    return !["STARTING", "RUNNING"].includes(String(status));
  }

  /** Undefined as long as there is no result: exit 4. */
  async collect({ jobId }: Reservation): Promise<Passed | undefined> {
    const { code, stdout } = await this.#box.run(["result", "--job-id", jobId]);
    if (code === 4) return undefined;
    const answer = JSON.parse(stdout) as { stdout: string; stderr: string; exit_code: number };
    return { output: answer.stdout, errors: answer.stderr, code: answer.exit_code };
  }

  async giveUp({ jobId }: Reservation): Promise<number | null> {
    return (await this.#box.run(["cancel", "--job-id", jobId])).code;
  }

  async #ask(words: readonly string[]): Promise<Record<string, unknown>> {
    const { code, stdout, stderr } = await this.#box.run(words);
    if (code !== 0 || stderr !== "") throw new Error(`exit ${code}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  }
}

test("the daemon passes on each reservation's own output and exit code, however late it asks", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const daemon = new Daemon(box);
  const script = `${gate.wait}; echo "for $1"; echo careful >&2; exit "$1"`;
  const reservations = await Promise.all(
    [0, 1, 2].map((number) =>
      daemon.reserve(
        `room-${number}`,
        ["sh", "-c", script, "sh", String(number)],
        [...["--label", `room=${number}`, "--timeout", "1h"]],
      ),
    ),
  );
  for (const reservation of reservations) {
    expect(await daemon.isDone(reservation)).toBe(false);
    expect(await daemon.collect(reservation)).toBeUndefined();
  }
  gate.open();
  for (const [number, reservation] of reservations.entries()) {
    await until("it is done", () => daemon.isDone(reservation));
    expect(await daemon.collect(reservation)).toEqual({
      output: `for ${number}\n`,
      errors: "careful\n",
      code: number,
    });
  }
  // The next reservation of the same room does not hide the first.
  await daemon.reserve("room-0", ["true"], ["--sync"]);
  expect((await daemon.collect(reservations[0]!))?.output).toBe("for 0\n");
});

test("a repeated reservation is the same one as long as it runs", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const daemon = new Daemon(box);
  const [first, second] = [
    await daemon.reserve("room", gate.command),
    await daemon.reserve("room", gate.command),
  ];
  expect(second).toEqual(first);
  gate.open();
  await until("it is done", () => daemon.isDone(first));
});

test("cancelling ends the job and keeps its output; a second cancel has a different exit code", async () => {
  await using box = new Sandbox();
  const daemon = new Daemon(box);
  const reservation = await daemon.reserve("room", ["sh", "-c", "echo begun; sleep 600"]);
  await until(
    "it has begun",
    async () => (await box.run(["logs", "--run-key", "room"])).stdout === "begun\n",
  );
  expect(await daemon.giveUp(reservation)).toBe(0);
  expect(await daemon.isDone(reservation)).toBe(true);
  expect(await daemon.collect(reservation)).toEqual({ output: "begun\n", errors: "", code: -15 });
  expect(await daemon.giveUp(reservation)).toBe(4);
});
