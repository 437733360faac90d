/** The clients of docs/clients/, run as they are; those whose framework no package of Debian has are read by Python. */
import { expect, setDefaultTimeout, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { readDocument } from "../support/console.ts";
import { Gate } from "../support/gate.ts";
import { testWith } from "../support/needs.ts";
import { Reading } from "../support/reading.ts";
import { BINARY, type Finished, type JobAnswer, ROOT, Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { quote, Ssh } from "../support/sshd.ts";

setDefaultTimeout(TIMEOUT_MS);

const CLIENTS = readdirSync(join(ROOT, "docs/clients")).filter((name) => name !== "index.md");

/** Copies the clients into the sandbox; returns a PATH with orchesjob. */
function install(box: Sandbox): string {
  cpSync(join(ROOT, "docs/clients"), box.directory, { recursive: true });
  mkdirSync(join(box.directory, "bin"));
  symlinkSync(BINARY, join(box.directory, "bin/orchesjob"));
  return `${box.directory}/bin:/usr/bin:/bin`;
}

/** A program that counts its runs, waits at the gate, and exits with the code in the file `code`. */
function writeProgram(box: Sandbox, name: string, wait = ":"): void {
  const lines = ["#!/bin/sh", 'echo "begun $1"', wait, `echo "$1" >> ${box.directory}/runs`];
  const end = [String.raw`printf 'end\377\n'`, "echo bad >&2", `exit "$(cat ${box.directory}/code)"`, ""];
  writeFileSync(join(box.directory, "bin", name), [...lines, ...end].join("\n"), { mode: 0o755 });
  endWith(box, 0);
}

function endWith(box: Sandbox, code: number): void {
  writeFileSync(join(box.directory, "code"), String(code));
}

function runs(box: Sandbox): readonly string[] {
  const path = join(box.directory, "runs");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
}

test.each(CLIENTS)("%s is described, and run by a test", (name) => {
  expect(readDocument("docs/clients/index.md")).toContain(`(${name})`);
  expect(readDocument("test/docs/clients.test.ts")).toContain(`"${name}`);
});

/** What each client prints: the bytes of stdout and stderr as they come, then how the job ended, then an error. */
const EXPECTED_END =
  'end\xff\nbad\nFAILED 3\nexit 3: no job of run key "none"\ntry 1\nFAILED 1\ntry 2\nSUCCEEDED 0\n';

/** Fails when the file `started` is there: start would answer with the next attempt otherwise. That one succeeds. */
const TRIES = [
  "-c",
  'until [ -e started ]; do sleep 0.01; done; echo "try $ORCHESJOB_ATTEMPT"; exit $((2 - ORCHESJOB_ATTEMPT))',
];
const RETRIES = ["--retries=1", "--retry-delay=0"];

const TYPESCRIPT = `
import { writeFileSync } from "node:fs";
import { call, follow, start, type Part } from "./orchesjob.ts";
const bytes = (part: Part, name: "stdout" | "stderr") =>
  Buffer.from(part[name], part[\`\${name}_encoding\`] === "base64" ? "base64" : "utf8");
const begun = await start("k", ["work", "a b"]);
for await (const part of follow(begun.job_id)) {
  process.stdout.write(bytes(part, "stdout"));
  process.stdout.write(bytes(part, "stderr"));
  if (part.complete) console.log(part.status, part.exit_code);
}
await call("status", "--run-key", "none").catch((error: Error) =>
  console.log(\`exit \${error.cause}: \${error.message.slice(11, 35)}\`),
);
const tried = await call("start", "--run-key=r", ...${JSON.stringify([...RETRIES, "--", "sh", ...TRIES])});
writeFileSync("started", "");
for await (const part of follow(tried.job_id)) {
  process.stdout.write(bytes(part, "stdout"));
  if (part.complete) console.log(part.status, part.exit_code);
}
`;

const PYTHON = `
import sys
from orchesjob import Orchesjob, OrchesjobError, output_of
client = Orchesjob(sys.argv[1:])
begun = client.start("k", ["work", "a b"])
for job in client.follow(begun["job_id"]):
    for stream in ("stdout", "stderr"):
        sys.stdout.buffer.write(output_of(job, stream))
    sys.stdout.flush()
print(job["status"], job["exit_code"])
try:
    client.call("status", "--run-key", "none")
except OrchesjobError as error:
    print(f"exit {error.code}: {str(error).split(': ', 2)[2][:24]}")
tried = client.start("r", ${JSON.stringify(["sh", ...TRIES])}, *${JSON.stringify(RETRIES)})
open("started", "w").close()
for job in client.follow(tried["job_id"]):
    print(output_of(job, "stdout").decode(), end="")
    if job["complete"]:
        print(job["status"], job["exit_code"])
`;

const PYTHON_ASYNC = `
import asyncio, sys
from orchesjob import Orchesjob, output_of
from orchesjob_async import follow_async
client = Orchesjob(sys.argv[1:])
async def see(key, word):
    async for job in follow_async(client, client.start(key, ["work", word])["job_id"]):
        for stream in ("stdout", "stderr"):
            sys.stdout.buffer.write(output_of(job, stream))
        sys.stdout.flush()
    return f"{key} {job['status']} {job['exit_code']}"
async def retried():
    tried = client.start("r", ${JSON.stringify(["sh", ...TRIES])}, *${JSON.stringify(RETRIES)})
    open("started", "w").close()
    return [job["status"] async for job in follow_async(client, tried["job_id"]) if job["complete"]]
async def both():
    print(*await asyncio.gather(see("k", "a b"), see("l", "c")))
    print(*await retried())
asyncio.run(both())
`;

/** Runs a client while its job waits at a gate, so that it must follow; returns all that it printed, a character for each byte. */
async function follow(box: Sandbox, gate: Gate, command: readonly string[], path: string): Promise<string> {
  endWith(box, 3);
  const child = box.spawn(command, { env: { PATH: path } });
  const shown: Uint8Array[] = [];
  const text = () => Buffer.concat(shown).toString("latin1");
  for await (const chunk of child.stdout) {
    shown.push(chunk);
    if (text().includes("begun a b\n")) gate.open();
  }
  expect({ stderr: await new Response(child.stderr).text(), code: await child.exited }).toEqual({
    stderr: "",
    code: 0,
  });
  return text();
}

const LOCAL = [
  ["orchesjob.ts, in Bun,", [], "client.ts", TYPESCRIPT, [process.execPath]],
  ["orchesjob.ts, in Node.js,", ["node"], "client.ts", TYPESCRIPT, ["node", "client.mjs"]],
  ["orchesjob.py", ["python3"], "client.py", PYTHON, ["/usr/bin/python3"]],
] as const;
for (const [name, needs, file, script, interpreter] of LOCAL)
  testWith(needs, `${name} starts a job and follows its output, byte for byte`, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const path = install(box);
    writeProgram(box, "work", gate.wait);
    writeFileSync(join(box.directory, file), script);
    if (interpreter[0] === "node") {
      // Not every Node.js reads TypeScript.
      const build = [process.execPath, "build", file, "--target=node", "--outfile=client.mjs"];
      expect((await box.execute(build)).code).toBe(0);
    }
    expect(await follow(box, gate, [...interpreter, file], path)).toBe(`begun a b\n${EXPECTED_END}`);
    expect(runs(box)).toEqual(["a b"]);
  });

test("orchesjob.ts has no type error under strict settings", async () => {
  await using box = new Sandbox();
  install(box);
  writeFileSync(join(box.directory, "client.ts"), TYPESCRIPT);
  symlinkSync(join(ROOT, "node_modules"), join(box.directory, "node_modules"));
  const options = { strict: true, types: ["bun"], allowImportingTsExtensions: true, noEmit: true };
  const compilerOptions = { ...options, module: "Preserve", target: "ESNext", skipLibCheck: true };
  const include = ["client.ts", "orchesjob.ts"];
  writeFileSync(join(box.directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include }));
  const checked = await box.execute([process.execPath, "check"]);
  expect({ code: checked.code, said: checked.stdout + checked.stderr }).toMatchObject({ code: 0 });
});

