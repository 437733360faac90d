/**
 * The web server: limits, headers, errors, and how answers are written. It is Bun's node:http on a socket of its node:net:
 * Bun.serve takes no socket that systemd has opened, and has no limit of connections. They are not imported but asked for: the
 * bundler would put 2.4 MB into the executable.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as Listening, Socket } from "node:net";
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { debug } from "../state/debug.ts";
import { hasBody, judgeRequest, type Rules } from "./gate.ts";
import { type Answerer, errorReply, type Listener, type Reply } from "./reply.ts";

export interface Limits {
  readonly connections: number;
  /** Streams of events at once. */
  readonly streams: number;
  /** How long a client may take to send its request, and to take the next part of an answer, in ms. */
  readonly patienceMs: number;
  /** How often a stream without events sends a sign of life, in ms. */
  readonly heartbeatMs: number;
}

export const LIMITS: Limits = { connections: 128, streams: 32, patienceMs: 10_000, heartbeatMs: 15_000 };

/** Of a request: its line and all its headers. */
const MAX_HEADER_BYTES = 16_384;
const PIECE = 65_536;
/** A reader of events that has left so much is dropped. */
const MAX_WAITING_EVENTS = 262_144;

/** On every answer. The page has no inline script or style, and loads nothing from elsewhere. */
const HEADERS = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
  "X-Frame-Options": "DENY",
} as const;

const EVENTS = { "Content-Type": "text/event-stream", "Cache-Control": "no-store" } as const;

const STATUS_OF = { usage: 400, "not-found": 404, conflict: 409, locked: 503, general: 500 } as const;

export class WebServer {
  readonly listener: Listening;
  readonly #http: Server;
  /** Connections, and whether a request of each is being answered. */
  readonly #sockets = new Map<Socket, boolean>();
  /** Connections whose next request has not come yet, the one that has waited longest first. */
  readonly #awaited = new Map<Socket, Timer>();
  readonly #streams = new Set<() => void>();

