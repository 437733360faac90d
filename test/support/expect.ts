/** What every failure of the program has in common, for whatever reason. */
import { expect } from "bun:test";
import type { Finished } from "./sandbox.ts";

/** Nothing on stdout, one line `orchesjob: …` on stderr, no stack trace. */
export function expectFailure(result: Finished, code: number, message: RegExp | string): void {
  expect(result.stdout).toBe("");
  expect(result.stderr).toMatch(/^orchesjob: [^\n]+\n$/);
  expect(result.stderr).toMatch(message);
  expect(result.code).toBe(code);
}