testWith(["python3"], "orchesjob_async.py follows several jobs in one thread", async () => {
  await using box = new Sandbox();
  await using gate = new Gate(box);
  const path = install(box);
  writeProgram(box, "work", gate.wait);
  writeFileSync(join(box.directory, "client.py"), PYTHON_ASYNC);
  const shown = await follow(box, gate, ["/usr/bin/python3", "client.py"], path);
  expect(shown.split("\n").sort()).toEqual(
    [
      "",
      "bad",
      "bad",
      "begun a b",
      "begun c",
      "end\xff",
      "end\xff",
      "k FAILED 3 l FAILED 3",
      "FAILED SUCCEEDED",
    ].sort(),
  );
});

testWith(
  ["sshd", "python3"],
  "orchesjob.py reaches another host, and its start may be tried again",
  async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const path = install(box);
    writeProgram(box, "work");
    const there = Object.entries({ PATH: path, ORCHESJOB_HOME: box.home }).map(
      ([name, value]) => `${name}=${quote(value)}`,
    );
    await using ssh = await Ssh.start(box, { prelude: `export ${there.join(" ")}; cd ${box.directory}` });
    // The connection breaks after the first call has done its work: its answer is lost, and the job ends before the next try.
    const flaky = join(box.directory, "flaky");
    const lines = [
      "#!/bin/sh",
      '[ -e broken ] && exec "$@"',
      '"$@" > broken',
      "orchesjob wait k > ended",
      "exit 255",
      "",
    ];
    writeFileSync(flaky, lines.join("\n"), { mode: 0o755 });
    writeFileSync(join(box.directory, "client.py"), PYTHON);
    const words = ["/usr/bin/python3", "client.py", flaky, ...ssh.client, "127.0.0.1"];
    expect(await follow(box, gate, words, path)).toBe(`begun a b\n${EXPECTED_END}`);
    expect(runs(box)).toEqual(["a b"]);
  },
);

