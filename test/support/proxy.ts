/**
 * A proxy before the server, which cuts the connection at the N-th message, swallows the N-th answer, is silent from then on, or
 * delays everything.
 */
import { join } from "node:path";
import type { Socket } from "bun";
import type { Fleet } from "./fleet.ts";

/**
 * `before`: the message does not reach the server. `after`: the server does what it says, but the answer is lost. `silent`: as
 * `before`, but nobody closes the connection. `held`: as `after`, but nobody closes it.
 */
export type Cut = "before" | "after" | "silent" | "held";

interface Pair {
  readonly client: Socket<Pair>;
  server: Socket<undefined> | undefined;
  /** What the client said before the connection to the server was there. */
  readonly early: Uint8Array[];
  isSwallowing: boolean;
  isSilent: boolean;
  /** What is under way in either direction: it arrives in order, also after its sender has hung up. */
  toServer: Promise<void>;
  toClient: Promise<void>;
}

export class Proxy implements Disposable {
  readonly #listener: { stop(force: boolean): void };
  readonly #pairs = new Set<Pair>();
  #isAway = false;
  #underWay = 0;
  #lateMs = 0;
  #countdown = 0;
  #text = "";
  #cut: Cut = "before";
  /** How long everything is under way, in either direction, in ms. Also what is under way already keeps its time. */
  delayMs = 0;
  #lateText = "";
  /** Messages of clients since the last `arm`. */
  messages = 0;
  /** The message that was hit, as far as it is text. */
  hit: string | undefined;
  /** The address for members. */
  readonly url: string;

  /** `tcp`: on a free port of the loopback interface, otherwise on a socket in the fleet's directory. */
  constructor(
    readonly fleet: Fleet,
    { tcp = false } = {},
  ) {
    const socket = {
      open: (client: Socket<Pair>) => this.#open(client),
      data: ({ data }: Socket<Pair>, bytes: Uint8Array) => this.#forward(data, Uint8Array.from(bytes)),
      close: ({ data }: Socket<Pair>) => this.#hangUp(data),
      error: ({ data }: Socket<Pair>) => this.#close(data),
    };
    if (tcp) {
      const listener = Bun.listen<Pair>({ hostname: "127.0.0.1", port: 0, socket });
      this.#listener = listener;
      const url = new URL(fleet.url);
      url.host = `127.0.0.1:${listener.port}`;
      url.search = "";
      this.url = url.href;
    } else {
      const unix = join(fleet.directory, ".s.PGSQL.5432");
      this.#listener = Bun.listen<Pair>({ unix, socket });
      this.url = fleet.server.url(fleet.database, fleet.directory);
    }
  }

  /** Cuts at the `when`-th message from now on that has this text, 1 for the next one. With 0 it only counts. */
  arm(cut: Cut, when: number, text = ""): void {
    [this.#cut, this.#countdown, this.#text, this.messages, this.hit] = [cut, when, text, 0, undefined];
  }

  /** Cuts nothing any more; returns what it was to cut. */
  disarm(): { cut: Cut; when: number } {
    const armed = { cut: this.#cut, when: this.#countdown };
    this.arm(armed.cut, 0);
    return armed;
  }

  /** As `delayMs`, from the next message on that has this text. */
  delayFrom(text: string, ms: number): void {
    [this.#lateText, this.#lateMs] = [text, ms];
  }

  /** Ends all connections and refuses new ones. */
  leave(): void {
    this.#isAway = true;
    for (const pair of this.#pairs) this.#close(pair);
  }

  /** Everything goes through again. */
  heal(): void {
    this.#isAway = false;
    this.#countdown = 0;
    this.delayMs = 0;
    for (const pair of this.#pairs) if (pair.isSilent || pair.isSwallowing) this.#close(pair);
  }

  [Symbol.dispose](): void {
    this.leave();
    this.#listener.stop(true);
  }

  #open(client: Socket<Pair>): void {
    const [toServer, toClient] = [Promise.resolve(), Promise.resolve()];
    const pair: Pair = {
      ...{ client, server: undefined, early: [], isSwallowing: false, isSilent: false, toServer, toClient },
    };
    client.data = pair;
    this.#pairs.add(pair);
    if (this.#isAway) return this.#close(pair);
    Bun.connect<undefined>({
      unix: this.fleet.server.socket,
      socket: {
        open: (server) => {
          pair.server = server;
          for (const bytes of pair.early.splice(0)) server.write(bytes);
        },
        data: (_, bytes) => {
          if (pair.isSwallowing && this.#cut === "after") this.#close(pair);
          else if (!pair.isSilent && !pair.isSwallowing) this.#answer(pair, Uint8Array.from(bytes));
        },
        close: () => this.#close(pair),
        error: () => this.#close(pair),
      },
    }).catch(() => this.#close(pair));
  }

  #forward(pair: Pair, bytes: Uint8Array): void {
    if (this.#lateMs > 0 && Buffer.from(bytes).includes(this.#lateText))
      [this.delayMs, this.#lateMs] = [this.#lateMs, 0];
    if (this.#text === "" || Buffer.from(bytes).includes(this.#text)) this.messages += 1;
    if (this.#countdown > 0 && this.messages === this.#countdown && this.hit === undefined) {
      this.hit = Buffer.from(bytes)
        .toString("latin1")
        .replaceAll(/[^ -~]+/g, " ")
        .slice(0, 200);
      if (this.#cut === "before") return this.#close(pair);
      if (this.#cut === "silent") pair.isSilent = true;
      if (this.#cut === "after" || this.#cut === "held") pair.isSwallowing = true;
    }
    if (pair.isSilent) return;
    pair.toServer = this.#after(pair.toServer, () => {
      if (pair.server === undefined) pair.early.push(bytes);
      else pair.server.write(bytes);
    });
  }

  #answer(pair: Pair, bytes: Uint8Array): void {
    pair.toClient = this.#after(pair.toClient, () => void pair.client.write(bytes));
  }

  /** The server does what was under way, and learns only then that its client is gone. */
  #hangUp(pair: Pair): void {
    pair.toServer = this.#after(pair.toServer, () => this.#close(pair));
  }

  /** At once if nothing is delayed: then a cut is exact. */
  #after(before: Promise<void>, deliver: () => void): Promise<void> {
    if (this.delayMs === 0 && this.#underWay === 0) {
      deliver();
      return before;
    }
    this.#underWay += 1;
    const time = Bun.sleep(this.delayMs);
    return Promise.all([before, time]).then(() => {
      this.#underWay -= 1;
      deliver();
    });
  }

  #close(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.client.terminate();
    pair.server?.terminate();
  }
}
