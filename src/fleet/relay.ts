/**
 * Asks the registry through the agent of the member, over a Unix socket in the state directory: the agent has a connection, and a
 * new one takes about 10 ms. If the agent does not answer, asks directly: every question is safe to repeat.
 *
 * A question is a line of JSON, {name, values}; so is its answer, {answer} or {error}.
 */
import { EXIT_CODES, type ErrorCode, OrchesjobError } from "../job/errors.ts";
import { isThere } from "../linux/stat.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import type { Functions } from "./functions.ts";

/** How long the agent may take to answer, in ms. */
const ANSWER_MS = 1_500;

/** sun_path of unix(7), in bytes. */
const LONGEST_SOCKET_PATH = 107;

export interface RelayError {
  readonly code: ErrorCode;
  readonly what: string;
  readonly hint: string | undefined;
}

export type RelayAnswer = { readonly answer: unknown } | { readonly error: RelayError };

/** The path of the agent's socket; undefined if it would be too long. */
export function socketPath(home: Home): string | undefined {
  const path = memberFiles(home).socket;
  return new TextEncoder().encode(path).length <= LONGEST_SOCKET_PATH ? path : undefined;
}

export class Relay implements Functions {
  /** The socket, once it is connected. */
  #socket: Promise<RelaySocket | undefined> | undefined;
  #direct: Functions | undefined;

  constructor(
    /** Undefined: there is no agent to ask, such as in the agent itself. */
    readonly home: Home | undefined,
    /** Connects to the registry itself. */
    readonly connect: () => Promise<Functions>,
  ) {}

  async call(name: string, values: readonly unknown[]): Promise<any> {
    if (this.#direct === undefined) {
      const answer = await this.#ask(JSON.stringify({ name, values }));
      if (answer !== undefined) return unwrap(answer);
      debug?.note("the agent does not answer: asks the registry directly");
    }
    return (await this.#directly()).call(name, values);
  }

  async #ask(question: string): Promise<RelayAnswer | undefined> {
    const path = this.home && socketPath(this.home);
    if (path === undefined || !isThere(path)) return undefined;
    const socket = await (this.#socket ??= RelaySocket.open(path));
    return socket?.ask(question);
  }

  async listen(name: string, callback: () => void): Promise<boolean> {
    return (await this.#directly()).listen(name, callback);
  }

  async #directly(): Promise<Functions> {
    return (this.#direct ??= await this.connect());
  }

  async close(): Promise<void> {
    (await this.#socket)?.end();
    this.#socket = undefined;
    await this.#direct?.close();
  }
}

function unwrap(answer: RelayAnswer): unknown {
  if ("answer" in answer) return answer.answer;
  const { code, what, hint } = answer.error;
  throw new OrchesjobError(code in EXIT_CODES ? code : "general", what, hint);
}

/** One question at a time. */
class RelaySocket {
  #text = "";
  readonly #decoder = new TextDecoder();
  #settle: (answer: RelayAnswer | undefined) => void = () => undefined;
  #end: () => void = () => undefined;
  #write: (text: string) => void = () => undefined;

  /** Undefined if nobody listens. */
  static async open(path: string): Promise<RelaySocket | undefined> {
    const self = new RelaySocket();
    let rest = new Uint8Array();
    try {
      const socket = await Bun.connect({
        unix: path,
        socket: {
          data: (_socket, bytes) => self.#hear(bytes),
          close: () => self.#settle(undefined),
          error: () => self.#settle(undefined),
          drain(open) {
            rest = rest.subarray(open.write(rest));
          },
        },
      });
      self.#end = () => socket.end();
      self.#write = (text) => {
        const bytes = new TextEncoder().encode(text);
        rest = bytes.subarray(socket.write(bytes));
      };
      return self;
    } catch {
      return undefined;
    }
  }

  /** Undefined if no answer comes in time. */
  async ask(question: string): Promise<RelayAnswer | undefined> {
    const { promise, resolve } = Promise.withResolvers<RelayAnswer | undefined>();
    this.#settle = resolve;
    const timer = setTimeout(() => resolve(undefined), ANSWER_MS);
    this.#write(`${question}\n`);
    const answer = await promise;
    clearTimeout(timer);
    // A late answer would be taken for that of the next question.
    if (answer === undefined) this.end();
    return answer;
  }

  #hear(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    const end = this.#text.indexOf("\n");
    if (end < 0) return;
    const line = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 1);
    this.#settle(JSON.parse(line) as RelayAnswer);
  }

  end(): void {
    this.#end();
  }
}
