/** What writes the file that ORCHESJOB_DEBUG names: a bundle of its own, for all entry points. */
export { openDebugFile } from "../app/debug-file.ts";
