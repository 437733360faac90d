/** Command lines as a person types them. */
import { BINARY, type Finished, type RunOptions, type Sandbox } from "./sandbox.ts";

/** Runs a script in sh, where `"$0"` is orchesjob and `"$1"`, … are the words given. */
export function shell(
  box: Sandbox,
  script: string,
  options: RunOptions & { readonly words?: readonly string[] } = {},
): Promise<Finished> {
  return box.execute(["sh", "-c", script, BINARY, ...(options.words ?? [])], options);
}
