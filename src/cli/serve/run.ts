/** What `serve` does: checks who could connect, listens, says where, and waits for a signal. */
import { OrchesjobError } from "../../job/errors.ts";
import { onInterruption } from "../../linux/signals.ts";
import { isLoopback, parseAddress } from "../../serve/address.ts";
import { openListener } from "../../serve/listener.ts";
import { WebServer } from "../../serve/server.ts";
import { makeToken, readToken } from "../../serve/token.ts";
import type { Context } from "../../state/context.ts";
import type { Output } from "../output/output.ts";
import { createApi } from "./api.ts";

/** The options of the command. */
export interface Settings {
  readonly listen: string;
  readonly tokenFile: string | undefined;
  readonly host: readonly string[];
  readonly allowRemote: boolean;
}

/** Returns the exit code, after a signal. Throws OrchesjobError. */
export async function runServer(
  options: Settings,
  context: Context,
  output: Output,
  version: string,
): Promise<number> {
  const address = parseAddress(options.listen);
  const { tokenFile, allowRemote } = options;
  if (address.kind === "tcp" && !isLoopback(address.host) && !allowRemote) throw remote(address.host);
  const given = tokenFile === undefined ? undefined : readToken(tokenFile);
  const ownToken = given ?? (address.kind === "tcp" ? makeToken() : undefined);
  const rules = { token: ownToken, hosts: options.host.map((name) => name.toLowerCase()) };
  const server = new WebServer(rules, await createApi(context, version));
  const stopped = new Promise<void>((resolve) => onInterruption(() => resolve()));
  const place = await openListener(server.listener, address);
  try {
    if (place.isRemote && !allowRemote) throw remote(place.url);
    if (place.needsToken && ownToken === undefined)
      throw new OrchesjobError(
        "usage",
        `others can connect to ${place.url}, which systemd has opened, so a token is needed`,
        "give --token-file FILE; for a socket of your own alone: SocketMode=0600",
      );
    if (place.isRemote)
      context.notify(
        `other machines can connect to ${place.url}, and there is no TLS: whoever sees the traffic can read the token and the logs`,
      );
    // Not a token from a file: what we print may end in a journal that others read.
    const isNew = ownToken !== undefined && given === undefined;
    output.text(`${place.url}${isNew ? `?token=${ownToken}` : ""}\n`);
    await stopped;
  } finally {
    place.remove();
    server.close();
  }
  return 0;
}

function remote(where: string): OrchesjobError {
  return new OrchesjobError(
    "usage",
    `other machines could connect to ${where}, and there is no TLS`,
    "listen on 127.0.0.1 and use ssh -L 8642:127.0.0.1:8642, or say --allow-remote",
  );
}
