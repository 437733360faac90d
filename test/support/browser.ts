/**
 * Chromium without a window, driven by the DevTools protocol over two pipes (--remote-debugging-pipe): no port, no package.
 * Start one for a file, and a page for each test.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./sandbox.ts";

/** Debian's Chromium, and the names that it has elsewhere. */
export function chromiumPath(): string | null {
  return (
    ["chromium", "chromium-browser", "google-chrome"].map((name) => Bun.which(name)).find(Boolean) ?? null
  );
}

interface Message {
  readonly id?: number;
  readonly sessionId?: string;
  readonly method?: string;
  readonly params?: EventFacts;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** What is read of the events. */
interface EventFacts {
  readonly exceptionDetails?: object;
  readonly entry?: { readonly level: string };
  readonly message?: string;
  readonly request?: { readonly url: string };
}

type Listener = (method: string, params: EventFacts) => void;

export class Browser implements AsyncDisposable {
  readonly #profile = mkdtempSync(join(tmpdir(), "orchesjob-browser-"));
  readonly #process: Bun.Subprocess;
  readonly #writer: Bun.FileSink;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #listeners = new Map<string, Listener>();
  #last = 0;

  private constructor(path: string) {
    // The browser reads descriptor 3 and writes descriptor 4.
    this.#process = Bun.spawn(
      [
        path,
        "--headless",
        "--remote-debugging-pipe",
        `--user-data-dir=${this.#profile}`,
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
        // It opens our page alone, and a container lets it make no sandbox.
        "--no-sandbox",
        "about:blank",
      ],
      { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
    );
    const [, , , input, output] = this.#process.stdio as unknown as [null, null, null, number, number];
    this.#writer = Bun.file(input).writer();
    void this.#readAll(Bun.file(output).stream());
  }

  static async start(): Promise<Browser> {
    const path = chromiumPath();
    if (path === null) throw new Error("there is no chromium");
    const browser = new Browser(path);
    await browser.send("Browser.getVersion");
    return browser;
  }

  async #readAll(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      const messages = text.split("\0");
      text = messages.pop()!;
      for (const message of messages) this.#take(JSON.parse(message) as Message);
    }
    for (const { reject } of this.#waiting.values()) reject(new Error("the browser is gone"));
  }

  #take({ id, sessionId = "", method, params, result, error }: Message): void {
    if (method !== undefined) this.#listeners.get(sessionId)?.(method, params ?? {});
    const waiting = id === undefined ? undefined : this.#waiting.get(id);
    if (id !== undefined) this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }

  async send<T>(method: string, params: object = {}, sessionId?: string): Promise<T> {
    const id = (this.#last += 1);
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#writer.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    await this.#writer.flush();
    return (await waiting.promise) as T;
  }

  /** A page with storage and cookies of its own. */
  async page(
    options: { readonly width?: number; readonly height?: number; readonly dark?: boolean } = {},
  ): Promise<Page> {
    const { browserContextId } = await this.send<{ browserContextId: string }>("Target.createBrowserContext");
    const { targetId } = await this.send<{ targetId: string }>("Target.createTarget", {
      url: "about:blank",
      browserContextId,
    });
    const { sessionId } = await this.send<{ sessionId: string }>("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    const page = new Page(this, sessionId, browserContextId);
    this.#listeners.set(sessionId, page.take);
    await page.prepare(options);
    return page;
  }

  async close(sessionId: string, browserContextId: string): Promise<void> {
    this.#listeners.delete(sessionId);
    await this.send("Target.disposeBrowserContext", { browserContextId });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    void this.send("Browser.close").catch(() => undefined);
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), 5_000);
    await this.#process.exited;
    clearTimeout(timer);
    rmSync(this.#profile, { recursive: true, force: true });
  }
}

export class Page implements AsyncDisposable {
  /** Errors, warnings about the policy, and dialogs: what must not be there. */
  readonly complaints: string[] = [];
  /** The addresses of all requests. */
  readonly requests: string[] = [];

  constructor(
    readonly browser: Browser,
    readonly sessionId: string,
    readonly contextId: string,
  ) {}

