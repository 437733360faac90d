/** Reads the output of a process while it writes. */
const decoder = new TextDecoder();

export class Reading {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #text = "";

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** Waits until the output contains `text`, and returns all of it. Throws if the stream ends first. */
  async until(text: string): Promise<string> {
    while (!this.#text.includes(text))
      if (!(await this.#more())) throw new Error(`ended without ${JSON.stringify(text)}: ${this.#text}`);
    return this.#text;
  }

  /** Waits for the end of the stream, and returns all of its output. */
  async all(): Promise<string> {
    while (await this.#more());
    return this.#text;
  }

  async #more(): Promise<boolean> {
    const next = await this.#chunks.next();
    if (next.done !== true) this.#text += decoder.decode(next.value);
    return next.done !== true;
  }
}
