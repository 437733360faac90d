/** The units of the recipe, and sockets of systemd, in a real systemd. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from "bun:test";
import { has, testWith } from "../support/needs.ts";
import { readRecipeFile } from "../support/recipes.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

let box: Sandbox;
let machine: SystemdMachine;

beforeAll(async () => {
  if (!has("systemd")) return;
  box = new Sandbox();
  machine = await SystemdMachine.boot(box);
}, TIMEOUT_MS);

afterAll(async () => {
  if (!has("systemd")) return;
  await machine[Symbol.asyncDispose]();
  await box[Symbol.asyncDispose]();
}, TIMEOUT_MS);

const asTester = { asTester: true, env: { ORCHESJOB_HOME: `${TESTER.home}/.local/share/orchesjob` } };

testWith(
  ["systemd", "curl"],
  "the recipe: the page starts when its user looks, sees a job that runs, and nobody else may look",
  async () => {
    const units = ["orchesjob-serve.socket", "orchesjob-serve.service"];
    const forTester = (name: string) =>
      readRecipeFile(name).replaceAll("/home/anna", TESTER.home).replaceAll("anna", TESTER.name);
    await machine.units(Object.fromEntries(units.map((name) => [name, forTester(name)])));
    const paths = units.map((name) => `/etc/systemd/system/${name}`);
    expect(await machine.run(["systemd-analyze", "verify", ...paths])).toMatchObject({ code: 0, stderr: "" });
    const start = [
      PROGRAM,
      "start",
      "--run-key",
      "k",
      "--",
      "sh",
      "-c",
      "until [ -e ~/go ]; do sleep 0.02; done",
    ];
    const job = JSON.parse(await machine.must(start, asTester)) as JobAnswer;
    await machine.must(["systemctl", "enable", "--now", "orchesjob-serve.socket"]);
    expect(await machine.property("orchesjob-serve", "ActiveState")).toBe("inactive");

    const ask = ["curl", "-s", "--unix-socket", `/run/orchesjob-${TESTER.name}.sock`];
    const look = async () =>
      JSON.parse(
        await machine.must([...ask, `http://localhost/api/jobs/${job.job_id}`], asTester),
      ) as JobAnswer;
    expect(await look()).toMatchObject({ job_id: job.job_id, status: "RUNNING" });
    expect(await machine.property("orchesjob-serve", "ActiveState")).toBe("active");
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    expect((await machine.run([...nobody, ...ask, "http://localhost/api/jobs"])).code).toBe(7);
    await machine.must(["touch", `${TESTER.home}/go`]);
    await until("the page shows the end", async () => (await look()).status === "SUCCEEDED");
    await machine.must(["systemctl", "stop", "orchesjob-serve.service"]);
    expect(await machine.property("orchesjob-serve", "Result")).toBe("success");
    // The socket is that of systemd, which starts it again.
    expect(await look()).toMatchObject({ status: "SUCCEEDED" });
    expect(await machine.journal("orchesjob-serve")).not.toContain("token=");
    await machine.must(["systemctl", "stop", "orchesjob-serve.socket", "orchesjob-serve.service"]);
  },
  TIMEOUT_MS,
);

testWith(
  ["systemd", "curl"],
  "a socket that others can open needs a token file, whose token is not printed",
  async () => {
    const socket = (lines: string) => `[Socket]\n${lines}\n`;
    const service = (options: string) =>
      `[Service]\nEnvironment=HOME=/root\nExecStart=${PROGRAM} serve --listen systemd ${options}\n`;
    const fails = async (lines: string, options: string, message: string) => {
      await machine.units({ "page.socket": socket(lines), "page.service": service(options) });
      await machine.must(["systemctl", "start", "page.socket"]);
      await machine.run(["curl", "-s", "-m", "5", "http://127.0.0.1:8642/"]);
      await machine.run(["curl", "-s", "-m", "5", "--unix-socket", "/run/page.sock", "http://localhost/"]);
      await until(`it says ${message}`, async () => (await machine.journal("page")).includes(message));
      await machine.run(["systemctl", "stop", "page.socket", "page.service"]);
      await machine.run(["systemctl", "reset-failed"]);
    };
    await fails("ListenStream=127.0.0.1:8642", "", "others can connect to http://127.0.0.1:8642/");
    await fails(
      "ListenStream=/run/page.sock\nSocketMode=0660",
      "",
      "others can connect to unix:/run/page.sock",
    );
    await fails("ListenStream=0.0.0.0:8642", "", "other machines could connect to http://0.0.0.0:8642/");
    await fails(
      "ListenStream=127.0.0.1:8642\nListenStream=127.0.0.1:8643",
      "",
      "systemd has passed 2 sockets; serve takes one",
    );
    const token = "0123456789abcdef0123456789abcdef";
    machine.writeFile("/root/token", `${token}\n`, 0o600);
    await machine.units({
      "page.socket": socket("ListenStream=127.0.0.1:8642"),
      "page.service": service("--token-file /root/token"),
    });
    await machine.must(["systemctl", "start", "page.socket"]);
    const ask = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:8642/api/jobs"];
    expect(await machine.must(ask)).toBe("401");
    expect(await machine.must([...ask, "-H", `Authorization: Bearer ${token}`])).toBe("200");
    const said = await machine.journal("page");
    expect(said).toContain("http://127.0.0.1:8642/\n");
    expect(said).not.toContain(token);
    await machine.must(["systemctl", "stop", "page.socket", "page.service"]);
  },
  TIMEOUT_MS,
);
