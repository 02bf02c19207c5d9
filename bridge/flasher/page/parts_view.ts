/// <reference lib="dom" />
/** A bar for each part of a transfer, and the time that is left. */
import { type PieceState, sayLeft, TimeLeft } from "../plan/job.ts";
import { hex } from "../chip/errors.ts";
import { byId, make, say, TITLE } from "./dom.ts";

/** A part that has a bar. */
export interface Part {
  name: string;
  offset: number;
  /** In bytes. */
  size: number;
}

const WORDS: Record<PieceState | "reading" | "read", string> = {
  waiting: "waiting",
  writing: "writing",
  checking: "written, not yet checked",
  verified: "verified: it is as it was sent",
  reading: "reading",
  read: "read, and verified",
};

export class PartsView {
  readonly #bars: { bar: HTMLProgressElement; state: HTMLElement; part: Part }[] = [];
  readonly #done: number[];
  readonly #left: TimeLeft;
  #said = -1;

  /**
   * @param step id of the element in which the bars appear
   * @param title what is being done
   */
  constructor(step: string, title: string, parts: Part[]) {
    byId(step).append(byId("progress"));
    byId("progress-title").textContent = title;
    this.#left = new TimeLeft(parts.reduce((sum, { size }) => sum + size, 0));
    this.#done = parts.map(() => 0);
    byId("parts").replaceChildren(...parts.map((part, index) => {
      const label = make("label", { htmlFor: `part-${index}` }, part.name);
      const size = sayBytes(part.size);
      const place = make("span", { className: "place" }, `${hex(part.offset)}, ${size}`);
      const bar = make("progress", { id: `part-${index}`, max: part.size, value: 0 });
      const state = make("span", { className: "state" }, WORDS.waiting);
      this.#bars.push({ bar, state, part });
      return make("li", {}, label, place, bar, state);
    }));
    byId("time-left").textContent = "";
    byId("progress").hidden = false;
  }

  update(index: number, state: keyof typeof WORDS, done: number): void {
    const { bar, state: words, part } = this.#bars[index]!;
    bar.value = done;
    words.textContent = WORDS[state];
    words.dataset.state = state;
    this.#done[index] = done;
    const sum = this.#done.reduce((a, b) => a + b, 0);
    const percent = Math.floor(100 * sum / this.#left.total);
    document.title = `${percent} % · ${TITLE}`; // for users who look at another tab meanwhile
    const left = this.#left.at(sum, performance.now());
    byId("time-left").textContent = left === undefined || percent === 100 ? "" : sayLeft(left);
    // Screen readers need to hear every quarter only.
    const quarter = Math.floor(percent / 25);
    if (quarter !== this.#said && state !== "verified") {
      this.#said = quarter;
      say(`${percent} %: ${WORDS[state]} ${part.name}`);
    }
  }

  /** Shows this instead of the time left. */
  note(text: string): void {
    byId("time-left").textContent = text;
    say(text);
  }
}

function sayBytes(bytes: number): string {
  return bytes < 10_000 ? `${bytes} bytes` : `${Math.round(bytes / 1024)} KB`;
}
