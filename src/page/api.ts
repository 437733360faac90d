/** Asks the server. Errors become sentences for people. */
import { report } from "./live.ts";
import type { Piece } from "./log/window.ts";
import { setClock } from "./parts/time.ts";
import type { Key, Timeline } from "./wire.ts";

export class ServerError extends Error {
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

async function ask(path: string, signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { signal, cache: "no-store" });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ServerError(0, "the server does not answer: is `orchesjob serve` still running?");
  }
  setClock(response.headers.get("date"));
  if (response.ok) {
    report("live");
    return response;
  }
  throw new ServerError(response.status, await reasonOf(response));
}

async function reasonOf(response: Response): Promise<string> {
  if (response.status === 401)
    return "the token is missing or not valid any more: open the address that `orchesjob serve` has printed";
  const text = await response.text();
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } };
    if (typeof error?.message === "string") return error.message;
  } catch {
    // Not JSON: the text itself says why.
  }
  return text.slice(0, 500) || `the server answered ${response.status}`;
}

/** A JSON answer. */
export async function get<T>(path: string, signal: AbortSignal): Promise<T> {
  return (await (await ask(path, signal)).json()) as T;
}

/** Bytes of a log, and its size. */
export async function getPiece(path: string, signal: AbortSignal): Promise<Piece> {
  const response = await ask(path, signal);
  return {
    bytes: new Uint8Array(await response.arrayBuffer()),
    size: Number(response.headers.get("x-orchesjob-size") ?? 0),
  };
}

/** Jobs that were active at some time between two instants in ms. */
export function getTimeline(from: number, to: number, signal: AbortSignal): Promise<Timeline> {
  const parameters = new URLSearchParams({ from: isoOf(from), to: isoOf(to), limit: "20000" });
  return get<Timeline>(`/api/timeline?${parameters}`, signal);
}

const isoOf = (ms: number) => new Date(ms).toISOString();

export function getKey(runKey: string, signal: AbortSignal): Promise<Key> {
  return get<Key>(`/api/keys/${encodeURIComponent(runKey)}`, signal);
}
