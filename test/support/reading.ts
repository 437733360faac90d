/** Reading what a process writes while it still writes. */
const decoder = new TextDecoder();

export class Reading {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #text = "";

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** All that has come once it contains `text`. Throws where the stream ends without. */
  async until(text: string): Promise<string> {
    while (!this.#text.includes(text))
      if (!(await this.#more())) throw new Error(`ended without ${JSON.stringify(text)}: ${this.#text}`);
    return this.#text;
  }

  /** All that has come when the stream ends. */
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
