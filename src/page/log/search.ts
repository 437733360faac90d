/** Goes through the places of a log where a text stands. The server looks for it, some of them at a time. */
import type { Found } from "../wire.ts";

export type Ask = (wanted: string, from: number) => Promise<Found>;

export class Search {
  readonly #ask: Ask;
  #wanted = "";
  #places: { readonly at: number; readonly line_at: number }[] = [];
  #next: number | null = 0;
  #place = -1;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  get wanted(): string {
    return this.#wanted;
  }
  /** 1, 2, …; 0: none. */
  get place(): number {
    return this.#place + 1;
  }
  get known(): number {
    return this.#places.length;
  }
  get isComplete(): boolean {
    return this.#next === null;
  }

  /** Begins anew, also with the same text: the log may have grown. */
  start(wanted: string): void {
    this.#wanted = wanted;
    this.#places = [];
    this.#next = wanted === "" ? null : 0;
    this.#place = -1;
  }

  /** The next hit (1) or the one before (-1), round about. Returns the offset of its line; undefined: there is none. */
  async go(by: 1 | -1): Promise<number | undefined> {
    let place = this.#place + by;
    while (place >= this.#places.length && this.#next !== null) {
      const wanted = this.#wanted;
      const found: Found = await this.#ask(wanted, this.#next);
      // Another search has begun meanwhile.
      if (wanted !== this.#wanted) return undefined;
      this.#places.push(...found.matches);
      this.#next = found.next;
    }
    if (this.#places.length === 0) return undefined;
    if (place < 0) place = this.#places.length - 1;
    this.#place = place % this.#places.length;
    return this.#places[this.#place]!.line_at;
  }
}
