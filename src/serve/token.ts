/** The token that lets somebody ask over TCP. */
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { libc } from "../linux/ffi/libc.ts";
import { closeFile, openFile, readInto } from "../linux/file.ts";
import { statFd } from "../linux/stat.ts";

const RANDOM_BYTES = 32;
const SHORTEST = 20;
const LONGEST = 512;
const READABLE_BY_OTHERS = 0o077;

export function makeToken(): string {
  return crypto
    .getRandomValues(new Uint8Array(RANDOM_BYTES))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Reads the first line of a file. Throws `conflict` if others may read it, `usage` if it is no good token. */
export function readToken(path: string): string {
  let fd: number;
  try {
    fd = openFile(path, "listen");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new OrchesjobError(
      "usage",
      `--token-file: ${error.message}`,
      `make one: openssl rand -hex 32 > ${path}`,
    );
  }
  try {
    const facts = statFd(fd);
    if (facts?.kind !== "file")
      throw new OrchesjobError("usage", `--token-file ${path} is not a regular file`);
    if (facts.uid !== libc.geteuid() && facts.uid !== 0)
      throw new OrchesjobError(
        "conflict",
        `the token file ${path} belongs to another user`,
        "use a file of your own",
      );
    if ((facts.mode & READABLE_BY_OTHERS) !== 0)
      throw new OrchesjobError(
        "conflict",
        `the token file ${path} may be read or changed by others (mode ${facts.mode.toString(8)})`,
        `run: chmod 600 ${path}`,
      );
    const buffer = new Uint8Array(LONGEST + 2);
    const text = new TextDecoder().decode(buffer.subarray(0, readInto(fd, buffer)));
    const [token = ""] = text.split("\n");
    if (/^[A-Za-z0-9._~+/=-]+$/.test(token) && token.length >= SHORTEST && token.length <= LONGEST)
      return token;
    throw new OrchesjobError(
      "usage",
      `the first line of the token file ${path} is not a token of ${SHORTEST} to ${LONGEST} letters, digits or . _ ~ + / = -`,
      `make one: openssl rand -hex 32 > ${path}`,
    );
  } finally {
    closeFile(fd);
  }
}

/** Compares what somebody gave with the token, in a time that says nothing about either. */
export function isToken(given: string, token: string): boolean {
  return crypto.timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Uint8Array {
  return new Bun.CryptoHasher("sha256").update(text).digest();
}
