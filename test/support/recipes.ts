/** The recipes of README.md, as they stand there: a test that runs one cannot run anything else. */
import { readDocument } from "./console.ts";

/** The first block in that language below a heading, of any level. */
export function readRecipe(heading: string, language: string, nth = 0): string {
  const section = readDocument("README.md").split(new RegExp(`^#+ ${heading}\n`, "m"))[1];
  const blocks = [...(section ?? "").matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, "gm"))];
  const block = blocks[nth]?.[1];
  if (block === undefined) throw new Error(`README.md has no such ${language} block below "${heading}"`);
  return block;
}
