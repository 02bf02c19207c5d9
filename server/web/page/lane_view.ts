/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Draws a lane of the timeline. */
import { setAttribute } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import { type LaneState, outagesIn, type Range, type Span, spansOf, startsIn } from "./lanes.ts";
import { counted, lasting } from "./words.ts";

/** Width of a lane in its own units. */
const WIDTH = 1000;
const HEIGHT = 20;

const SVG = "http://www.w3.org/2000/svg";

const STATES: readonly LaneState[] = ["unseen", "asleep", "up", "away"];

/** Layers, drawn one over the other. */
const LAYERS = [...STATES, "start"] as const;

type Layer = typeof LAYERS[number];

export class LaneView {
  readonly element = document.createElementNS(SVG, "svg");
  readonly #paths = new Map<Layer, SVGPathElement>();

  constructor() {
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.element.setAttribute("role", "img");
  }

  /** Each layer makes scrolling slower, and most lanes need one or two: so only needed ones are made. */
  #paint(layer: Layer, shapes: readonly string[]): void {
    let path = this.#paths.get(layer);
    if (!path) {
      if (shapes.length === 0) return;
      path = document.createElementNS(SVG, "path");
      path.setAttribute("class", layer);
      this.#paths.set(layer, path);
      this.element.append(...LAYERS.flatMap((layer) => this.#paths.get(layer) ?? []));
    }
    setAttribute(path, "d", shapes.join(""));
  }

  draw(links: readonly LinkTime[], served: readonly LinkTime[], range: Range): void {
    const spans = spansOf(links, served, range);
    const scale = WIDTH / (range.to - range.from);
    const shape = ({ from, to }: Pick<Span, "from" | "to">, least: number, top = 0) => {
      // Rounded to units, which are smaller than a pixel: smaller movements need no redraw.
      const [x, end] = [from, to].map((at) => Math.round((at - range.from) * scale));
      const width = Math.max(end! - x!, least);
      return `M${x} ${top}h${width}v${HEIGHT - top}h-${width}z`;
    };
    for (const name of STATES) {
      // A short outage must be visible in a long range, too.
      const own = spans.filter(({ state }) => state === name);
      this.#paint(name, own.map((span) => shape(span, name === "away" ? 2 : 0)));
    }
    const starts = startsIn(links, range);
    this.#paint("start", starts.map(({ from }) => shape({ from, to: from }, 3, HEIGHT / 2)));
    const { count, ms } = outagesIn(spans);
    const words = [
      count === 0 ? "no outage" : `${counted(count, "outage")}, ${lasting(ms)} in all`,
    ];
    if (starts.length > 0) words.push(counted(starts.length, "start"));
    setAttribute(this.element, "aria-label", words.join(", "));
  }
}
