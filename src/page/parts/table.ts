/** A table whose rows stay when the data changes: focus, selection and the reader's place are kept. */
import { type Child, h, keyed, present } from "../dom.ts";

export interface Column<T> {
  readonly name: string;
  /** `number`, `key`, `wide`. */
  readonly kind?: string;
  /** Whether narrow screens, which have no head row, show the name beside the value. */
  readonly labelled?: boolean;
  /** What the cell shows, as a text: it is made anew only when this changes. */
  readonly text: (item: T) => string;
  /** Without: the text itself. */
  readonly make?: (item: T) => readonly Child[];
}

export interface Table<T> {
  readonly element: HTMLElement;
  readonly update: (items: readonly T[]) => void;
}

/** `caption` is only heard: the heading above says the same. */
export function tableOf<T>(
  caption: string,
  columns: readonly Column<T>[],
  keyOf: (item: T) => string,
): Table<T> {
  // The roles are said, because a table that is laid out as blocks on a narrow screen would lose them.
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map(({ name, kind }) =>
    h("th", { scope: "col", role: "columnheader", class: kind }, name),
  );
  const table = h(
    "table",
    { class: "stacks", role: "table" },
    h("caption", { class: "only-heard" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, ...heads)),
    body,
  );
  const create = () =>
    h(
      "tr",
      { role: "row" },
      ...columns.map(({ name, kind, labelled }) =>
        h("td", { role: "cell", class: kind, "data-label": labelled ? name : undefined }),
      ),
    );
  const shown = new WeakMap<Element, string>();
  const update = (row: HTMLTableRowElement, item: T) => {
    for (const [index, { text, make }] of columns.entries()) {
      const cell = row.cells[index]!;
      const now = text(item);
      if (shown.get(cell) === now) continue;
      shown.set(cell, now);
      cell.replaceChildren(...(make === undefined ? [now] : present(make(item))));
      cell.classList.toggle("blank", cell.textContent === "" && cell.querySelector("svg") === null);
    }
  };
  return {
    // The table scrolls sideways if it must, the page never does.
    element: h("div", { class: "scroll" }, table),
    update: (items) => keyed(body, items, { keyOf, create, update }),
  };
}
