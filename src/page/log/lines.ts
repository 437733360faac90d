/** Shows lines of a log: colours as classes, characters that cannot be seen as escapes. */
import { h } from "../dom.ts";
import { visibleParts } from "../text.ts";
import { classesOf, PLAIN, readAnsi, type Style } from "./ansi.ts";
import type { Line } from "./window.ts";

/** Longer parts of a line become several elements, because laying out one of megabytes would stop the page. */
const MOST_CHARACTERS = 20_000;

/**
 * Elements for lines, by their offsets. A line that is still there keeps its element, unless it has grown. The style at the
 * beginning of the first line is not known and taken as plain.
 */
export function showLines(parent: Element, lines: readonly Line[]): void {
  const before = new Map([...parent.children].map((child) => [child.getAttribute("data-at"), child]));
  const wanted = new Set(lines.map(({ at }) => String(at)));
  for (const [at, element] of before) if (at === null || !wanted.has(at)) element.remove();
  let place: Element | null = parent.firstElementChild;
  let style = PLAIN;
  for (const line of lines) {
    const at = String(line.at);
    const known = before.get(at);
    const isSame = known?.getAttribute("data-next") === String(line.next);
    const read = readAnsi(line.text, style);
    if (isSame && known !== undefined) {
      if (known === place) place = place.nextElementSibling;
      else parent.insertBefore(known, place);
    } else {
      const element = h("div", { class: "log-line", "data-at": at, "data-next": line.next });
      for (const span of read.spans) element.append(...textOf(span.text, span.style));
      if (known !== undefined) {
        if (known === place) place = place.nextElementSibling;
        known.remove();
      }
      parent.insertBefore(element, place);
    }
    style = read.end;
  }
}

function textOf(text: string, style: Style): readonly Node[] {
  const classes = classesOf(style);
  const nodes: Node[] = [];
  const put = (part: string, className: string) =>
    nodes.push(className === "" ? document.createTextNode(part) : h("span", { class: className }, part));
  for (const part of visibleParts(text))
    if (part.escaped) {
      put(part.text, "esc");
      // A progress bar writes over itself: here each of its states is a line.
      if (part.returns) put("\n", "");
    } else
      for (let from = 0; from < part.text.length; from += MOST_CHARACTERS)
        put(part.text.slice(from, from + MOST_CHARACTERS), classes);
  return nodes;
}

/** Marks where a text stands, without changing the elements. */
export function highlight(parent: Element, wanted: string): void {
  CSS.highlights?.delete("found");
  if (wanted === "" || CSS.highlights === undefined) return;
  const ranges: Range[] = [];
  const walker = document.createTreeWalker(parent, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const text = node.textContent ?? "";
    for (
      let at = text.indexOf(wanted);
      at >= 0 && ranges.length < 5_000;
      at = text.indexOf(wanted, at + wanted.length)
    ) {
      const range = new Range();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
