/** What all failures of the program have in common. */
import { expect } from "bun:test";
import type { Finished } from "./sandbox.ts";

/** Expects an empty stdout, and on stderr one line `orchesjob: …` without a stack trace. */
export function expectFailure(result: Finished, code: number, message: RegExp | string): void {
  expect(result.stdout).toBe("");
  expect(result.stderr).toMatch(/^orchesjob: [^\n]+\n$/);
  expect(result.stderr).toMatch(message);
  expect(result.code).toBe(code);
}
