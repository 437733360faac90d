/** Opens the socket of the server: of TCP, in the file system, or one that systemd has opened. */
import type { AddressInfo, Server } from "node:net";
import { OrchesjobError } from "../job/errors.ts";
import { closeFile, openFile, removeFile } from "../linux/file.ts";
import { lockUnlessOwned } from "../linux/file-lock.ts";
import { type FileStat, statName } from "../linux/stat.ts";
import { isDeadSocket, pathOfSocket } from "../linux/unix-socket.ts";
import { libc } from "../linux/ffi/libc.ts";
import { type Address, hostInUrl, isLoopback } from "./address.ts";

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const FIRST_INHERITED = 3;
const OPEN_TO_OTHERS = 0o077;
/** Nobody but the owner may connect to a socket that is made with this umask. */
const OWNER_ONLY = 0o177;

export interface Place {
  /** `http://127.0.0.1:8642/` or `unix:/run/…`. */
  readonly url: string;
  /** Whether every user who reaches it may ask, unless there is a token. */
  readonly needsToken: boolean;
  /** Whether other machines reach it. */
  readonly isRemote: boolean;
  /** Removes the socket from the file system, if it is still ours. */
  remove(): void;
}

/** Throws OrchesjobError. */
export async function openListener(server: Server, address: Address): Promise<Place> {
  if (address.kind === "unix") return openUnix(server, address.path);
  const wanted =
    address.kind === "tcp" ? { host: address.host, port: address.port } : { fd: takeInherited() };
  await listening(
    server,
    wanted,
    address.kind === "tcp" ? `${address.host}:${address.port}` : "the socket of systemd",
  );
  // The runtime does not say where an inherited one is.
  const path = address.kind === "inherited" ? pathOfSocket(FIRST_INHERITED) : undefined;
  if (path !== undefined) {
    const facts = path === "" ? undefined : statName(path);
    return {
      url: `unix:${path}`,
      needsToken: facts === undefined || (facts.mode & OPEN_TO_OTHERS) !== 0,
      isRemote: false,
      remove() {},
    };
  }
  const { address: host, port } = server.address() as AddressInfo;
  return {
    url: `http://${hostInUrl(host)}:${port}/`,
    needsToken: true,
    isRemote: !isLoopback(host),
    remove() {},
  };
}

/** The socket that systemd has opened for us. Throws `usage` if there is none. */
function takeInherited(): number {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  if (Number(LISTEN_PID) !== process.pid || Number(LISTEN_FDS) < 1 || LISTEN_FDS === undefined)
    throw new OrchesjobError(
      "usage",
      "--listen systemd, but systemd has passed no socket (LISTEN_FDS)",
      "start it from a unit with a .socket of the same name, or give an address",
    );
  if (LISTEN_FDS !== "1")
    throw new OrchesjobError(
      "usage",
      `systemd has passed ${LISTEN_FDS} sockets`,
      "serve takes one: leave one ListenStream= in the .socket unit",
    );
  return FIRST_INHERITED;
}

async function openUnix(server: Server, path: string): Promise<Place> {
  const directory = path.slice(0, path.lastIndexOf("/")) || "/";
  const lock = openFile(directory, "read");
  try {
    // Two of us must not both find the same dead socket: the second would remove the new one of the first.
    if (!lockUnlessOwned(lock, directory))
      throw new OrchesjobError("locked", `${directory} is locked by another process`, "try again");
    const facts = statName(path);
    if (facts !== undefined) removeDead(path, facts);
    libc.umask(OWNER_ONLY);
    await listening(server, { path }, path);
    const inode = statName(path)?.inode;
    const remove = () => {
      if (statName(path)?.inode === inode) removeFile(path);
    };
    return { url: `unix:${path}`, needsToken: false, isRemote: false, remove };
  } finally {
    closeFile(lock);
  }
}

/** Removes the socket that a killed process of ours has left. Throws `conflict` if it is anything else. */
function removeDead(path: string, { kind, uid }: FileStat): void {
  if (kind !== "socket")
    throw new OrchesjobError("conflict", `${path} exists and is not a socket`, "choose another path");
  if (uid !== libc.geteuid())
    throw new OrchesjobError("conflict", `${path} belongs to another user`, "choose another path");
  if (!isDeadSocket(path))
    throw new OrchesjobError(
      "conflict",
      `another process listens on ${path}`,
      "end it, or choose another path",
    );
  removeFile(path);
}

function listening(
  server: Server,
  wanted: { host: string; port: number } | { path: string } | { fd: number },
  name: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (error: NodeJS.ErrnoException) => {
    const hint =
      error.code === "EADDRINUSE"
        ? "another process listens there: end it, or choose another port"
        : undefined;
    reject(new OrchesjobError("general", `cannot listen on ${name}: ${error.code ?? error.message}`, hint));
  });
  server.listen(wanted, resolve);
  return promise;
}
