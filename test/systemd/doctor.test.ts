/** What doctor says about the unit that it runs in, in a real systemd. */
import { expect, setDefaultTimeout } from "bun:test";
import { judge, type Finding } from "../support/doctor.ts";
import { testWith } from "../support/needs.ts";
import { Sandbox, TIMEOUT_MS } from "../support/sandbox.ts";
import { PROGRAM, SystemdMachine, TESTER } from "../support/systemd.ts";

setDefaultTimeout(TIMEOUT_MS);

testWith(["systemd"], "doctor says whether a worker outlives the unit that it is started from", async () => {
  await using box = new Sandbox();
  await using machine = await SystemdMachine.boot(box);
  /** Runs doctor in a service with these properties; the state directory does not exist, and may be made. */
  const inService = async (home: string, ...properties: string[]): Promise<Finding> => {
    const words = [...properties, `Environment=ORCHESJOB_HOME=${home}`].map((each) => `--property=${each}`);
    const service = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", ...words, "--"];
    return judge(await machine.run([...service, PROGRAM, "doctor"])).of("systemd");
  };

  expect(judge(await machine.run([PROGRAM, "doctor"])).of("systemd").message).toMatch(
    /^nothing ends a worker that is started from here/,
  );
  expect(await inService("/root/jobs")).toMatchObject({
    status: "ok",
    message: expect.stringMatching(
      /gets a scope of its own, so it survives the end of run-\S+\.service \(KillMode=control-group\)$/,
    ),
  });
  expect(await inService("/root/jobs", "KillMode=process")).toMatchObject({
    status: "ok",
    message: expect.stringMatching(
      /started from here survives the end of run-\S+\.service \(KillMode=process\)$/,
    ),
  });
  const jobs = `${TESTER.home}/jobs`;
  expect(await inService(jobs, `User=${TESTER.name}`)).toMatchObject({
    status: "warning",
    message: expect.stringMatching(
      /started from here ends with run-\S+\.service .*no running service manager/,
    ),
    way_out: `loginctl enable-linger ${TESTER.name}`,
  });

  // The user's service manager, which ends with the user's last session.
  await machine.startUserManager();
  const user = async () => {
    const words = ["systemd-run", "--user", "--quiet", "--pipe", "--wait", "--collect", PROGRAM, "doctor"];
    const env = { ORCHESJOB_HOME: jobs };
    return judge(await machine.run(words, { asTester: true, env })).of("systemd");
  };
  expect(await user()).toMatchObject({ status: "ok" });
  // Like `loginctl disable-linger`, which would also end the manager.
  await machine.must(["rm", `/var/lib/systemd/linger/${TESTER.name}`]);
  expect(await user()).toMatchObject({
    status: "warning",
    way_out: `loginctl enable-linger ${TESTER.name}`,
  });
});
