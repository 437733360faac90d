/** The files of the page, as the build puts them into the executable. */
import { expect, test } from "bun:test";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundlePage } from "../../src/serve/bundle-page.ts";
import { ROOT } from "../support/sandbox.ts";

test("another checkout gives the same files, and the document names them", async () => {
  const other = mkdtempSync(join(tmpdir(), "orchesjob-page-"));
  try {
    cpSync(join(ROOT, "src/page"), join(other, "src/page"), { recursive: true });
    const page = await bundlePage(join(ROOT, "src/page/index.html"));
    expect(await bundlePage(join(other, "src/page/index.html"))).toEqual(page);
    const { "/": document, ...assets } = page;
    expect(Object.keys(assets)).toHaveLength(2);
    for (const path of Object.keys(assets)) expect(document!.text).toContain(`"${path}"`);
    // No text can become markup or code.
    const all = Object.values(assets)
      .map(({ text }) => text)
      .join("\n");
    expect(all.length).toBeGreaterThan(50_000);
    expect(all).not.toMatch(
      /(inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment|https?:(?!\/\/www\.w3\.org\/2000\/svg)/,
    );
    // What the policy of the page forbids.
    expect(document!.text).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=|https?:/);
  } finally {
    rmSync(other, { recursive: true });
  }
});
