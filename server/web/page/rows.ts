/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A device's row of the table. */
import { make } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { SeenDevice } from "../seen.ts";
import { type LaneState, merged, outagesIn, type Range, spansOf } from "./lanes.ts";
import { counted, lasting } from "./words.ts";

/** Width of a lane in units of its own. */
const WIDTH = 1000;
const HEIGHT = 20;

const SVG = "http://www.w3.org/2000/svg";

/** Drawn one over the other. */
const STATES: readonly LaneState[] = ["unseen", "up", "away"];

export class Row {
  readonly element: HTMLTableRowElement;
  #device: SeenDevice;
  #links: readonly LinkTime[];
  readonly #state = make("span", { className: "state" });
  readonly #since = make("span", { className: "since" });
  readonly #received = make("td", { role: "cell", className: "number" });
  readonly #delivered = make("td", { role: "cell", className: "number" });
  readonly #waiting = make("td", { role: "cell", className: "number" });
  readonly #lane = document.createElementNS(SVG, "svg");
  readonly #paths = new Map<LaneState, SVGPathElement>();

  constructor(device: SeenDevice) {
    this.#device = device;
    this.#links = device.links;
    this.#lane.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#lane.setAttribute("preserveAspectRatio", "none");
    this.#lane.setAttribute("role", "img");
    for (const state of STATES) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", state);
      this.#paths.set(state, path);
      this.#lane.append(path);
    }
    const lane = make("td", { role: "cell", className: "timeline" });
    lane.append(this.#lane);
    this.element = make(
      "tr",
      { role: "row" },
      make("th", { role: "rowheader", scope: "row", textContent: device.id }),
      make("td", { role: "cell" }, this.#state, " ", this.#since),
      lane,
      this.#received,
      this.#delivered,
      this.#waiting,
    );
  }

  get id(): string {
    return this.#device.id;
  }

  get isUp(): boolean {
    return this.#device.connected;
  }

  /** It has changed. @param device With those of its links that have. */
  update(device: SeenDevice): void {
    this.#device = device;
    this.#links = merged(this.#links, device.links);
  }

  /** Shows it as it is now. @param now By the server's clock, in ms since 1970. */
  show(now: number, range: Range, served: readonly LinkTime[]): void {
    const { connected, since, counts, inbox, outbox } = this.#device;
    const ms = now - Date.parse(since);
    this.element.classList.toggle("away", !connected);
    this.#state.textContent = connected ? "up" : "away";
    this.#since.textContent = `for ${lasting(ms)}`;
    this.#received.textContent = counts.received.toLocaleString("en");
    this.#delivered.textContent = counts.delivered.toLocaleString("en");
    this.#waiting.textContent = (inbox + outbox).toLocaleString("en");
    this.#draw(range, served);
  }

  #draw(range: Range, served: readonly LinkTime[]): void {
    const spans = spansOf(this.#links, served, range);
    const scale = WIDTH / (range.to - range.from);
    for (const [state, path] of this.#paths) {
      const shapes = spans.filter((span) => span.state === state).map(({ from, to }) => {
        const x = (from - range.from) * scale;
        // A short outage is to be seen in a long time, too.
        const width = Math.max((to - from) * scale, state === "away" ? 2 : 0);
        return `M${x.toFixed(1)} 0h${width.toFixed(1)}v${HEIGHT}h-${width.toFixed(1)}z`;
      });
      path.setAttribute("d", shapes.join(""));
    }
    const { count, ms } = outagesIn(spans);
    const words = count === 0 ? "no outage" : `${counted(count, "outage")}, ${lasting(ms)} in all`;
    this.#lane.setAttribute("aria-label", words);
  }
}
