/** Passes on what the launchers of this member ask the registry: the other end of fleet/relay.ts. */
import type { Functions } from "../fleet/functions.ts";
import { type RelayAnswer, socketPath } from "../fleet/relay.ts";
import { OrchesjobError } from "../job/errors.ts";
import { removeFile } from "../linux/file.ts";
import { debug } from "../state/debug.ts";
import type { Home } from "../state/paths.ts";

interface Client {
  text: string;
  readonly decoder: TextDecoder;
  rest: Uint8Array;
}

/** Listens until it is stopped. The caller has the lock of the agent, so the socket is nobody else's. */
export function serveRelay(home: Home, functions: Functions): { stop(): void } {
  const path = socketPath(home);
  if (path === undefined) return { stop: () => undefined };
  removeFile(path);
  const server = Bun.listen<Client>({
    unix: path,
    socket: {
      open(socket) {
        socket.data = { text: "", decoder: new TextDecoder(), rest: new Uint8Array() };
      },
      data(socket, bytes) {
        const client = socket.data;
        client.text += client.decoder.decode(bytes, { stream: true });
        for (let end = client.text.indexOf("\n"); end >= 0; end = client.text.indexOf("\n")) {
          const line = client.text.slice(0, end);
          client.text = client.text.slice(end + 1);
          void answer(functions, line).then((text) => {
            const bytes = new TextEncoder().encode(text);
            // What the socket does not take now, it takes in `drain`.
            client.rest =
              client.rest.length > 0
                ? Buffer.concat([client.rest, bytes])
                : bytes.subarray(socket.write(bytes));
          });
        }
      },
      drain(socket) {
        socket.data.rest = socket.data.rest.subarray(socket.write(socket.data.rest));
      },
      error(_socket, error) {
        debug?.note("a launcher is gone", error);
      },
    },
  });
  server.unref();
  return {
    stop() {
      server.stop(true);
      removeFile(path);
    },
  };
}

async function answer(functions: Functions, line: string): Promise<string> {
  let found: RelayAnswer;
  try {
    const { name, values } = JSON.parse(line) as { name: string; values: readonly unknown[] };
    found = { answer: await functions.call(name, values) };
  } catch (error) {
    const known = error instanceof OrchesjobError;
    found = {
      error: {
        code: known ? error.code : "general",
        what: known ? error.what : String(error),
        hint: known ? error.hint : undefined,
      },
    };
  }
  return `${JSON.stringify(found)}\n`;
}
