/** docs/fleet.md is true: its commands are typed, and its SQL is run, against a server with TLS. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { findDifference, readDocument, readSteps, typeSteps } from "../support/console.ts";
import { FleetDocument, SERVER_NAME } from "../support/fleet-document.ts";
import { has, type Need, testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { readBlock } from "../support/recipes.ts";
import { ROOT, TIMEOUT_MS, until } from "../support/sandbox.ts";

setDefaultTimeout(TIMEOUT_MS);

const DOCUMENT = "docs/fleet.md";
const NEEDS: readonly Need[] = ["postgresql", "netns", "openssl"];

let box: FleetDocument;

beforeAll(async () => {
  if (!NEEDS.every(has)) return;
  box = await FleetDocument.create();
  await box.setUp();
}, TIMEOUT_MS);

afterAll(async () => {
  if (NEEDS.every(has)) await box[Symbol.asyncDispose]();
}, TIMEOUT_MS);

testWith(NEEDS, "it shows what its commands really print", async () => {
  const typed = await typeSteps(box, readSteps(readDocument(DOCUMENT)), box.enter());
  const wrong = typed.map((step, index) => findDifference(step, typed[index + 1]));
  expect(wrong.filter((difference) => difference !== undefined).join("\n\n")).toBe("");
});

const url = (role: string, password: string, query: string, host = SERVER_NAME) =>
  `postgresql://${role}:${password}@${host}/fleet?${query}`;
const MEMBER = ["orchesjob_member", "choose-another"] as const;
const TRUSTED = "sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem";

describe("the roles", () => {
  testWith(NEEDS, "a member starts jobs, but reads no table and makes nothing", async () => {
    const join = await box.as("member", ["fleet", "join", url(...MEMBER, TRUSTED), "--name", "member"]);
    expect(join).toMatchObject({ code: 0, stderr: "" });
    const start = await box.as("member", ["run", "--run-key", "k", "--", "echo", "done"]);
    expect(start).toEqual({ code: 0, signal: null, stdout: "done\n", stderr: "" });
    for (const [statement, refusal] of [
      ["table orchesjob.job_records", "permission denied for table"],
      ["table orchesjob.jobs", "permission denied for view"],
      ["create table orchesjob.mine ()", "permission denied for schema"],
      ["drop function orchesjob.describe()", "must be owner"],
    ] as const)
      expect((await box.query(...MEMBER, statement)).stderr).toContain(refusal);
  });

  testWith(NEEDS, "a reader reads the views, and nothing else", async () => {
    const reader = ["orchesjob_reader", "choose-a-third"] as const;
    for (const nth of [0, 1, 2]) {
      const query = readBlock(DOCUMENT, "SQL for dashboards", "sql", nth);
      expect(await box.query(...reader, query)).toMatchObject({ code: 0, stderr: "" });
    }
    const tables = await box.server.sql<{ name: string; isView: boolean }>(
      "fleet",
      `select relname as name, relkind = 'v' as "isView" from pg_class
        where relnamespace = 'orchesjob'::regnamespace and relkind in ('r', 'v', 'S')`,
    );
    for (const { name, isView } of tables) {
      const { code, stderr } = await box.query(...reader, `select from orchesjob.${name} limit 1`);
      expect({ name, code, stderr }).toMatchObject(
        isView ? { code: 0 } : { code: 1, stderr: expect.stringContaining("permission denied") },
      );
    }
    const granted = await box.query(
      ...reader,
      `select count(*) from pg_proc where pronamespace = 'orchesjob'::regnamespace and has_function_privilege(oid, 'execute')`,
    );
    expect(granted.stdout).toBe("0\n");
  });

  testWith(NEEDS, "functions of later versions are for members, not for everybody", async () => {
    const owner = ["orchesjob_owner", "choose-one"] as const;
    const made = await box.query(
      ...owner,
      "create function orchesjob.later() returns int4 language sql as 'select 7'",
    );
    expect(made).toMatchObject({ code: 0, stderr: "" });
    expect((await box.query(...MEMBER, "select orchesjob.later()")).stdout).toBe("7\n");
    const refused = await box.query("orchesjob_reader", "choose-a-third", "select orchesjob.later()");
    expect(refused.stderr).toContain("permission denied for function");
    await box.query(...owner, "drop function orchesjob.later()");
  });
});

describe("TLS", () => {
  const join = (name: string, query: string, host?: string) =>
    box.as(name, ["fleet", "join", url(...MEMBER, query, host), "--name", name]);

  testWith(NEEDS, "verify-full accepts only the certificate of the authority, for this name", async () => {
    expect(await join("trusting", TRUSTED)).toMatchObject({ code: 0, stderr: "" });
    const stranger = TRUSTED.replace("db-ca", "stranger");
    expect(await join("doubting", stranger)).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining("is not accepted"),
    });
    expect((await join("renamed", TRUSTED, "localhost")).stderr).toContain("is not accepted");
    const environment = { NODE_TLS_REJECT_UNAUTHORIZED: "0", PGSSLMODE: "disable" };
    const urged = await box.as("urged", ["fleet", "join", url(...MEMBER, stranger)], { env: environment });
    expect(urged.stderr).toContain("is not accepted");
  });

  testWith(NEEDS, "the table says what each sslmode checks", async () => {
    const rows = [
      ...readDocument(DOCUMENT).matchAll(/^\| (?:`([a-z-]+)`|none) +\| (?:yes|no) +\| (.*?) +\|$/gm),
    ];
    expect(rows).toHaveLength(5);
    for (const [, mode, checks] of rows) {
      const ca = mode?.startsWith("verify") === true ? "&sslrootcert=/etc/ssl/db-ca.pem" : "";
      const query = mode === undefined ? "" : `sslmode=${mode}${ca}`;
      const name = `mode-${mode ?? "none"}`;
      const codes = [
        await join(name, query),
        await join(`${name}-renamed`, query, "localhost"),
        await join(`${name}-doubting`, query.replace("db-ca", "stranger")),
      ].map(({ code }) => code);
      expect({ mode, codes }).toEqual({ mode, codes: CODES[checks!]! });
    }
  });

  /** Exit codes with the right name, with another one, and with another authority. */
  const CODES: Record<string, number[]> = {
    no: [0, 0, 0],
    "the certificate, not its name": [0, 0, 1],
    "the certificate and its name": [0, 1, 1],
  };
});

