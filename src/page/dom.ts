/**
 * Makes elements. Text goes in as text nodes alone, so no text of a job can become markup: there is no way here to set HTML,
 * and the Content-Security-Policy forbids it.
 */

export type Child = Node | string | null | undefined | false;

/** Attributes; `class`, `onclick` and so on. Null, undefined and false leave one out, true gives it an empty value. */
export type Attributes = Readonly<
  Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>
>;

const SVG = "http://www.w3.org/2000/svg";

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: readonly Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...present(children));
  return element;
}

/** The children that there are. */
export function present(children: readonly Child[]): (Node | string)[] {
  return children.filter((child) => child !== null && child !== undefined && child !== false);
}

/** Sets text only if it differs: a selection, and what a screen reader has read, stay. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

interface Keyed<T, E extends Element> {
  readonly keyOf: (item: T) => string;
  readonly create: (item: T) => E;
  /** Called for new elements too. */
  readonly update: (element: E, item: T) => void;
}

/** Makes the children of an element those of a list. An element stays as long as its item, with focus and selection. */
export function keyed<T, E extends Element>(
  parent: Element,
  items: readonly T[],
  { keyOf, create, update }: Keyed<T, E>,
): void {
  const before = new Map(
    [...parent.children].map((child) => [child.getAttribute("data-key") ?? "", child as E]),
  );
  // First, because what is moved would lose the focus.
  const wanted = new Set(items.map(keyOf));
  for (const [key, element] of before) if (!wanted.has(key)) element.remove();
  let place: Element | null = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = before.get(key);
    if (element === undefined) {
      element = create(item);
      element.setAttribute("data-key", key);
    }
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}
