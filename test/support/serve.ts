/** Runs `orchesjob serve` for a test, and asks it. */
import { BINARY, type Finished, type Sandbox, until } from "./sandbox.ts";
import { findProblems, type JsonSchema } from "./json-schema.ts";
import { answerSchemas } from "./answers.ts";

export class Server implements AsyncDisposable {
  /** What it prints first. */
  readonly address: string;
  /** Without the token; undefined on a Unix socket. */
  readonly origin: string | undefined;
  readonly token: string | undefined;
  /** The path of its socket; undefined over TCP. */
  readonly socket: string | undefined;

  private constructor(
    readonly box: Sandbox,
    readonly child: ReturnType<Sandbox["spawn"]>,
    address: string,
    /** For a token that came from a file. */
    given: string | undefined,
    readonly errors: () => string,
  ) {
    this.address = address;
    const [, origin, token] = /^(http:\/\/[^/]+)\/(?:\?token=(.+))?$/.exec(address) ?? [];
    this.origin = origin;
    this.token = token ?? given;
    this.socket = address.startsWith("unix:") ? address.slice(5) : undefined;
  }

  /** Starts it on a free port, or as the options say; returns when it listens. */
  static async start(
    box: Sandbox,
    options: readonly string[] = ["--listen", "127.0.0.1:0"],
    token?: string,
  ): Promise<Server> {
    const child = box.spawn([BINARY, "serve", ...options]);
    let said = "";
    let errors = "";
    void collect(child.stdout, (text) => (said += text));
    void collect(child.stderr, (text) => (errors += text));
    await until("serve has printed its address", () => {
      if (child.exitCode !== null) throw new Error(`serve has ended with ${child.exitCode}: ${errors}`);
      return said.includes("\n");
    });
    return new Server(box, child, said.split("\n")[0]!, token, () => errors);
  }

  /** Asks with the token. */
  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token !== undefined && !headers.has("authorization") && !headers.has("cookie"))
      headers.set("Authorization", `Bearer ${this.token}`);
    return this.plain(path, { ...init, headers });
  }

  /** Asks without the token. */
  plain(path: string, init: RequestInit = {}): Promise<Response> {
    const where = this.socket === undefined ? {} : { unix: this.socket };
    return fetch(`${this.origin ?? "http://localhost"}${path}`, { redirect: "manual", ...init, ...where });
  }

  /** An answer that must be a success; `schema`: its name in `orchesjob schema serve`. */
  async json<T = any>(path: string, schema?: string): Promise<T> {
    const response = await this.fetch(path);
    const answer = (await response.json()) as T;
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${JSON.stringify(answer)}`);
    if (schema !== undefined) {
      const root = answerSchemas(BINARY);
      const problems = findProblems(root, answer, (root["$defs"] as Record<string, JsonSchema>)[schema]!);
      if (problems.length > 0) throw new Error(`${path} is not as declared:\n${problems.join("\n")}`);
    }
    return answer;
  }

  /** The events of a stream, one by one. */
  async *events(path: string): AsyncGenerator<{ readonly event: string; readonly data: any }> {
    const response = await this.fetch(path);
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    let text = "";
    const decoder = new TextDecoder();
    for await (const chunk of response.body!) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const [, event, data] = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? [];
        text = text.slice(end + 2);
        if (event !== undefined) yield { event, data: JSON.parse(data!) };
      }
    }
  }

  /** Ends it by a signal; returns how it ended. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<Pick<Finished, "code" | "signal">> {
    this.child.kill(signal);
    await this.child.exited;
    return { code: this.child.exitCode, signal: this.child.signalCode as string | null };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function collect(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk as Uint8Array, { stream: true }));
}
