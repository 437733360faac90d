/** What the server answers, before it is written. */

/** A question that may be asked. */
export interface Question {
  /** The parts of the path, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** One reader of events. */
export interface Listener {
  /** Sends an event; `data` becomes JSON. */
  send(event: string, data: unknown): void;
  /** Ends the stream. */
  end(): void;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Chunks are valid only until the next one is read. */
  readonly body:
    | string
    /** `close` is called in any case, once. */
    | { readonly length: number; readonly chunks: Iterable<Uint8Array>; close(): void }
    /** Starts to send; returns what stops it. */
    | { readonly listen: (listener: Listener) => () => void };
}

/** Answers a question; undefined if there is nothing at this path. Throws OrchesjobError. */
export type Answerer = (question: Question) => Promise<Reply | undefined>;

export const JSON_TYPE = "application/json; charset=utf-8";

export function jsonReply(
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
  status = 200,
): Reply {
  return {
    status,
    headers: { "Content-Type": JSON_TYPE, "Cache-Control": "no-store", ...headers },
    body: `${JSON.stringify(value, null, 2)}\n`,
  };
}

/** `code`: as of OrchesjobError, or of the server's own. */
export function errorReply(status: number, code: string, message: string): Reply {
  return jsonReply({ error: { code, message } }, {}, status);
}