  constructor(
    readonly rules: Rules,
    readonly answer: Answerer,
    readonly limits = LIMITS,
  ) {
    const { createServer } = process.getBuiltinModule("node:http");
    const options = { maxHeaderSize: MAX_HEADER_BYTES };
    this.#http = createServer(options, (request, response) => {
      this.#handle(request, response).catch((error: unknown) => {
        // The headers may be gone already, so the client sees that the answer breaks off.
        debug?.note("an answer breaks off", error);
        response.destroy();
      });
    });
    this.listener = process.getBuiltinModule("node:net").createServer((socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    // The one that has waited longest gives way, so that nobody can keep others out with connections that ask nothing.
    if (this.#sockets.size >= this.limits.connections) {
      const [oldest = socket] = this.#awaited.keys();
      this.#drop(oldest);
      if (oldest === socket) return;
    }
    this.#sockets.set(socket, false);
    socket.on("close", () => this.#drop(socket));
    socket.on("error", () => this.#drop(socket));
    this.#await(socket);
    this.#http.emit("connection", socket);
  }

  /** Gives a client its time to send the next request. (The timeouts of node:http hold only for sockets of its own.) */
  #await(socket: Socket): void {
    this.#heard(socket);
    if (this.#sockets.has(socket))
      this.#awaited.set(
        socket,
        setTimeout(() => this.#drop(socket), this.limits.patienceMs),
      );
  }

  #heard(socket: Socket): void {
    clearTimeout(this.#awaited.get(socket));
    this.#awaited.delete(socket);
  }

  #drop(socket: Socket): void {
    this.#heard(socket);
    this.#sockets.delete(socket);
    socket.destroy();
  }

  /**
   * Ends all connections. The listening socket ends with the process: to close it, the runtime would remove its name, which may
   * belong to another by now.
   */
  close(): void {
    for (const stop of this.#streams) stop();
    for (const socket of this.#sockets.keys()) this.#drop(socket);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    this.#heard(socket);
    // No browser asks again before it has its answer (pipelining): all the answers would wait in memory for who does not read.
    if (this.#sockets.get(socket) !== false) return this.#drop(socket);
    this.#sockets.set(socket, true);
    response.on("error", () => response.destroy());
    response.on("close", () => {
      if (!this.#sockets.has(socket)) return;
      this.#sockets.set(socket, false);
      this.#await(socket);
    });
    const { method = "", url = "", headers } = request;
    const verdict = judgeRequest({ method, url, headers }, this.rules);
    // Nobody reads a body: it would wait in memory, and what follows it on the connection could not be told apart from it.
    if ((method !== "GET" && method !== "HEAD") || hasBody(headers))
      response.setHeader("Connection", "close");
    if (verdict.kind === "redirect") {
      const to = { Location: verdict.to, "Set-Cookie": verdict.cookie, "Cache-Control": "no-store" };
      return this.#write(request, response, { status: 303, headers: to, body: "" });
    }
    if (verdict.kind === "refuse") {
      const { status, code, message } = verdict;
      const reply = errorReply(status, code, message);
      const more = { 401: { "WWW-Authenticate": "Bearer" }, 405: { Allow: "GET, HEAD" } }[status] ?? {};
      return this.#write(request, response, { ...reply, headers: { ...reply.headers, ...more } });
    }
    const reply = await this.#find(verdict.path, verdict.query);
    await this.#write(request, response, reply);
  }

  async #find(path: readonly string[], query: URLSearchParams): Promise<Reply> {
    try {
      return (
        (await this.answer({ path, query })) ??
        errorReply(404, "not-found", "there is nothing at this address")
      );
    } catch (error) {
      debug?.note("an answer fails", error);
      if (error instanceof OrchesjobError)
        return errorReply(STATUS_OF[error.code], error.code, error.message);
      const message = error instanceof SystemError ? error.message : "this answer failed";
      return errorReply(500, "general", message);
    }
  }

  async #write(request: IncomingMessage, response: ServerResponse, reply: Reply): Promise<void> {
    const { status, body } = reply;
    const isHead = request.method === "HEAD";
    if (typeof body === "object" && "listen" in body) {
      if (this.#streams.size >= this.limits.streams) {
        const busy = errorReply(503, "busy", "too many pages follow at once: close some");
        return this.#write(request, response, { ...busy, headers: { ...busy.headers, "Retry-After": "10" } });
      }
      response.writeHead(status, { ...HEADERS, ...reply.headers, ...EVENTS });
      if (isHead) response.end();
      else this.#listen(response, body.listen);
      return;
    }
    const { length, chunks, close } = typeof body === "string" ? textBody(body) : body;
    try {
      response.writeHead(status, { ...HEADERS, ...reply.headers, "Content-Length": String(length) });
      let written = 0;
      if (!isHead)
        for (const chunk of chunks) {
          written += chunk.length;
          // Copied: the chunk is used again, and the socket may keep it.
          if (!response.write(chunk.slice()) && !(await this.#drained(response))) return;
          if (response.destroyed) return;
        }
      // A log that was truncated meanwhile: it is not as long as the header says.
      if (!isHead && written < length) response.destroy();
      else response.end();
    } finally {
      close();
    }
  }

  /** False if the client does not take what was written in time, or is gone. */
  #drained(response: ServerResponse): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => {
      response.destroy();
      resolve(false);
    }, this.limits.patienceMs);
    const onDrain = () => resolve(true);
    const onClose = () => resolve(false);
    response.once("drain", onDrain);
    response.once("close", onClose);
    return promise.finally(() => {
      clearTimeout(timer);
      response.off("drain", onDrain);
      response.off("close", onClose);
    });
  }

  #listen(response: ServerResponse, listen: (listener: Listener) => () => void): void {
    const state: { isOver: boolean; stop?: () => void } = { isOver: false };
    const end = () => {
      if (state.isOver) return;
      state.isOver = true;
      clearInterval(heartbeat);
      this.#streams.delete(end);
      state.stop?.();
      response.end();
    };
    const write = (text: string) => {
      if (response.writableLength > MAX_WAITING_EVENTS) response.destroy();
      else response.write(text);
    };
    const heartbeat = setInterval(() => write(": alive\n\n"), this.limits.heartbeatMs);
    response.on("close", end);
    this.#streams.add(end);
    write("retry: 2000\n\n");
    state.stop = listen({
      send: (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
      end,
    });
    if (state.isOver) state.stop();
  }
}

function textBody(text: string): { length: number; chunks: Iterable<Uint8Array>; close(): void } {
  const bytes = new TextEncoder().encode(text);
  return { length: bytes.length, chunks: pieces(bytes), close() {} };
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}
