/** Where the server listens: the value of --listen. */
import { OrchesjobError } from "../job/errors.ts";

export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  /** A socket that systemd has opened: sd_listen_fds(3). */
  | { readonly kind: "inherited" };

/** struct sockaddr_un has room for no more. */
const LONGEST_SOCKET_PATH = 107;

/** Throws `usage`. */
export function parseAddress(text: string): Address {
  if (text === "systemd") return { kind: "inherited" };
  if (text.startsWith("unix:")) {
    const path = text.slice(5);
    if (path === "") throw wrong(text);
    const absolute = path.startsWith("/") ? path : `${process.cwd()}/${path}`;
    if (Buffer.byteLength(absolute) > LONGEST_SOCKET_PATH)
      throw new OrchesjobError(
        "usage",
        `the path of the socket has ${Buffer.byteLength(absolute)} bytes: ${JSON.stringify(absolute)}`,
        `the kernel takes ${LONGEST_SOCKET_PATH}`,
      );
    return { kind: "unix", path: absolute };
  }
  const [, host, digits] = /^(?:(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):)?(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) throw wrong(text);
  return { kind: "tcp", host: (host ?? "127.0.0.1").replace(/^\[|\]$/g, ""), port };
}

function wrong(text: string): OrchesjobError {
  return new OrchesjobError(
    "usage",
    `--listen must be HOST:PORT, unix:PATH or systemd, not ${JSON.stringify(text)}`,
    "for example --listen 127.0.0.1:8642",
  );
}

/** Whether only this machine reaches an address. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** As in a URL: an IPv6 address is in brackets. */
export function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Whether a browser may be asking for what it names in its Host header. An address, or `localhost`, cannot have been pointed at
 * us by somebody's name server (DNS rebinding); a name must be one of those that the user has allowed.
 */
export function isAllowedHost(header: string | undefined, names: readonly string[]): boolean {
  const [, host, bracketed] =
    /^(?:([A-Za-z0-9._-]+)|(\[[0-9a-fA-F:.]+\]))(?::\d{1,5})?$/.exec(header ?? "") ?? [];
  if (bracketed !== undefined) return true;
  if (host === undefined) return false;
  const name = host.toLowerCase();
  return name === "localhost" || /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || names.includes(name);
}

/** The port that the browser uses, which differs from ours behind `ssh -L`. `header`: an allowed one. */
export function portOfHost(header: string): string {
  return /:(\d{1,5})$/.exec(header)?.[1] ?? "80";
}
