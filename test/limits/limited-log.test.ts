/** The log of a stream with a limit: what it has in the end, whenever its copier is killed, or cannot write. */
import { afterAll, expect, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openFile, seekToEnd, writeAll } from "../../src/linux/file.ts";
import { homeAt, tailFiles } from "../../src/state/paths.ts";
import { LimitedLog } from "../../src/worker/limited-log.ts";

const places: string[] = [];
afterAll(() => places.forEach((place) => rmSync(place, { recursive: true })));

const LIMIT = 4_096;
/** How much the log gets directly. */
const BEGINNING = 2_048;

class Stream {
  readonly place = mkdtempSync(join(tmpdir(), "orchesjob-limit-"));
  readonly path = join(this.place, "log");
  readonly home = { ...homeAt(this.place), pipes: this.place };
  readonly files = tailFiles(this.home, "j", "stdout");
  limits = 0;
  ends: number[] = [];
  log = this.open();

  constructor() {
    places.push(this.place);
  }

  open(): LimitedLog {
    const events = { onCopied: (end: number) => this.ends.push(end), onLimit: () => (this.limits += 1) };
    return new LimitedLog(openFile(this.path, "make"), this.files, LIMIT, events);
  }

  /** Copies as PipeCopy does. */
  write(text: string): void {
    for (let rest = new TextEncoder().encode(text); rest.length > 0;) {
      const { fd, room } = this.log.place()!;
      const part = rest.subarray(0, room);
      const begin = seekToEnd(fd);
      writeAll(fd, part);
      this.log.took(fd, begin + part.length);
      rest = rest.subarray(part.length);
    }
  }

  get content(): string {
    return readFileSync(this.path, "utf8");
  }
}

const lines = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `line ${from + index}\n`).join("");

/** What a log has in the end of an output that was written in one go. */
function expected(output: string): string {
  const stream = new Stream();
  stream.write(output);
  expect(stream.log.finish()).toBe(true);
  return stream.content;
}

test("an output of the limit is whole; one byte more costs whole lines, and the log keeps its limit", () => {
  const whole = lines(0, 1_000).slice(0, LIMIT);
  expect(expected(whole)).toBe(whole);
  const stream = new Stream();
  const output = lines(0, 5_000);
  stream.write(output);
  expect([stream.limits, stream.content]).toEqual([1, output.slice(0, BEGINNING)]);
  expect(stream.log.finish()).toBe(true);
  const { content } = stream;
  const beginning = content.slice(0, BEGINNING);
  const found = /^\n?\[orchesjob: (\d+) bytes are missing here: [^\n]* --max-log-bytes 4096\]\n([^]*)$/;
  const [, missing, end] = found.exec(content.slice(BEGINNING))!;
  expect(output.startsWith(beginning)).toBe(true);
  expect(output.endsWith(`\n${end}`)).toBe(true);
  expect(beginning.length + Number(missing) + end!.length).toBe(output.length);
  expect(stream.log.dropped).toBe(Number(missing));
  expect(content.length).toBeLessThanOrEqual(LIMIT);
  expect(content.length).toBeGreaterThan(LIMIT - 20);
  // The index of times knows each byte of the log.
  expect(stream.ends.at(-1)).toBe(content.length);
  expect(readdirSync(stream.place)).toEqual(["log"]);
});

test("an end without a newline is cut anywhere, and what comes after the end is counted", () => {
  const stream = new Stream();
  stream.write("x".repeat(100_000));
  stream.log.finish();
  expect(/\]\nx{1900,}$/.test(stream.content)).toBe(true);
  expect(stream.content.length).toBeLessThanOrEqual(LIMIT);
  const before = stream.content;
  stream.write("late\n");
  expect(stream.content).toBe(before);
  stream.log.finish();
  expect(stream.content.slice(before.length)).toStartWith("\n[orchesjob: 5 bytes are missing here: ");
});

test("a copier that is killed anywhere is followed by one that goes on, and nothing else is lost", () => {
  const output = lines(0, 2_000);
  const whole = expected(output);
  for (let step = 1; step < 400; step += 7) {
    const stream = new Stream();
    for (let at = 0; at < output.length; at += step * 50) {
      stream.write(output.slice(at, at + step * 50));
      stream.log = stream.open();
    }
    stream.log.finish();
    expect(stream.content).toBe(whole);
  }
});

test("one that is killed between two renames, or before the first, too", () => {
  const output = lines(0, 2_000);
  for (const isRenamed of [true, false]) {
    const stream = new Stream();
    stream.write(output);
    const { tail, before, next } = stream.files;
    const begun = stream.open().place()!;
    expect(begun.room).toBeGreaterThan(0);
    // The newest file is the one that was just begun.
    if (isRenamed) renameSync(tail, next);
    else writeFileSync(next, "half");
    expect(statSync(before).size).toBe(16 + BEGINNING);
    stream.log = stream.open();
    stream.log.finish();
    expect(stream.content).toBe(expected(output));
  }
});

test("one that is killed while it writes the end, or finds the disk full there, does not write it twice", () => {
  const output = lines(0, 2_000);
  const whole = expected(output);
  for (let written = 0; written <= whole.length - BEGINNING; written += 97) {
    const stream = new Stream();
    stream.write(output);
    writeAll(
      openFile(stream.path, "append"),
      new TextEncoder().encode(whole.slice(BEGINNING, BEGINNING + written)),
    );
    stream.log = stream.open();
    // What comes now is not mixed into the end.
    if (written > 0) stream.write("late\n");
    else stream.log.finish();
    expect(stream.content.slice(0, whole.length)).toBe(whole);
  }
});

test("a log that somebody truncates gets the end all the same", () => {
  const stream = new Stream();
  stream.write(lines(0, 2_000));
  truncateSync(stream.path, 0);
  stream.log.finish();
  expect(stream.content).toMatch(/^\n\[orchesjob: \d+ bytes are missing here: [^]*line 1999\n$/);
});
