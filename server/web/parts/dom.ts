/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Shortcuts to the elements of a page. */

/** The element with this id. @throws {Error} if `index.html` and the code disagree */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element as T;
}

export const input = (id: string) => byId<HTMLInputElement>(id);
export const button = (id: string) => byId<HTMLButtonElement>(id);
export const select = (id: string) => byId<HTMLSelectElement>(id);

/** Sets an element's text only if it differs: browsers lay out again even if the text is the same. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an element's attribute only if it differs. */
export function setAttribute(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Makes an element with these properties and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
