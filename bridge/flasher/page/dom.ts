/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Shortcuts to the elements of `index.html`. */
import { byId, make } from "../../../server/web/parts/dom.ts";

export { button, byId, input, make, select } from "../../../server/web/parts/dom.ts";

/** The page's name when nothing is going on. */
export const TITLE = "Holdfast flasher";

/** Turns words into nodes. Those in backquotes can be run, or copied, as they are. */
export function marked(words: string): (Node | string)[] {
  return words.split("`").map((part, index) =>
    index % 2 === 0 ? part : make("code", {}, ...unbroken(part))
  );
}

/** A command line that breaks at its spaces only, and not within `--app`. */
export function unbroken(line: string): (Node | string)[] {
  return line.split(/( )/).map((word) =>
    word === " " ? word : make("span", { className: "word" }, word)
  );
}

/** Shows or removes what is wrong with a field. */
export function complain(id: string, words: string | undefined): void {
  const field = byId(id);
  const problemId = `${id}-problem`;
  document.getElementById(problemId)?.remove();
  const described = (field.getAttribute("aria-describedby") ?? "").split(" ")
    .filter((name) => name !== "" && name !== problemId);
  if (words === undefined) field.removeAttribute("aria-invalid");
  else {
    field.setAttribute("aria-invalid", "true");
    described.unshift(problemId);
    (field.closest(".with-button") ?? field).after(
      make("p", { id: problemId, className: "problem" }, words),
    );
  }
  if (described.length > 0) field.setAttribute("aria-describedby", described.join(" "));
  else field.removeAttribute("aria-describedby");
}

/** Whether the page is served by `deno task flasher`, from the folder of Holdfast; otherwise it is published. */
export const isServedHere = () => "servedHere" in document.documentElement.dataset;

/** The value of the chosen radio button of a group. */
export function chosen(name: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? "";
}

/**
 * One line about what is going on, which screen readers read out when idle.
 *
 * @param saidElsewhere they read it out already: it is only shown
 */
export function say(text: string, saidElsewhere = false): void {
  const line = byId("status");
  line.setAttribute("aria-live", saidElsewhere ? "off" : "polite");
  line.textContent = text;
}
