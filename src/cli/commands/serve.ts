import { OrchesjobError } from "../../job/errors.ts";
import { onInterruption } from "../../linux/signals.ts";
import { defineCommand, flag, optional, repeated, withDefault } from "../command.ts";
import { anyText, completing, token } from "../options/values.ts";

export const serve = defineCommand({
  name: "serve",
  summary: "Show the jobs in a browser: a read-only page and a JSON API, on this machine alone",
  options: {
    listen: withDefault(
      "--listen",
      "ADDRESS",
      "HOST:PORT, unix:PATH, or systemd for the socket that it passes (default: 127.0.0.1:8642)",
      anyText(),
      "127.0.0.1:8642",
    ),
    tokenFile: optional(
      "--token-file",
      "FILE",
      "A file of yours alone (0600) whose first line is the token; without it, TCP gets a new token each time",
      completing("file", (text) => text),
    ),
    host: repeated(
      "--host",
      "NAME",
      "A name under which browsers may ask, besides localhost and addresses: that of a proxy or of this host",
      token("--host"),
    ),
    allowRemote: flag(
      "--allow-remote",
      "Let other machines connect; there is no TLS, so the token and the logs can be read on the way",
    ),
  },
  examples: [
    "orchesjob serve",
    "orchesjob serve --listen unix:$XDG_RUNTIME_DIR/orchesjob.sock",
    "orchesjob serve --listen 127.0.0.1:9000 --token-file ~/.config/orchesjob.token",
  ],
  answer: async () => (await import("../answers/serve.ts")).SERVE,
  async run({ options, context, output, program: { version } }) {
    // On demand: no other command needs them.
    const [
      { parseAddress, isLoopback },
      { makeToken, readToken },
      { openListener },
      { WebServer },
      { createApi },
    ] = await Promise.all([
      import("../../serve/address.ts"),
      import("../../serve/token.ts"),
      import("../../serve/listener.ts"),
      import("../../serve/server.ts"),
      import("../serve/api.ts"),
    ]);
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
  },
});

function remote(where: string): OrchesjobError {
  return new OrchesjobError(
    "usage",
    `other machines could connect to ${where}, and there is no TLS`,
    "listen on 127.0.0.1 and use ssh -L 8642:127.0.0.1:8642, or say --allow-remote",
  );
}
