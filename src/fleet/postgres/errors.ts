/** Says in a sentence what PostgreSQL, or the way to it, refuses. */
import { OrchesjobError } from "../../job/errors.ts";
import type { Address } from "./address.ts";

/** SQLSTATE of an error of the server; empty for any other error. */
export function stateOf(error: unknown): string {
  const { code, errno } = error as { code?: unknown; errno?: unknown };
  return code === "ERR_POSTGRES_SERVER_ERROR" || typeof errno === "string" ? String(errno) : "";
}

/** Whether the connection was lost, so that the same question may succeed over a new one. */
export function isConnectionLost(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === "ERR_POSTGRES_CONNECTION_CLOSED" || /^(57P0[123]|08...)$/.test(stateOf(error));
}

/** Whether the server does not let us in: SQLSTATE class 28. */
export function isRefusedLogin(error: unknown): boolean {
  return stateOf(error).startsWith("28");
}

/** `locked` if the registry cannot be reached; another code if it does not want us. */
export function translate(error: unknown, { place, user, database }: Address): OrchesjobError {
  if (error instanceof OrchesjobError) return error;
  const message = error instanceof Error ? error.message : String(error);
  const { code } = error as { code?: unknown };
  const state = stateOf(error);
  const registry = `the registry of the fleet (${place})`;
  if (code === "ERR_POSTGRES_TLS_NOT_AVAILABLE")
    return new OrchesjobError(
      "general",
      `${registry} offers no TLS, but the URL asks for it`,
      "enable ssl in PostgreSQL, or give sslmode=disable on a network that you trust",
    );
  if (state.startsWith("28"))
    return new OrchesjobError(
      "general",
      `${registry} does not let user ${JSON.stringify(user)} in: ${message}`,
      "check the password (in the URL, in --password-file, or in ~/.pgpass) and pg_hba.conf",
    );
  if (state === "3D000")
    return new OrchesjobError(
      "general",
      `${registry} has no database ${JSON.stringify(database)}`,
      `create it: createdb ${database}`,
    );
  if (state === "42501")
    return new OrchesjobError(
      "conflict",
      `user ${JSON.stringify(user)} may not do that in ${registry}: ${message}`,
      "grant the rights of a member to it: docs/fleet.md",
    );
  if (["42P01", "3F000", "42883"].includes(state))
    return new OrchesjobError(
      "conflict",
      `${registry} has no schema of orchesjob, or another version of it: ${message}`,
      "create it as the owner of the schema: orchesjob fleet join URL",
    );
  // 55000: the functions that say which server answers do not work there.
  if (state === "25006" || state === "55000")
    return unreachable(
      place,
      "it accepts no changes: it is a standby, or default_transaction_read_only is on",
    );
  if (/certificate|CERT_|self.signed|ERR_TLS/i.test(`${String(code)} ${message}`))
    return new OrchesjobError(
      "general",
      `the certificate of ${registry} is not accepted: ${message}`,
      "check sslrootcert, and that the certificate names this host",
    );
  if (state !== "" && !/^(57|53|08|40)/.test(state))
    return new OrchesjobError("general", `${registry} reports an error: ${message} (SQLSTATE ${state})`);
  return unreachable(place, message);
}

export function unreachable(place: string, why: string): OrchesjobError {
  return new OrchesjobError(
    "locked",
    `cannot ask the registry of the fleet (${place}): ${why}`,
    "try again, or see: orchesjob fleet status",
  );
}
