/** `serve` under fire: requests that no browser sends, slow clients, readers that do not read, huge logs. Memory is bounded. */
import { connect, type Socket } from "bun";
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { injectFaults } from "../support/faults.ts";
import { testWith } from "../support/needs.ts";
import { type JobAnswer, Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { Server } from "../support/serve.ts";

setDefaultTimeout(TIMEOUT_MS);

/** What the process may have for itself in the worst case, in MB; 8 at rest. */
const MOST_MEMORY = 100;

/** A client of the lowest kind. */
class Client {
  text = "";
  isClosed = false;
  #socket: Socket | undefined;

  static async open(server: Server, bytes: string | Uint8Array = ""): Promise<Client> {
    const client = new Client();
    const close = () => void (client.isClosed = true);
    client.#socket = await connect({
      hostname: "127.0.0.1",
      port: Number(new URL(server.origin!).port),
      socket: {
        data: (_, data) => void (client.text += data.toString("latin1")),
        close,
        end: close,
        error: close,
        connectError: close,
      },
    });
    if (bytes.length > 0) client.#socket.write(bytes);
    return client;
  }

  /** Stops reading. */
  pause(): void {
    this.#socket!.pause();
  }

  /** Ends our side. */
  shutdown(): void {
    this.#socket!.shutdown();
  }

  get status(): number {
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(this.text)?.[1] ?? 0);
  }

  [Symbol.dispose](): void {
    this.#socket!.terminate();
  }
}

/** Memory of its own, in MB. */
function memoryOf({ child }: Server): number {
  return Number(/^RssAnon:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))![1]) / 1024;
}

const descriptorsOf = ({ child }: Server) => readdirSync(`/proc/${child.pid}/fd`).length;

/** Sends bytes, and waits for an answer or the end of the connection. */
async function ask(server: Server, bytes: string | Uint8Array): Promise<number> {
  using client = await Client.open(server, bytes);
  client.shutdown();
  await until(
    `an answer to ${JSON.stringify(String(bytes).slice(0, 80))}`,
    () => client.isClosed || client.status > 0,
  );
  return client.status;
}

const withJob = async (box: Sandbox): Promise<JobAnswer> =>
  box.json(["start", "--sync", "--run-key", "k", "--", "echo", "secret output"]);

