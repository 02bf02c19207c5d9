/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A device's messages both ways, and its log, as they come. */
import { byId, input, make } from "../parts/dom.ts";
import type { Line } from "../device_stream.ts";
import { clock, counted, shown } from "./words.ts";

/** Most lines that are kept: the last ones. */
const MOST = 500;

/** Words for screen readers and copied text. */
const WAYS = { in: "from it", out: "to it", log: "log" } as const;

/** How near the end the user must be for the list to scroll along, in pixels. */
const NEAR = 40;

export class Tail {
  readonly #list = byId("tail");

  constructor() {
    input("filter").addEventListener("input", () => this.#filter());
  }

  /** @param missed How many lines before them were left out. */
  add(lines: readonly Line[], missed: number, now: number): void {
    const list = this.#list;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    if (missed > 0) {
      const words = `${counted(missed, "line")} left out: they came faster than they were read`;
      list.append(make("div", { className: "log", textContent: words }));
    }
    list.append(...lines.map((line) => element(line, now)));
    while (list.childElementCount > MOST) list.firstElementChild!.remove();
    this.#filter();
    if (isAtEnd) list.scrollTop = list.scrollHeight;
  }

  #filter(): void {
    const words = input("filter").value.toLowerCase();
    for (const line of this.#list.children as Iterable<HTMLElement>) {
      line.hidden = !line.textContent!.toLowerCase().includes(words);
    }
  }
}

function element(line: Line, now: number): HTMLElement {
  return make(
    "div",
    { className: line.way },
    make("time", { textContent: clock(line.at, now) }),
    " ",
    make("span", { className: "way", textContent: WAYS[line.way] }),
    " ",
    make("bdi", { textContent: shown(line.way === "log" ? words(line.entry) : line.text) }),
  );
}

/** An entry in the log's words. */
function words(entry: Extract<Line, { way: "log" }>["entry"]): string {
  const { event, address, code, message } = entry;
  const head = [event, address, code].filter((word) => word !== undefined).join(" ");
  return message === undefined ? head : `${head}: ${message}`;
}
