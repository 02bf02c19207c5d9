/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A channel's values over time, drawn by uPlot, which is loaded when the first curve is opened. */
import { make } from "../parts/dom.ts";
import { clock } from "./words.ts";

/** The part of uPlot that is used. */
interface Plot {
  setData(data: [number[], number[]]): void;
  setSize(size: { width: number; height: number }): void;
}

type PlotClass = new (options: unknown, data: [number[], number[]], element: HTMLElement) => Plot;

/** Most points that are drawn: the last ones. */
const MOST = 600;

const HEIGHT = 160;

export class Curve {
  readonly element = make("details", { className: "curve" });
  readonly #place = make("div", { className: "plot" });
  readonly #words = make("p", { className: "hint" });
  readonly #url: string;
  readonly #isStepped: boolean;
  #data: [seconds: number[], values: number[]] = [[], []];
  #plot: Plot | undefined;
  #isLoaded = false;

  /** @param url The URL of its values. @param isStepped Whether it keeps its value until the next one. */
  constructor(name: string, url: string, isStepped: boolean) {
    this.#url = url;
    this.#isStepped = isStepped;
    const summary = make("summary", { textContent: "over time", ariaLabel: `${name} over time` });
    this.element.append(summary, this.#place, this.#words);
    this.element.addEventListener("toggle", () => void this.#open());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    new ResizeObserver(() => {
      this.#plot?.setSize({ width: this.#place.clientWidth, height: HEIGHT });
    }).observe(this.#place);
  }

  /** Adds a value. */
  add(at: number, value: number): void {
    if (!this.#isLoaded || at / 1000 <= (this.#data[0].at(-1) ?? 0)) return;
    this.#data[0].push(at / 1000);
    this.#data[1].push(value);
    for (const list of this.#data) if (list.length > MOST) list.shift();
    this.#draw();
  }

  async #open(): Promise<void> {
    if (!this.element.open || this.#isLoaded) return;
    this.#isLoaded = true;
    const [{ default: uPlot }, answer] = await Promise.all([
      import("/page/uplot.js" as string) as Promise<{ default: PlotClass }>,
      fetch(this.#url),
    ]);
    const { points } = await answer.json() as { points: [number, number][] };
    const later = this.#data;
    this.#data = [points.map(([at]) => at / 1000), points.map(([, value]) => value)];
    for (const [index, at] of later[0].entries()) {
      if (at <= (this.#data[0].at(-1) ?? 0)) continue;
      this.#data[0].push(at);
      this.#data[1].push(later[1][index]!);
    }
    this.#plot = new uPlot(this.#options(uPlot), this.#data, this.#place);
    this.#draw();
  }

  #options(uPlot: unknown): unknown {
    const color = (name: string) => getComputedStyle(document.body).getPropertyValue(name);
    const { paths } = uPlot as { paths: { stepped(options: unknown): unknown } };
    const axis = {
      stroke: () => color("--soft"),
      grid: { stroke: () => color("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: this.#place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      axes: [{
        ...axis,
        space: 90,
        size: 30,
        values: (_: unknown, ticks: number[]) => ticks.map((at) => clock(at * 1000, Date.now())),
      }, axis],
      series: [{}, {
        stroke: () => color("--accent"),
        width: 2,
        points: { show: this.#data[0].length < 30 },
        ...(this.#isStepped && { paths: paths.stepped({ align: 1 }) }),
      }],
    };
  }

  /** Draws the curve, and describes it in words for those who cannot see it. */
  #draw(): void {
    const [seconds, values] = this.#data;
    this.#plot?.setData(this.#data);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    this.#words.textContent = values.length === 0
      ? "Nothing has been reported since the server was started."
      : `${least} to ${most} since ${clock(seconds[0]! * 1000, Date.now())}`;
  }
}
