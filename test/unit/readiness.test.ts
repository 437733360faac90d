import { expect, test } from "bun:test";
import { mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeFile, openFile } from "../../src/linux/file.ts";
import { makeFifo } from "../../src/linux/pipe.ts";
import { Readiness } from "../../src/linux/readiness.ts";

test("a callback that replaces its own reader is called once for one signal, and another reader still hears", async () => {
  const directory = mkdtempSync(join(tmpdir(), "orchesjob-test-"));
  const path = join(directory, "fifo");
  makeFifo(path);
  const fd = openFile(path, "listen");
  const writer = openSync(path, "w");
  const heard = Promise.withResolvers<void>();
  let calls = 0;
  let reader: Readiness;
  const replace = () => {
    reader.close();
    calls += 1;
    if (calls > 100) throw new Error("the callback is called without an end");
    reader = new Readiness(fd, replace);
  };
  reader = new Readiness(fd, replace);
  const other = new Readiness(fd, heard.resolve);
  try {
    reader.ask();
    other.ask();
    writeSync(writer, "x");
    await heard.promise;
    expect(calls).toBe(1);
  } finally {
    reader.close();
    other.close();
    closeFile(fd);
    closeFile(writer);
    rmSync(directory, { recursive: true });
  }
});
