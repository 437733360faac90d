/** Reads the recipes of docs/recipes/ and the code blocks of the documents, so that tests run exactly what they say. */
import { readDocument } from "./console.ts";

/** The text of a file in docs/recipes/. */
export function readRecipeFile(name: string): string {
  return readDocument(`docs/recipes/${name}`);
}

/** The nth block in a language below a heading of any level. */
export function readBlock(document: string, heading: string, language: string, nth = 0): string {
  const section = readDocument(document).split(new RegExp(`^#+ ${heading}\n`, "m"))[1];
  const blocks = [...(section ?? "").matchAll(new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\``, "gm"))];
  const block = blocks[nth]?.[1];
  if (block === undefined) throw new Error(`${document} has no such ${language} block below "${heading}"`);
  return block;
}
