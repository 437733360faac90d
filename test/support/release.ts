/** Serves a release over HTTP, whole or with a fault. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export type ReleaseFault = "tampered" | "shorter" | "broken-off" | "no-line" | "two-lines" | "no-sums";

/** Serves the files of a directory on a free port of this machine. */
export function serveRelease(directory: string, fault?: ReleaseFault): Disposable & { readonly url: string } {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const name = new URL(request.url).pathname.slice(1);
      if (name === "SHA256SUMS") return sums(readFileSync(join(directory, name), "utf8"), fault);
      const bytes = new Uint8Array(readFileSync(join(directory, name)));
      return archive(bytes, fault, () => server.stop(true));
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    [Symbol.dispose]: () => void server.stop(true),
  };
}

function sums(text: string, fault: ReleaseFault | undefined): Response {
  const isArchive = (line: string) => line.endsWith(".tar.gz");
  const lines = text.trimEnd().split("\n");
  switch (fault) {
    case "no-sums":
      return new Response("no such file", { status: 404 });
    case "no-line":
      return new Response(lines.filter((line) => !isArchive(line)).join("\n"));
    case "two-lines":
      return new Response(
        [...lines, lines.find(isArchive)!.replace("orchesjob-", "orchesjob-0.")].join("\n"),
      );
    default:
      return new Response(text);
  }
}

function archive(
  bytes: Uint8Array<ArrayBuffer>,
  fault: ReleaseFault | undefined,
  breakOff: () => void,
): Response {
  switch (fault) {
    case "tampered":
      bytes[bytes.length >> 1]! ^= 1;
      return new Response(bytes);
    case "shorter":
      return new Response(bytes.subarray(0, bytes.length - 1));
    case "broken-off":
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(bytes.subarray(0, 100_000)),
          pull: breakOff,
        }),
      );
    default:
      return new Response(bytes);
  }
}
