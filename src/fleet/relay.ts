/**
 * Asks the registry through the agent of the member, over a Unix socket in the state directory: the agent has a connection, and a
 * new one takes about 10 ms. If the agent does not answer, asks directly: these questions are safe to repeat.
 *
 * A question is a line of JSON, {name, values}; so is its answer, {answer} or {error}.
 */
import { EXIT_CODES, type ErrorCode, OrchesjobError } from "../job/errors.ts";
import { isThere } from "../linux/stat.ts";
import { UnixConnection } from "../linux/unix-socket.ts";
import { debug } from "../state/debug.ts";
import { type Home, memberFiles } from "../state/paths.ts";
import type { Functions } from "./functions.ts";

/** How long the agent may take to answer, in ms. */
const ANSWER_MS = 1_500;

/** Questions that may take longer. */
const ASKED_DIRECTLY: ReadonlySet<string> = new Set(["clean"]);

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
  #agent: UnixConnection | undefined;
  #direct: Functions | undefined;

  constructor(
    /** Undefined: there is no agent to ask, such as in the agent itself. */
    readonly home: Home | undefined,
    /** Connects to the registry itself. */
    readonly connect: () => Promise<Functions>,
  ) {}

  async call(name: string, values: readonly unknown[]): Promise<any> {
    if (this.#direct === undefined && !ASKED_DIRECTLY.has(name)) {
      const answer = this.#ask(JSON.stringify({ name, values }));
      if (answer !== undefined) return unwrap(answer);
      debug?.note("the agent does not answer: asks the registry directly");
    }
    return (await this.#directly()).call(name, values);
  }

  /** Undefined if the agent does not answer in time. */
  #ask(question: string): RelayAnswer | undefined {
    const path = this.home && socketPath(this.home);
    if (path === undefined || !isThere(path)) return undefined;
    this.#agent ??= UnixConnection.open(path);
    const answer = this.#agent?.ask(question, ANSWER_MS);
    if (answer !== undefined) return JSON.parse(answer) as RelayAnswer;
    // A late answer would be taken for that of the next question.
    this.#hangUp();
    return undefined;
  }

  #hangUp(): void {
    this.#agent?.close();
    this.#agent = undefined;
  }

  async listen(name: string, callback: () => void): Promise<boolean> {
    return (await this.#directly()).listen(name, callback);
  }

  async #directly(): Promise<Functions> {
    return (this.#direct ??= await this.connect());
  }

  async close(): Promise<void> {
    this.#hangUp();
    await this.#direct?.close();
  }
}

function unwrap(answer: RelayAnswer): unknown {
  if ("answer" in answer) return answer.answer;
  const { code, what, hint } = answer.error;
  throw new OrchesjobError(code in EXIT_CODES ? code : "general", what, hint);
}
