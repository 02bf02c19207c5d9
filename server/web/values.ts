/** Numeric values of channels over time, in memory: newer ones at a finer resolution. */
import type { Watched } from "./fleet.ts";

/** Most points of a channel; beyond it, every other one of the older half is dropped. */
const MOST_POINTS = 300;

/** Most channels of a device: those reported last. */
const MOST_CHANNELS = 16;

/** Most devices: those that reported last. */
const MOST_DEVICES = 1000;

/** A time in ms since 1970, and the value. */
export type Point = readonly [at: number, value: number];

export class Values {
  readonly #devices = new Map<string, Map<string, Point[]>>();
  readonly #unsubscribe: () => void;

  constructor(server: Pick<Watched, "events">, now: () => number) {
    this.#unsubscribe = server.events.subscribe((event) => {
      if (event.event === "forgotten") this.#devices.delete(event.device);
      if (event.event !== "reported") return;
      const number = numberOf(event.value);
      if (number !== undefined) {
        this.#add(event.device, event.channel, [event.at?.getTime() ?? now(), number]);
      }
    });
  }

  /** The points of a channel, oldest first. */
  of(device: string, channel: string): readonly Point[] {
    return this.#devices.get(device)?.get(channel) ?? [];
  }

  close(): void {
    this.#unsubscribe();
  }

  #add(device: string, channel: string, point: Point): void {
    const channels = latest(this.#devices, device, () => new Map<string, Point[]>(), MOST_DEVICES);
    const points = latest(channels, channel, (): Point[] => [], MOST_CHANNELS);
    // Stamped values may come late, and are inserted in their place.
    let place = points.length;
    while (place > 0 && points[place - 1]![0] > point[0]) place--;
    points.splice(place, 0, point);
    if (points.length <= MOST_POINTS) return;
    const thinned = points.filter((_, index) => index % 2 === 0 || index > MOST_POINTS / 2);
    points.splice(0, points.length, ...thinned);
  }
}

/** Gets or makes an entry and moves it to the end; removes the first if there are too many. */
function latest<T>(map: Map<string, T>, key: string, make: () => T, most: number): T {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
  return value;
}

/** The number of a value; switches count as numbers. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
