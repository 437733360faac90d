/** Who may ask `serve`: token, cookie, Host header, methods, headers; the socket in the file system; bad values; signals. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { expectFailure } from "../support/expect.ts";
import { testWith } from "../support/needs.ts";
import { killAndWait } from "../support/processes.ts";
import { Sandbox, TIMEOUT_MS, until } from "../support/sandbox.ts";
import { Server } from "../support/serve.ts";

setDefaultTimeout(TIMEOUT_MS);

test("over TCP only the token opens, and the page keeps it in a cookie", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box);
  const token = server.token!;
  expect(token).toMatch(/^[\w-]{43}$/);
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await server.plain(path, { headers })).status;

  for (const path of ["/", "/api/jobs", "/api/events", "/assets/x.js", "/nothing"]) {
    const refused = await server.plain(path);
    expect([path, refused.status, refused.headers.get("www-authenticate")]).toEqual([path, 401, "Bearer"]);
    expect(await refused.text()).not.toContain(token);
  }
  for (const wrong of ["", "x", token.slice(1), `${token}x`, token.toUpperCase(), "é"]) {
    expect(await status(`/?token=${encodeURIComponent(wrong)}`)).toBe(401);
    expect(await status("/", { Cookie: `orchesjob-1=${token}` })).toBe(401);
    if (/^[\w-]+$/.test(wrong)) expect(await status("/", { Authorization: `Bearer ${wrong}` })).toBe(401);
  }
  expect(await status("/api/jobs", { Authorization: token })).toBe(401);
  expect(await status("/api/jobs", { Authorization: `bearer ${token}` })).toBe(200);

  const first = await server.plain(`/keys/a%2Fb?token=${token}&view=week`);
  expect([first.status, first.headers.get("location")]).toEqual([303, "/keys/a%2Fb?view=week"]);
  const cookie = first.headers.get("set-cookie")!;
  const port = new URL(server.origin!).port;
  expect(cookie).toMatch(new RegExp(`^orchesjob-${port}=[\\w-]+; Path=/; HttpOnly; SameSite=Strict$`));
  const pair = cookie.split(";")[0]!;
  expect(await status("/api/jobs", { Cookie: `other=1; ${pair}; more=2` })).toBe(200);
  // Behind ssh -L the browser knows another port, and another server may have a cookie there.
  const forwarded = { Host: "localhost:9999" };
  const elsewhere = await server.plain(`/?token=${token}`, { headers: forwarded });
  expect(elsewhere.headers.get("set-cookie")).toStartWith("orchesjob-9999=");
  expect(await status("/api/jobs", { ...forwarded, Cookie: pair })).toBe(401);

  // A second server has another token.
  await using other = await Server.start(box);
  expect(other.token).not.toBe(token);
  expect(await other.plain("/", { headers: { Authorization: `Bearer ${token}` } })).toMatchObject({
    status: 401,
  });
});

test("every answer has the headers that keep a browser safe, and only GET and HEAD are answered", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box, ["--listen", "127.0.0.1:0", "--host", "Jobs.example.com"]);
  const page = await server.fetch("/");
  const document = await page.text();
  expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  // What the policy forbids is not there.
  expect(document).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=|style=|https?:/i);
  const assets = [...document.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map((match) => match[1]!);
  expect(assets.length).toBeGreaterThan(1);
  for (const path of ["/", ...assets, "/api/jobs", "/api/nothing"]) {
    const { headers } = await server.fetch(path);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cross-origin-resource-policy")).toBe("same-origin");
    expect(headers.get("access-control-allow-origin")).toBeNull();
    expect(headers.get("cache-control")).toMatch(path.startsWith("/assets/") ? /immutable/ : /^no-store$/);
  }
  const head = await server.fetch("/api/jobs", { method: "HEAD" });
  expect([head.status, await head.text()]).toEqual([200, ""]);
  for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
    const refused = await server.fetch("/api/jobs", { method });
    expect([method, refused.status, refused.headers.get("allow")]).toEqual([method, 405, "GET, HEAD"]);
  }
  const withHost = async (host: string) =>
    (await server.fetch("/api/jobs", { headers: { Host: host } })).status;
  for (const host of [
    "localhost",
    "LocalHost:1",
    "127.0.0.1:9000",
    "[::1]:9000",
    "10.0.0.1",
    "jobs.example.com:443",
  ])
    expect([host, await withHost(host)]).toEqual([host, 200]);
  // DNS rebinding: a name of somebody else that leads here.
  for (const host of [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "localhost:80:80",
    "a@localhost",
    "jobs.example.com.",
  ])
    expect([host, await withHost(host)]).toEqual([host, 421]);
  const fromElsewhere = { headers: { "Sec-Fetch-Site": "cross-site" } };
  expect((await server.fetch("/api/jobs", fromElsewhere)).status).toBe(403);
  expect((await server.fetch("/", fromElsewhere)).status).toBe(200);
});

test("a Unix socket is its user's alone, and only a dead one of ours is replaced", async () => {
  await using box = new Sandbox();
  const path = `${box.directory}/page.sock`;
  const listen = ["--listen", `unix:${path}`];
  const failure = async () => box.run(["serve", ...listen]);
  {
    await using server = await Server.start(box, listen);
    expect(server.address).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await server.fetch("/api/jobs")).status).toBe(200);
    expect((await server.fetch("/api/jobs", { headers: { Host: "evil.example" } })).status).toBe(421);
    expectFailure(await failure(), 4, `another process listens on ${path}`);
    expect((await server.fetch("/api/jobs")).status).toBe(200);
    expect(await server.stop("SIGINT")).toEqual({ code: 0, signal: null });
    expect(existsSync(path)).toBe(false);
  }
  {
    await using killed = await Server.start(box, listen);
    await killAndWait(killed.child.pid);
    expect(statSync(path).isSocket()).toBe(true);
    // Two at once: only one of them finds the dead socket.
    const both = await Promise.allSettled([Server.start(box, listen), Server.start(box, listen)]);
    const started = both.filter((each) => each.status === "fulfilled").map(({ value }) => value);
    expect(started).toHaveLength(1);
    expect(String(both.find((each) => each.status === "rejected")!.reason)).toMatch(
      "another process listens on",
    );
    await using again = started[0]!;
    expect((await again.fetch("/api/jobs")).status).toBe(200);
    // Somebody has put another one there: it is not ours to remove.
    await box.execute(["rm", path]);
    using foreign = Bun.listen({ unix: path, socket: { data() {} } });
    expect(foreign).toBeDefined();
    expect(await again.stop()).toEqual({ code: 0, signal: null });
    expect(statSync(path).isSocket()).toBe(true);
  }
  await box.execute(["rm", "-f", path]);
  writeFileSync(path, "precious");
  expectFailure(await failure(), 4, `${path} exists and is not a socket`);
  expect(statSync(path).size).toBe(8);
  const token = `${box.directory}/token`;
  writeFileSync(token, "0123456789abcdef0123\nsecond line\n", { mode: 0o600 });
  await using server = await Server.start(
    box,
    ["--listen", "unix:relative.sock", "--token-file", token],
    "0123456789abcdef0123",
  );
  expect(server.socket).toBe(`${box.directory}/relative.sock`);
  expect((await server.plain("/api/jobs")).status).toBe(401);
  expect((await server.fetch("/api/jobs")).status).toBe(200);
});

test("bad values are refused with the value and a way out", async () => {
  await using box = new Sandbox();
  const fails = async (words: readonly string[], code: number, message: string | RegExp) =>
    expectFailure(await box.run(["serve", ...words]), code, message);
  for (const text of [
    "8642x",
    "127.0.0.1",
    "127.0.0.1:70000",
    "unix:",
    "http://127.0.0.1:8642",
    "::1:8642",
    "",
  ])
    await fails(
      [`--listen=${text}`],
      2,
      `--listen must be HOST:PORT, unix:PATH or systemd, not ${JSON.stringify(text)}`,
    );
  await fails(["--listen", `unix:/tmp/${"x".repeat(110)}`], 2, "the path of the socket has 115 bytes");
  await fails(["--listen", "systemd"], 2, "systemd has passed no socket");
  for (const host of ["0.0.0.0", "[::]", "192.0.2.1", "example.com"])
    await fails(["--listen", `${host}:0`], 2, /other machines could connect to .*--allow-remote/);
  await fails(["--listen", "192.0.2.1:0", "--allow-remote"], 1, "cannot listen on 192.0.2.1:0");
  await fails(["--listen", `unix:${box.directory}/none/page.sock`], 1, "none");
  await fails(["extra"], 2, "extra");

  const token = `${box.directory}/token`;
  const withToken = (code: number, message: string) => fails(["--token-file", token], code, message);
  await withToken(2, `cannot open ${token}: no such file or directory; make one: openssl rand -hex 32`);
  writeFileSync(token, "short\n", { mode: 0o600 });
  await withToken(2, `the first line of the token file ${token} is not a token`);
  writeFileSync(token, `${"x y".repeat(20)}\n`);
  await withToken(2, "is not a token");
  writeFileSync(token, "x".repeat(600));
  await withToken(2, "is not a token");
  for (const mode of ["640", "602"]) {
    await box.execute(["chmod", mode, token]);
    await withToken(4, `may be read or changed by others (mode ${mode}); run: chmod 600 ${token}`);
  }
  await box.execute(["rm", token]);
  mkdirSync(token);
  await withToken(2, "is not a regular file");

  await using server = await Server.start(box);
  await fails(
    ["--listen", server.origin!.slice(7)],
    1,
    "another process listens there: end it, or choose another port",
  );
});

testWith(["root"], "a socket and a token file of another user are refused", async () => {
  await using box = new Sandbox();
  const token = `${box.directory}/token`;
  writeFileSync(token, "0123456789abcdef0123\n", { mode: 0o600 });
  await box.execute(["chown", "65534", token]);
  expectFailure(await box.run(["serve", "--token-file", token]), 4, "belongs to another user");
  const path = `${box.directory}/page.sock`;
  await using killed = await Server.start(box, ["--listen", `unix:${path}`]);
  await killAndWait(killed.child.pid);
  await box.execute(["chown", "65534", path]);
  expectFailure(await box.run(["serve", "--listen", `unix:${path}`]), 4, "belongs to another user");
  expect(existsSync(path)).toBe(true);
});

test("other machines connect only if asked for, with a warning", async () => {
  await using box = new Sandbox();
  await using server = await Server.start(box, ["--listen", "0.0.0.0:0", "--allow-remote"]);
  const port = new URL(server.origin!).port;
  expect(server.errors()).toMatch(/^orchesjob: other machines can connect to .* there is no TLS/);
  const [address] = Object.values(networkInterfaces())
    .flat()
    .filter((each) => each?.family === "IPv4" && !each.internal);
  for (const host of ["127.0.0.1", ...(address === undefined ? [] : [address.address])]) {
    const response = await fetch(`http://${host}:${port}/api/jobs`, {
      headers: { Authorization: `Bearer ${server.token}` },
    });
    expect(response.status).toBe(200);
  }
});

test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
  "%s ends it cleanly, in the middle of answers",
  async (signal) => {
    await using box = new Sandbox();
    const job = await box.json(["start", "--sync", "--run-key", "k", "--", "true"]);
    writeFileSync(job.stdout_file, "x".repeat(30_000_000));
    await using server = await Server.start(box);
    const events = server.events("/api/events");
    expect((await events.next()).value).toMatchObject({ event: "ready" });
    const log = await server.fetch(`/api/jobs/${job.job_id}/stdout?max=30000000`);
    expect(log.status).toBe(200);
    const descriptors = () => readdirSync(`/proc/${server.child.pid}/fd`).length;
    const before = descriptors();
    await log.body!.cancel();
    // The reader has left: its log is closed.
    await until("the log is closed", () => descriptors() < before);
    expect(await server.stop(signal)).toEqual({ code: 0, signal: null });
    expect(server.errors()).toBe("");
  },
);
