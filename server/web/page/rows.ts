/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A device's row of the table. */
import { make, setText } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { SeenDevice } from "../seen.ts";
import { LaneView } from "./lane_view.ts";
import { merged, type Range } from "./lanes.ts";
import { lasting, number, quick, shown } from "./words.ts";

export class Row {
  readonly element: HTMLTableRowElement;
  #device: SeenDevice;
  #links: readonly LinkTime[];
  readonly #state = make("span", { className: "state" });
  readonly #since = make("span", { className: "since" });
  readonly #received = make("td", { role: "cell", className: "number" });
  readonly #delivered = make("td", { role: "cell", className: "number" });
  readonly #waiting = make("td", { role: "cell", className: "number" });
  readonly #roundTrip = make("td", { role: "cell", className: "number" });
  readonly #lane = new LaneView();

  constructor(device: SeenDevice) {
    this.#device = device;
    this.#links = device.links;
    const { id } = device;
    const href = `/devices/${encodeURIComponent(id)}`;
    const link = make("a", { href }, make("bdi", { textContent: shown(id) }));
    this.element = make(
      "tr",
      { role: "row" },
      make("th", { role: "rowheader", scope: "row" }, link),
      make("td", { role: "cell" }, this.#state, " ", this.#since),
      make("td", { role: "cell", className: "timeline" }, this.#lane.element),
      this.#received,
      this.#delivered,
      this.#waiting,
      this.#roundTrip,
    );
  }

  get id(): string {
    return this.#device.id;
  }

  get device(): SeenDevice {
    return this.#device;
  }

  get isUp(): boolean {
    return this.#device.connected;
  }

  /** The device has changed. @param device With only its changed links. */
  update(device: SeenDevice): void {
    this.#device = device;
    this.#links = merged(this.#links, device.links);
  }

  /** Shows the present state. @param now By the server's clock, in ms since 1970. */
  show(now: number, range: Range, served: readonly LinkTime[]): void {
    const { counts, inbox, outbox, roundTrip } = this.#device;
    showState(this.element, this.#state, this.#since, this.#device, now);
    setText(this.#received, number(counts.received));
    setText(this.#delivered, number(counts.delivered));
    setText(this.#waiting, number(inbox + outbox));
    setText(this.#roundTrip, roundTrip === undefined ? "" : quick(roundTrip));
    this.#lane.draw(this.#links, served, range);
  }
}

/** Shows whether a device has a link, and since when. @param whole Gets the class `away` if it has none. */
export function showState(
  whole: Element,
  state: Element,
  since: Element,
  device: SeenDevice,
  now: number,
): void {
  const { connected, asleepUntil } = device;
  whole.classList.toggle("away", !connected && asleepUntil === undefined);
  whole.classList.toggle("asleep", asleepUntil !== undefined);
  setText(state, connected ? "up" : asleepUntil === undefined ? "away" : "asleep");
  const at = device.server === undefined ? "" : `, at ${shown(device.server)}`;
  setText(since, `for ${lasting(now - Date.parse(device.since))}${at}`);
}
