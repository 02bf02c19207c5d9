/** What numbers channels had over time, in memory: the newer, the finer. */
import type { Watched } from "./fleet.ts";

/** Points of a channel; when there are more, every other one of the older half is dropped. */
const MOST_POINTS = 300;

/** Channels of a device: of more, those that were told last. */
const MOST_CHANNELS = 16;

/** Devices: of more, those that told last. */
const MOST_DEVICES = 1000;

/** When, in ms since 1970, and what it was. */
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

  /** Oldest first. */
  of(device: string, channel: string): readonly Point[] {
    return this.#devices.get(device)?.get(channel) ?? [];
  }

  close(): void {
    this.#unsubscribe();
  }

  #add(device: string, channel: string, point: Point): void {
    const channels = latest(this.#devices, device, () => new Map<string, Point[]>(), MOST_DEVICES);
    const points = latest(channels, channel, (): Point[] => [], MOST_CHANNELS);
    // Stamped values may come late, and are put where they belong.
    let place = points.length;
    while (place > 0 && points[place - 1]![0] > point[0]) place--;
    points.splice(place, 0, point);
    if (points.length <= MOST_POINTS) return;
    const thinned = points.filter((_, index) => index % 2 === 0 || index > MOST_POINTS / 2);
    points.splice(0, points.length, ...thinned);
  }
}

/** An entry that is there, or made; it is the last one now, and of too many the first has gone. */
function latest<T>(map: Map<string, T>, key: string, make: () => T, most: number): T {
  const value = map.get(key) ?? make();
  map.delete(key);
  map.set(key, value);
  if (map.size > most) map.delete(map.keys().next().value!);
  return value;
}

/** Switches are numbers, too. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === "boolean") return Number(value);
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}
