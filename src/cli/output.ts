/** Where a command's answer goes. main.ts gives the descriptors; nothing else writes to them. */
import { writeAll } from "../os/file.ts";

export interface Output {
  /** Descriptor of stdout, for what is copied there as it is. */
  readonly descriptor: number;
  /** Prints an answer as JSON, indented by two. */
  json(value: unknown): void;
  text(text: string): void;
}

const encoder = new TextEncoder();

export function createOutput(descriptor: number): Output {
  const text = (value: string) => writeAll(descriptor, encoder.encode(value));
  return { descriptor, text, json: (value) => text(`${JSON.stringify(value, null, 2)}\n`) };
}
