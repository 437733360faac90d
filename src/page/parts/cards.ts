/** Cards with a table in them, and tiles with a number. */
import { h, setText } from "../dom.ts";
import { count } from "../text.ts";
import { type Column, tableOf } from "./table.ts";

export interface Card<T> {
  readonly card: HTMLElement;
  readonly show: (items: readonly T[]) => void;
}

export function cardOf<T>(title: string, columns: readonly Column<T>[], keyOf: (item: T) => string): Card<T> {
  const table = tableOf(title, columns, keyOf);
  const number = h("span", { class: "soft" });
  const empty = h("p", { class: "empty" }, "None.");
  const card = h(
    "section",
    { class: "card" },
    h("header", {}, h("h2", {}, title), number),
    table.element,
    empty,
  );
  return {
    card,
    show(items) {
      table.update(items);
      setText(number, items.length === 0 ? "" : count(items.length));
      table.element.hidden = items.length === 0;
      empty.hidden = items.length > 0;
    },
  };
}

/** Sets the value of a tile, and makes the tile if it is new. */
export function tilesIn(
  list: HTMLElement,
): (name: string, value: string, beside: string, tone: "" | "bad") => void {
  const made = new Map<string, readonly [HTMLElement, HTMLElement, HTMLElement]>();
  return (name, value, beside, tone) => {
    let parts = made.get(name);
    if (parts === undefined) {
      const tile = h("div", { class: "tile" }, h("dt", {}, name));
      parts = [tile, h("dd", { class: "value" }), h("dd", { class: "beside" })];
      tile.append(parts[1], parts[2]);
      list.append(tile);
      made.set(name, parts);
    }
    const [tile, main, small] = parts;
    setText(main, value);
    setText(small, beside);
    tile.dataset["tone"] = tone;
  };
}
