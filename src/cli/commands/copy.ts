import { defineCommand, optional, repeated, required } from "../command.ts";

/** Internal: a command that finds a lost job with living processes, or output that nobody copies, starts it, detached. */
export const copy = defineCommand({
  name: "_copy",
  summary: "Copy the output of jobs whose workers were killed, and wait for their processes",
  options: {
    jobIds: repeated("--job-id", "ID", "A job", (text) => text),
    limits: repeated("--limit", "ID:BYTES", "The limit of its logs", (text) => text),
    home: required("--home", "DIR", "The state directory", (text) => text),
    debug: optional("--debug", "FILE", "Where to append what it does", (text) => text),
  },
  examples: [],
  async run({ options: { jobIds, limits }, context }) {
    const { copyAndKeep } = await import("../../worker/copier.ts");
    await copyAndKeep(context, jobIds, limits);
    return 0;
  },
});
