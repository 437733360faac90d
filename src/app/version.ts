/** The version of this build. The build script fills in the values; a run from the sources has no commit. */
declare const ORCHESJOB_VERSION: string | undefined;
declare const ORCHESJOB_COMMIT: string | undefined;

export const VERSION = typeof ORCHESJOB_VERSION === "string" ? ORCHESJOB_VERSION : "0.0.0-source";
export const COMMIT = typeof ORCHESJOB_COMMIT === "string" ? ORCHESJOB_COMMIT : "unknown";

export const versionLine = () => `orchesjob ${VERSION} (commit ${COMMIT}, bun ${Bun.version})\n`;
