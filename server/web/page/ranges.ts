/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** The part of the timeline that is shown: everything known, until the user chooses. */
import { byId, make, setText } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import { type Range, rangeFor, RANGES } from "./lanes.ts";
import { lasting } from "./words.ts";

export class Ranges {
  #chosen: number | undefined;

  /** @param changed Called when the user has chosen. */
  constructor(changed: () => void) {
    for (const [ms, name] of RANGES) {
      const input = make("input", { type: "radio", name: "range", id: `range-${ms}` });
      input.addEventListener("change", () => {
        this.#chosen = ms;
        changed();
      });
      byId("ranges").append(make("label", {}, input, ` ${name}`));
    }
  }

  /** The range that ends now. @param served When the server ran, so something is known. */
  at(now: number, served: readonly LinkTime[]): Range {
    const span = this.#chosen ?? rangeFor(now - (served[0]?.from ?? now));
    byId<HTMLInputElement>(`range-${span}`).checked = true;
    for (const begin of document.querySelectorAll(".range-from")) {
      setText(begin, `${lasting(span)} ago`);
    }
    return { from: now - span, to: now };
  }
}
