/** Reads the files of variables that a job was started with. Only their paths are stored: what is in them may be secret. */
import { parseEnvFile } from "../job/env-file.ts";
import { OrchesjobError } from "../job/errors.ts";
import { SystemError } from "../linux/ffi/call.ts";
import { readBytes } from "../linux/file.ts";
import { statPath } from "../linux/stat.ts";

const MAX_BYTES = 1024 ** 2;

/** Returns NAME=VALUE for each variable, in order: a later one replaces an earlier one. Throws `usage` and `general`. */
export function readEnvFiles(paths: readonly string[] = []): readonly string[] {
  return paths.flatMap((path) => parseEnvFile(path, readText(path)));
}

function readText(path: string): string {
  const refuse = (why: string) => new OrchesjobError("usage", `cannot read --env-file ${path}: ${why}`);
  try {
    const facts = statPath(path);
    // It is read again for each attempt, which a pipe cannot give.
    if (facts !== undefined && facts.kind !== "file") throw refuse("it is not a regular file");
    if ((facts?.size ?? 0) > MAX_BYTES) throw refuse("it has more than 1 MiB");
    const bytes = readBytes(path);
    if (bytes.includes(0)) throw refuse("it has a NUL byte");
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof SystemError) throw new OrchesjobError("general", `--env-file: ${error.message}`);
    if (error instanceof TypeError) throw refuse("it is not valid UTF-8");
    throw error;
  }
}