test("what is no proper question gets a refusal, and never anything of a job or of the file system", async () => {
  await using box = new Sandbox();
  const job = await withJob(box);
  await using server = await Server.start(box);
  const head = `Host: localhost\r\nAuthorization: Bearer ${server.token}\r\n`;
  const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\n${head}${more}\r\n`;
  const log = `/api/jobs/${job.job_id}/stdout`;
  expect(await ask(server, get(log))).toBe(200);

  // Paths.
  const up = "../".repeat(12);
  const paths = [
    `/${up}etc/passwd`,
    `/assets/${up}etc/passwd`,
    `/assets/%2e%2e/%2e%2e/etc/passwd`,
    `/assets/..%2f..%2fetc%2fpasswd`,
    `/%2e%2e`,
    `/api/jobs/..%2f..%2fetc%2fpasswd`,
    `/api/jobs/${job.job_id}/../../keys`,
    `/api/jobs/${job.job_id}/stdout%00`,
    `/api/jobs/%00`,
    `/api/jobs/${job.job_id}%0a/stdout`,
    `/api/jobs/${job.job_id}/stdin`,
    `/api/jobs/${job.job_id}.stdout/stdout`,
    `/api/jobs/${"a".repeat(4000)}`,
    `/api/keys/${"%61".repeat(1025)}`,
    `/api/jobs/%`,
    `/api/jobs/%ff%fe`,
    `/api/jobs/%c0%ae`,
    `/__proto__`,
    `/constructor`,
    `/api/__proto__`,
    `//evil.example/`,
    `http://localhost/api/jobs`,
    `/${"a/".repeat(3000)}`,
    `/${"a".repeat(9000)}`,
    "*",
    `\\..\\..\\etc\\passwd`,
  ];
  for (const path of paths) {
    const status = await ask(server, get(path));
    expect([path, [400, 404, 414].includes(status)]).toEqual([path, true]);
  }

  // Queries.
  const huge = "9".repeat(400);
  const queries = [
    "from=1e3",
    "from=--1",
    `from=${huge}`,
    "from=0x10",
    "max=-1",
    "max=1.5",
    `max=${huge}`,
    "from=%00",
    "from",
    "=",
    "a=b",
  ];
  for (const query of [...queries, "from=1&from=2"])
    expect([query, await ask(server, get(`${log}?${query}`))]).toEqual([query, 400]);
  for (const query of ["limit=NaN", `q=${"a".repeat(300)}&from=0`, "q=", "q=a&q=b", "before=x"])
    for (const path of ["/api/jobs", `${log}/search`, "/api/timeline", "/api/keys/k"])
      expect([path, query, await ask(server, get(`${path}?${query}`))]).toEqual([path, query, 400]);

  // Headers and methods. 0: it hangs up.
  const requests: readonly (readonly [string, string | Uint8Array, number])[] = [
    ["no host", `GET / HTTP/1.1\r\nAuthorization: Bearer ${server.token}\r\n\r\n`, 421],
    ["two hosts", `GET / HTTP/1.1\r\nHost: evil.example\r\n${head}\r\n`, 421],
    ["an old version", `GET / HTTP/1.0\r\n\r\n`, 421],
    ["a long header", get("/", `X: ${"a".repeat(20_000)}\r\n`), 431],
    ["many headers", get("/", "X: a\r\n".repeat(5000)), 431],
    ["a long cookie", `GET / HTTP/1.1\r\nHost: localhost\r\nCookie: ${"a=b;".repeat(3000)}\r\n\r\n`, 401],
    ["an empty token", `GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \r\n\r\n`, 401],
    ["a cookie of NUL", `GET / HTTP/1.1\r\nHost: localhost\r\nCookie: orchesjob-80=\0\r\n\r\n`, 400],
    ["ranges are ignored", get(log, "Range: bytes=99999999-1,-0\r\n"), 200],
    ["two lengths", get("/", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400],
    ["length and chunks", get("/", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n", 400],
    ["a folded header", get("/", "X: a\r\n b\r\n"), 400],
    ["a bare line feed", `GET / HTTP/1.1\nHost: localhost\n\n`, 400],
    ["TLS", new Uint8Array([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), 400],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
    ["a tunnel", `CONNECT localhost:22 HTTP/1.1\r\n${head}\r\n`, 0],
    ["all options", `OPTIONS * HTTP/1.1\r\n${head}\r\n`, 405],
    ["an unknown method", `STEAL /api/jobs HTTP/1.1\r\n${head}\r\n`, 400],
    ["a body of GET", get("/api/events", "Content-Length: 99999999999\r\n"), 400],
    ["a chunked body of GET", get("/api/events", "Transfer-Encoding: chunked\r\n"), 400],
    ["a body", `POST /api/jobs HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nhello`, 405],
    ["another method on top", get("/api/jobs", "X-HTTP-Method-Override: DELETE\r\n"), 200],
  ];
  for (const [name, bytes, wanted] of requests)
    expect([name, await ask(server, bytes)]).toEqual([name, wanted]);

  // A body is never taken for a request.
  using smuggler = await Client.open(
    server,
    `POST / HTTP/1.1\r\n${head}Content-Length: 200\r\n\r\n${get(log)}`,
  );
  smuggler.shutdown();
  await until("the connection is closed", () => smuggler.isClosed);
  expect(smuggler.text).not.toContain("secret output");
  expect(server.errors()).toBe("");
});

test("thousands of damaged requests neither end it nor get anything out of it", async () => {
  await using box = new Sandbox();
  const job = await withJob(box);
  await using server = await Server.start(box);
  // Without the token: whatever the damage does, nothing may come out.
  const proper = `GET /api/jobs/${job.job_id}/stdout?from=0&max=9 HTTP/1.1\r\nHost: localhost\r\nCookie: orchesjob-80=x\r\nAccept: */*\r\n\r\n`;
  let seed = Date.now() % 2 ** 31;
  const first = seed;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) % below;
  const damage = (): Uint8Array => {
    const bytes = [...new TextEncoder().encode(proper)];
    for (let count = 1 + random(6); count > 0; count--) {
      const at = random(bytes.length);
      const kind = random(4);
      if (kind === 0) bytes[at] = random(256);
      else if (kind === 1) bytes.splice(at, random(20));
      else if (kind === 2) bytes.splice(at, 0, ...Array.from({ length: random(40) }, () => random(256)));
      else bytes.splice(at, 0, ...bytes.slice(random(bytes.length)).slice(0, random(200)));
    }
    return Uint8Array.from(bytes);
  };
  const seen = new Set<number>();
  for (let round = 0; round < 60; round++) {
    const clients = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const client = await Client.open(server, damage());
        client.shutdown();
        return client;
      }),
    );
    await until(`answers in round ${round}, seed ${first}`, () => clients.every((client) => client.isClosed));
    for (const client of clients) {
      seen.add(client.status);
      expect([first, client.text.includes("secret")]).toEqual([first, false]);
      client[Symbol.dispose]();
    }
  }
  const expected = [0, 400, 401, 405, 414, 421, 431];
  expect([...seen].filter((status) => !expected.includes(status))).toEqual([]);
  expect(seen.has(401) && seen.has(400)).toBe(true);
  expect((await server.fetch(`/api/jobs/${job.job_id}`)).status).toBe(200);
  expect(memoryOf(server)).toBeLessThan(MOST_MEMORY);
  expect(server.errors()).toBe("");
});

