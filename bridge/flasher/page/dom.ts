/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Shortcuts to the elements of `index.html`. */

/** The page's name when nothing is going on. */
export const TITLE = "Holdfast flasher";

/** The element with this id. @throws {Error} if `index.html` and the code disagree */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element as T;
}

export const input = (id: string) => byId<HTMLInputElement>(id);
export const button = (id: string) => byId<HTMLButtonElement>(id);
export const select = (id: string) => byId<HTMLSelectElement>(id);

/** A new element: its properties, then what is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** Words, of which those in backquotes are to be run, or copied, as they are. */
export function marked(words: string): (Node | string)[] {
  return words.split("`").map((part, index) => index % 2 === 0 ? part : make("code", {}, part));
}

/** The value of the chosen radio button of a group. */
export function chosen(name: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";
}

/**
 * One line about what is going on, which screen readers say when they have time.
 *
 * @param saidElsewhere what they say already: it is only shown
 */
export function say(text: string, saidElsewhere = false): void {
  const line = byId("status");
  line.setAttribute("aria-live", saidElsewhere ? "off" : "polite");
  line.textContent = text;
}