testWith(
  ["python3"],
  "the files for frameworks in Python can be read, and import what the client has",
  async () => {
    await using box = new Sandbox();
    install(box);
    const script = `
import ast, importlib, sys
for name in sys.argv[1:]:
    tree = ast.parse(open(name).read(), name)
    compile(tree, name, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("orchesjob"):
            for alias in node.names:
                getattr(importlib.import_module(node.module), alias.name)
            print(name, node.module)
`;
    const names = ["airflow_orchesjob.py", "dagster_orchesjob.py", "prefect_orchesjob.py"];
    expect(await box.execute(["/usr/bin/python3", "-c", script, ...names])).toMatchObject({
      code: 0,
      stderr: "",
      stdout: [
        "airflow_orchesjob.py orchesjob",
        "airflow_orchesjob.py orchesjob_async",
        "dagster_orchesjob.py orchesjob",
        "prefect_orchesjob.py orchesjob",
        "",
      ].join("\n"),
    });
  },
);

testWith(
  ["ansible"],
  "the playbook runs a job once, fails as it fails, and changes nothing after a success",
  async () => {
    await using box = new Sandbox();
    const path = install(box);
    writeProgram(box, "reindex.sh");
    const file = join(box.directory, "ansible-playbook.yml");
    writeFileSync(
      file,
      readDocument("docs/clients/ansible-playbook.yml").replace("/var/lib/orchesjob", box.home),
    );
    const env = { PATH: path, HOME: box.directory, LC_ALL: "C.UTF-8", ANSIBLE_NOCOLOR: "1" };
    const words = ["-i", "localhost,", "-c", "local", "-e", "ansible_python_interpreter=/usr/bin/python3"];
    const play = (): Promise<Finished> =>
      box.execute(["ansible-playbook", ...words, "-e", "release=7", file], { env });
    endWith(box, 3);
    const failed = await play();
    expect(failed.stdout).toContain("begun 7");
    expect(failed.stdout).toMatch(/changed=1 .* failed=1/);
    expect(failed.code).toBe(2);
    endWith(box, 0);
    expect((await play()).stdout).toMatch(/ok=3 +changed=1 .* failed=0/);
    expect((await play()).stdout).toMatch(/ok=3 +changed=0 .* failed=0/);
    expect(runs(box)).toEqual(["7", "7"]);
  },
);