describe("A host is gone", () => {
  testWith(NEEDS, "its name goes to the host that replaces it, once it was forgotten", async () => {
    const join = (home: string) =>
      box.as(home, ["fleet", "join", url(...MEMBER, TRUSTED), "--name", "web-7", "--lease", "1s"]);
    await box.as("witness", ["fleet", "join", url(...MEMBER, TRUSTED), "--name", "witness"]);
    await join("burned");
    expect((await box.as("burned", ["run", "--run-key", "last", "--", "true"])).code).toBe(0);
    expect(await join("replacement")).toMatchObject({
      code: 4,
      stderr: expect.stringContaining("orchesjob fleet forget web-7 --reason TEXT"),
    });
    for (const agent of box.agents("burned")) await killAndWait(agent);
    const forget = ["fleet", "forget", "web-7", "--reason", "it burned"];
    await until("its lease is over", async () => (await box.as("witness", forget)).code === 0);
    expect(await join("replacement")).toMatchObject({ code: 0, stderr: "" });
    const members = await box.server.sql<{ member: string }>(
      "fleet",
      "select member from orchesjob.members where member like 'web-7%' order by joined_at",
    );
    expect(members.map(({ member }) => member)).toEqual([expect.stringMatching(/^web-7~\d{4}-/), "web-7"]);
  });
});

describe("SQL for dashboards", () => {
  testWith(NEEDS, "the document lists the columns of the views, in their order", async () => {
    const tables = [
      ...readDocument(DOCUMENT).matchAll(/^`orchesjob\.(\w+)`, one row[^\n]*\n\n((?:\|.*\n)+)/gm),
    ];
    expect(tables.map(([, view]) => view)).toEqual(["jobs", "members"]);
    for (const [, view, rows] of tables) {
      const columns = await box.server.sql<{ name: string }>(
        "fleet",
        `select attname as name from pg_attribute where attrelid = 'orchesjob.${view}'::regclass and attnum > 0 order by attnum`,
      );
      const documented = [...rows!.matchAll(/^\| `(\w+)`/gm)].map((match) => match[1]!);
      expect(documented).toEqual(columns.map(({ name }) => name));
    }
  });
});

test("docs/troubleshooting.md quotes messages that the program has", () => {
  const section = readDocument("docs/troubleshooting.md")
    .split("## Messages of a fleet\n")[1]!
    .split("\n## ")[0]!;
  const quoted = [...section.matchAll(/^\| ((?:`[^`]+`(?:, )?)+)/gm)]
    .flatMap((row) => [...row[1]!.matchAll(/`([^`]+)`/g)])
    .flatMap((code) => code[1]!.split("…"))
    .map((part) => part.trim());
  const sources = ["src/fleet/**/*.ts", "src/agent/*.ts", "src/jobs/elsewhere.ts"]
    .flatMap((pattern) => [...new Bun.Glob(pattern).scanSync(ROOT)])
    .map(readDocument)
    .join("\n")
    .replaceAll("${registry}", "the registry of the fleet")
    .replaceAll("${home.fleet}", "fleet.json")
    .replaceAll("${MOST_REFUSALS}", "50");
  expect(quoted.length).toBeGreaterThan(30);
  expect(quoted.filter((part) => !sources.includes(part))).toEqual([]);
});
