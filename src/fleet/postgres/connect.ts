/** The connection of a membership. */
import type { Membership } from "../membership.ts";
import { findPassword, parseAddress } from "./address.ts";
import { Connection } from "./connection.ts";

/** How long a question to the registry may take, in ms. */
const LONGEST_QUESTION_MS = 5_000;
const SHORTEST_QUESTION_MS = 1_000;

/** Connects with the first question. Throws OrchesjobError if its URL or password cannot be used. */
export function connectionOf({ url, passwordFile, leaseMs }: Membership): Connection {
  const address = parseAddress(url);
  // Two questions fit into the time between two renewals, unless the lease is very short.
  const deadlineMs = Math.min(LONGEST_QUESTION_MS, Math.max(SHORTEST_QUESTION_MS, leaseMs / 6));
  return new Connection({ address, findPassword: () => findPassword(address, passwordFile), deadlineMs });
}