interface Steps {
  readonly env: Record<string, string>;
  readonly run: readonly string[];
  readonly cancel: string;
}

/** The shell lines of a Jenkinsfile, which must have balanced brackets. */
function jenkinsSteps(): Steps {
  const text = readDocument("docs/clients/Jenkinsfile");
  const [body, aborted] = text.split("aborted {");
  const lines = (part: string) => [...part.matchAll(/^ *sh '([^'\\]*)'$/gm)].map((match) => match[1]!);
  const open: string[] = [];
  for (const [bracket] of text.replace(/^ *\/\/.*$|'[^'\n]*'/gm, "").matchAll(/[{}()[\]]/g))
    if ("{([".includes(bracket)) open.push(bracket);
    else expect(open.pop()! + bracket).toMatch(/^(\{\}|\(\)|\[\])$/);
  expect(open).toEqual([]);
  return { env: { GIT_COMMIT: "c1", BUILD_NUMBER: "7" }, run: lines(body!), cancel: lines(aborted!)[0]! };
}

function githubSteps(): Steps {
  const workflow = Bun.YAML.parse(readDocument("docs/clients/github-actions.yml")) as any;
  const { steps } = workflow.jobs.deploy as { steps: readonly { run: string; if?: string }[] };
  const [start, follow, cancel, ...rest] = steps;
  expect(rest).toEqual([]);
  expect(cancel!.if).toBe("cancelled()");
  return {
    env: { GITHUB_SHA: "c1", GITHUB_RUN_ID: "7" },
    run: [start!.run, follow!.run],
    cancel: cancel!.run,
  };
}

const CI = [
  ["Jenkinsfile", jenkinsSteps],
  ["github-actions.yml", githubSteps],
] as const;
for (const [name, read] of CI)
  test(`the steps of "${name}" deploy once, show the output, end with its code, and cancel it`, async () => {
    await using box = new Sandbox();
    await using gate = new Gate(box);
    const env = { ...read().env, PATH: install(box) };
    writeProgram(box, "deploy.sh", gate.wait);
    const { run, cancel } = read();
    expect(run).toHaveLength(2);
    // As the runner calls it.
    const shell = (line: string) => box.execute(["sh", "-e", "-c", line], { env });
    expect(await shell(run[0]!)).toMatchObject({ code: 0, stderr: "" });
    const following = box.spawn(["sh", "-e", "-c", run[1]!], { env });
    await new Reading(following.stdout).until("begun c1\n");
    // A cancelled build.
    expect(await shell(cancel)).toMatchObject({ code: 0, stderr: "" });
    expect(await following.exited).not.toBe(0);
    gate.open();
    endWith(box, 3);
    expect((await shell(run[0]!)).code).toBe(0);
    expect((await shell(run[1]!)).code).toBe(3);
    endWith(box, 0);
    expect((await shell(run[0]!)).code).toBe(0);
    // Building the same commit again deploys nothing.
    expect((await shell(run[0]!)).code).toBe(0);
    expect(await shell(run[1]!)).toMatchObject({ code: 0, stderr: "bad\n" });
    expect(runs(box)).toEqual(["c1", "c1"]);
    const history = await box.json<JobAnswer[]>(["status", "--run-key", "deploy-c1", "--all"]);
    expect(history.map((job) => job.status)).toEqual(["SUCCEEDED", "FAILED", "CANCELLED"]);
  });
