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
      "A host name that browsers may use, besides localhost and IP addresses: that of a proxy or of this host",
      token("--host"),
    ),
    allowRemote: flag(
      "--allow-remote",
      "Let other machines connect; there is no TLS, so the token and the logs can be read on the way",
    ),
  },
  examples: [
    "orchesjob serve",
    "ssh -t -L 8642:127.0.0.1:8642 web-1 orchesjob serve",
    "orchesjob serve --listen unix:$XDG_RUNTIME_DIR/orchesjob.sock",
    "orchesjob serve --listen 127.0.0.1:9000 --token-file ~/.config/orchesjob.token",
  ],
  answer: async () => (await import("../answers/serve.ts")).SERVE,
  // On demand: no other command needs it.
  run: async ({ options, context, output, program }) =>
    (await import("../serve/run.ts")).runServer(options, context, output, program.version),
});
