/** Where the registry is: the URL of PostgreSQL, checked, and the password for it. */
import { OrchesjobError } from "../../job/errors.ts";
import { libc } from "../../linux/ffi/libc.ts";
import { homeDirectory } from "../../linux/ffi/users.ts";
import { statPath } from "../../linux/stat.ts";
import { readTextFile } from "../../linux/text-file.ts";

export interface Address {
  /** As Bun.SQL takes it, without a password. */
  readonly url: string;
  readonly user: string;
  readonly database: string;
  /** `HOST:PORT/DATABASE`, for people. */
  readonly place: string;
  readonly host: string;
  readonly port: string;
  readonly password: string | undefined;
  readonly isVerified: boolean;
  readonly isSocket: boolean;
}

/** The parameters that may follow `?`. Bun sends others to the server as settings, or drops them. */
const PARAMETERS = ["host", "port", "sslmode", "sslrootcert"];
const SSL_MODES = ["disable", "require", "verify-ca", "verify-full"];

/** Throws `usage`, without repeating the password. */
export function parseAddress(text: string): Address {
  const bad = (
    what: string,
    hint = "for example: postgresql://orchesjob@db.example.com/fleet?sslmode=verify-full&sslrootcert=/etc/ssl/db-ca.pem",
  ) => new OrchesjobError("usage", what, hint);
  let url: URL;
  let [user, password, database] = ["", "", ""];
  try {
    url = new URL(text);
    [user = "", password = "", database = ""] = [url.username, url.password, url.pathname.slice(1)].map(
      decodeURIComponent,
    );
  } catch {
    throw bad("the URL of the registry is not valid (in a password, % is written %25, @ is %40, / is %2F)");
  }
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:")
    throw bad(`the registry needs PostgreSQL, but the URL begins with ${JSON.stringify(url.protocol)}`);
  if (user === "") throw bad("the URL of the registry names no user");
  if (database === "") throw bad("the URL of the registry names no database");
  for (const name of url.searchParams.keys())
    if (!PARAMETERS.includes(name))
      throw bad(
        `the URL of the registry has the parameter ${JSON.stringify(name)}, which is not known`,
        `known are: ${PARAMETERS.join(", ")}`,
      );
  const parameter = (name: string) => url.searchParams.get(name) ?? undefined;
  const mode = parameter("sslmode");
  if (mode !== undefined && !SSL_MODES.includes(mode))
    throw bad(`sslmode=${mode} is not known`, `known are: ${SSL_MODES.join(", ")}`);
  const isVerified = mode === "verify-ca" || mode === "verify-full";
  const ca = parameter("sslrootcert");
  // Otherwise the caller's environment decides whom to trust (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS).
  if (isVerified && ca === undefined)
    throw bad(
      `sslmode=${mode} needs sslrootcert=FILE, the certificate of the authority that signed the server's`,
    );
  if (ca !== undefined && statPath(ca)?.kind !== "file") throw bad(`sslrootcert=${ca} is not a file`);
  const socket = parameter("host");
  if (socket !== undefined && !socket.startsWith("/"))
    throw bad(
      "the parameter host is the directory of a Unix socket",
      "a host name stands before the database: postgresql://USER@HOST/DATABASE",
    );
  const host = socket ?? url.hostname;
  const port = parameter("port") ?? (url.port || "5432");
  url.password = "";
  return {
    ...{ url: url.href, user, database, host, port, isVerified },
    place: `${socket === undefined ? `${host}:${port}` : `${host}/.s.PGSQL.${port}`}/${database}`,
    password: password === "" ? undefined : password,
    isSocket: socket !== undefined,
  };
}

/** The password: in the URL, in a file that was named, or in ~/.pgpass; empty if there is none. Throws `general`. */
export function findPassword(address: Address, file: string | undefined): string {
  if (address.password !== undefined) return address.password;
  if (file !== undefined) {
    const text = readTextFile(file);
    if (text === undefined)
      throw new OrchesjobError(
        "general",
        `the password file ${file} is missing`,
        "put the password of the registry into its first line",
      );
    return text.split("\n", 1)[0]!;
  }
  // As libpq: units of systemd may have no HOME.
  const path = `${process.env["HOME"] || homeDirectory(libc.geteuid()) || ""}/.pgpass`;
  const facts = statPath(path);
  // As libpq: a file that others may read is not used.
  if (facts === undefined || (facts.mode & 0o077) !== 0) return "";
  return findInPasswordFile(readTextFile(path) ?? "", address) ?? "";
}

/** The password of the first line that fits. Its fields are host, port, database, user, password; `*` fits all. */
export function findInPasswordFile(
  text: string,
  { host, port, database, user, isSocket }: Pick<Address, "host" | "port" | "database" | "user" | "isSocket">,
): string | undefined {
  const wanted = [isSocket ? ["localhost", host] : [host], [port], [database], [user]];
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const fields = [...line.matchAll(/((?:\\.|[^:\\])*)(?::|$)/g)].map((match) =>
      match[1]!.replace(/\\(.)/g, "$1"),
    );
    const fits = wanted.every(
      (values, index) => fields[index] === "*" || values.includes(fields[index] ?? ""),
    );
    if (fits && fields.length > 4) return fields[4];
  }
  return undefined;
}
