/** Decides who may ask, before anything is looked up. */
import { isAllowedHost, portOfHost } from "./address.ts";
import { isToken } from "./token.ts";

export interface Rules {
  /** Undefined: whoever reaches the socket may ask. */
  readonly token: string | undefined;
  /** Names, in lower case, that a Host header may have beside addresses and `localhost`. */
  readonly hosts: readonly string[];
}

/** The head of a request. */
export interface Head {
  readonly method: string;
  /** As it came: path and query. */
  readonly url: string;
  /** Lower case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export type Verdict =
  | { readonly kind: "pass"; readonly path: readonly string[]; readonly query: URLSearchParams }
  | { readonly kind: "refuse"; readonly status: number; readonly code: string; readonly message: string }
  /** The token was in the address: it becomes a cookie. */
  | { readonly kind: "redirect"; readonly to: string; readonly cookie: string };

const LONGEST_URL = 8192;

export function judgeRequest({ method, url, headers }: Head, rules: Rules): Verdict {
  const host = headers["host"];
  if (typeof host !== "string" || !isAllowedHost(host, rules.hosts))
    return refuse(
      421,
      "host",
      "this server does not answer to that host name: allow it with orchesjob serve --host NAME",
    );
  if (method !== "GET" && method !== "HEAD")
    return refuse(405, "method", "this server is read-only: it answers GET and HEAD");
  if (hasBody(headers)) return refuse(400, "body", "this server takes no body");
  if (url.length > LONGEST_URL) return refuse(414, "address", "the address is too long");
  const parsed = parseUrl(url);
  if (parsed === undefined) return refuse(400, "address", "the address is not valid");
  const { path, query } = parsed;
  // Another site may not even learn how long an answer takes.
  if (path[0] === "api" && headers["sec-fetch-site"] === "cross-site")
    return refuse(403, "origin", "another site may not ask this");
  if (rules.token === undefined) return { kind: "pass", path, query };
  const name = `orchesjob-${portOfHost(host)}`;
  const inAddress = query.get("token");
  if (inAddress !== null) {
    if (!isToken(inAddress, rules.token)) return unknown();
    query.delete("token");
    const rest = query.toString();
    const to = `/${path.map(encodeURIComponent).join("/")}${rest === "" ? "" : `?${rest}`}`;
    return { kind: "redirect", to, cookie: `${name}=${rules.token}; Path=/; HttpOnly; SameSite=Strict` };
  }
  const given = bearer(headers["authorization"]) ?? cookie(headers["cookie"], name);
  return given !== undefined && isToken(given, rules.token) ? { kind: "pass", path, query } : unknown();
}

/** Whether more than its head belongs to a request. */
export function hasBody(headers: Head["headers"]): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

function unknown(): Verdict {
  return refuse(
    401,
    "token",
    "the token is missing or wrong: open the address that orchesjob serve has printed",
  );
}

function refuse(status: number, code: string, message: string): Verdict {
  return { kind: "refuse", status, code, message };
}

/** The parts of a path, decoded, and the query; undefined if it is not valid. */
function parseUrl(url: string): { path: readonly string[]; query: URLSearchParams } | undefined {
  if (!url.startsWith("/") || url.startsWith("//")) return undefined;
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  try {
    const parts = path.slice(1).split("/").map(decodeURIComponent);
    // No part ever becomes the name of a file.
    return { path: parts, query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)) };
  } catch {
    return undefined;
  }
}

function bearer(header: Head["headers"][string]): string | undefined {
  return typeof header === "string" ? /^Bearer +(\S+)$/i.exec(header)?.[1] : undefined;
}

function cookie(header: Head["headers"][string], name: string): string | undefined {
  if (typeof header !== "string") return undefined;
  for (const pair of header.split(";")) {
    const [key, ...value] = pair.trim().split("=");
    if (key === name) return value.join("=");
  }
  return undefined;
}