  readonly take: Listener = (method, params) => {
    const { exceptionDetails, entry, message, request } = params;
    if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(exceptionDetails));
    if (method === "Log.entryAdded" && entry?.level === "error") this.complaints.push(JSON.stringify(entry));
    if (method === "Page.javascriptDialogOpening") {
      this.complaints.push(`a dialog: ${message}`);
      void this.send("Page.handleJavaScriptDialog", { accept: true });
    }
    if (method === "Network.requestWillBeSent") this.requests.push(request!.url);
  };

  send<T>(method: string, params: object = {}): Promise<T> {
    return this.browser.send<T>(method, params, this.sessionId);
  }

  async prepare({
    width = 1280,
    height = 800,
    dark = false,
  }: {
    width?: number;
    height?: number;
    dark?: boolean;
  }): Promise<void> {
    await Promise.all(["Page", "Runtime", "Log", "Network"].map((domain) => this.send(`${domain}.enable`)));
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: width < 500,
    });
    await this.send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
    });
    // A page in the background would get no frames.
    await this.send("Page.bringToFront");
  }

  async open(url: string): Promise<void> {
    await this.send("Page.navigate", { url });
    await this.until("the view is shown", `document.querySelector(".view:not([aria-busy])")`);
  }

  /** Goes to another view of the page that is open. */
  async go(fragment: string): Promise<void> {
    await this.evaluate(
      `document.querySelector(".view").setAttribute("data-left", ""); location.hash = ${JSON.stringify(fragment)}`,
    );
    await this.until(
      `the view ${fragment} is shown`,
      `document.querySelector(".view:not([data-left], [aria-busy])")`,
    );
  }

  async evaluate<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send<{ result: { value: T }; exceptionDetails?: object }>(
      "Runtime.evaluate",
      { expression, returnByValue: true, awaitPromise: true },
    );
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  }

  /** Waits until an expression is truthy; returns it. */
  async until<T = boolean>(what: string, expression: string): Promise<T> {
    try {
      return (await until(
        what,
        () => this.evaluate<T>(`((value) => value instanceof Node ? true : value)(${expression})`),
        15,
      )) as T;
    } catch (error) {
      throw new Error(`${String(error)}; the page shows: ${(await this.text()).slice(0, 2_000)}`);
    }
  }

  /** What can be read on the page. */
  text(selector = "body"): Promise<string> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ""`);
  }

  /** Waits until the text is there. */
  async see(text: string, selector = "main"): Promise<void> {
    await this.until(
      `${selector} shows ${text}`,
      `document.querySelector(${JSON.stringify(selector)})?.innerText.includes(${JSON.stringify(text)})`,
    );
  }

  /** Presses a key, as a keyboard does. */
  async press(key: string, modifiers = 0): Promise<void> {
    const codes: Record<string, number> = {
      Tab: 9,
      Enter: 13,
      Escape: 27,
      End: 35,
      Home: 36,
      ArrowLeft: 37,
      ArrowUp: 38,
      ArrowRight: 39,
      ArrowDown: 40,
      " ": 32,
    };
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    const facts = {
      key,
      code: key,
      modifiers,
      windowsVirtualKeyCode: codes[key] ?? key.toUpperCase().charCodeAt(0),
      text,
    };
    await this.send("Input.dispatchKeyEvent", {
      type: text === undefined ? "rawKeyDown" : "keyDown",
      ...facts,
    });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...facts });
  }

  async click(x: number, y: number): Promise<void> {
    const facts = { x, y, button: "left", clickCount: 1 };
    await this.send("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    await this.send("Input.dispatchMouseEvent", { type: "mousePressed", ...facts });
    await this.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...facts });
  }

  /** A picture of the window, or of the whole page, as PNG. */
  async picture(path: string, whole = false): Promise<void> {
    const { data } = await this.send<{ data: string }>("Page.captureScreenshot", {
      format: "png",
      captureBeyondViewport: whole,
    });
    await Bun.write(path, Buffer.from(data, "base64"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close(this.sessionId, this.contextId);
  }
}