test("1,000 slow clients keep nobody out; they, and readers that do not read, are cut off; streams are limited", async () => {
  await using box = new Sandbox();
  const job = await withJob(box);
  const head = (server: Server) => `Host: localhost\r\nAuthorization: Bearer ${server.token}\r\n\r\n`;
  await using server = await Server.start(box);
  writeFileSync(job.stdout_file, "x".repeat(50_000_000));
  const followed = await server.fetch("/api/events");
  expect(followed.status).toBe(200);
  const rest = descriptorsOf(server);

  const lazy = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = await Client.open(
        server,
        `GET /api/jobs/${job.job_id}/stdout?max=50000000 HTTP/1.1\r\n${head(server)}`,
      );
      client.pause();
      return client;
    }),
  );
  const slow: Client[] = [];
  for (let round = 0; round < 20; round++) {
    slow.push(
      ...(await Promise.all(
        Array.from({ length: 50 }, () => Client.open(server, "GET / HTTP/1.1\r\nHost: loc")),
      )),
    );
    const response = await server.fetch(`/api/jobs/${job.job_id}`, { headers: { Connection: "close" } });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
  }
  // At most 128 connections; the lazy readers hold their logs.
  expect(descriptorsOf(server)).toBeLessThan(rest + 128 + lazy.length + 5);
  expect(memoryOf(server)).toBeLessThan(MOST_MEMORY);
  await until("the slow ones and the lazy ones are cut off", () => descriptorsOf(server) <= rest + 1);
  expect(slow.every((client) => client.status === 0)).toBe(true);

  // Who follows is not slow: the stream from the beginning still goes on.
  const reader = followed.body!.getReader();
  let told = "";
  const other = box.json(["start", "--sync", "--run-key", "other", "--", "true"]);
  while (!told.includes("event: ended")) told += new TextDecoder().decode((await reader.read()).value);
  await other;
  const streams = [];
  for (let count = 0; count < 31; count++) streams.push(await server.fetch("/api/events"));
  const refused = await server.fetch("/api/events");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "10"]);
  expect((await server.fetch("/api/jobs")).status).toBe(200);
  await streams[0]!.body!.cancel();
  await until("there is room again", async () => {
    const again = await server.fetch("/api/events");
    if (again.status !== 200) return false;
    await again.body!.cancel();
    return true;
  });
  for (const client of [...slow, ...lazy]) client[Symbol.dispose]();
  await Promise.all([reader.cancel(), ...streams.map(({ body }) => body!.cancel().catch(() => {}))]);
  expect(server.errors()).toBe("");
});

test("whoever asks again without waiting for the answer is cut off, so that answers do not pile up in memory", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box);
  using client = await Client.open(server, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50_000));
  await until("the connection ends", () => client.isClosed);
  expect(client.text.split("HTTP/1.1 ").length).toBeLessThan(4);
  expect(memoryOf(server)).toBeLessThan(MOST_MEMORY);
  expect(server.errors()).toBe("");
  expect((await server.fetch("/api/jobs")).status).toBe(200);
});

testWith(["strace"], "a disk that cannot be read breaks the answer off, and ends nothing else", async () => {
  await using box = new Sandbox();
  const job = await withJob(box);
  await using server = await Server.start(box);
  const faults = await injectFaults(box, server.child.pid, "read:error=EIO", job.stdout_file);
  const response = await server.fetch(`/api/jobs/${job.job_id}/stdout`).catch(() => undefined);
  expect(await response?.text().catch(() => undefined)).toBeUndefined();
  expect(faults.count()).toBeGreaterThan(0);
  await faults.heal();
  expect((await server.fetch(`/api/jobs/${job.job_id}/stdout`)).status).toBe(200);
  expect(server.errors()).toBe("");
});

test("a log of 1 GB is read and searched in bounded memory, and one that is truncated meanwhile ends the answer", async () => {
  await using box = new Sandbox();
  const job = await withJob(box);
  const size = 2 ** 30;
  await using server = await Server.start(box);
  truncateSync(job.stdout_file, size);
  let most = 0;
  const wanted = 2 ** 28;
  const path = `/api/jobs/${job.job_id}/stdout`;
  const response = await server.fetch(`${path}?from=-${wanted}&max=${size}`);
  expect(response.headers.get("content-length")).toBe(String(wanted));
  let count = 0;
  for await (const chunk of response.body!) {
    count += (chunk as Uint8Array).length;
    if (count % 2 ** 22 < 65_536) most = Math.max(most, memoryOf(server));
  }
  expect(count).toBe(wanted);
  expect(most).toBeLessThan(MOST_MEMORY);

  const searched: number[] = [];
  let from: number | null = size - 2 ** 26 - 2 ** 20;
  while (from !== null) {
    searched.push(from);
    const answer: { matches: unknown; next: number | null } = await server.json(
      `${path}/search?q=none&from=${from}`,
      "api_search",
    );
    expect(answer.matches).toEqual([]);
    from = answer.next;
  }
  expect(searched).toHaveLength(2);
  expect(memoryOf(server)).toBeLessThan(MOST_MEMORY);

  const cut = await server.fetch(`${path}?max=${size}`);
  const reader = cut.body!.getReader();
  await reader.read();
  truncateSync(job.stdout_file, 10);
  const rest = async () => {
    while (!(await reader.read()).done);
  };
  await expect(rest()).rejects.toThrow();
  expect((await server.fetch(`/api/jobs/${job.job_id}`)).status).toBe(200);
});
