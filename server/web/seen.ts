/** Streams the devices and their history, first everything and then the changes. */
import type { Device } from "../device.ts";
import type { DeviceView } from "../device_view.ts";
import { Changes, viewOf, type Watched } from "./fleet.ts";
import type { History, LinkTime } from "./history.ts";
import { Places } from "./stream_places.ts";
import { type Shown, streamOf } from "./stream.ts";

/** A device as the stream shows it. */
export interface SeenDevice extends DeviceView {
  /** Its links, oldest first; in a change, only the changed ones. */
  readonly links: readonly LinkTime[];
}

/** An event of the stream. */
export interface DevicesUpdate {
  /** ms since 1970, by the server's clock. */
  readonly now: number;
  /** When the server ran, oldest first; in a change, only what has changed. */
  readonly served: readonly LinkTime[];
  /** First all devices, then those that have changed. */
  readonly devices: readonly SeenDevice[];
  /** Ids of devices that were forgotten. */
  readonly gone?: readonly string[];
}

/** The source of a stream; `again` makes it send everything again as changes. */
export interface Repeatable extends Shown {
  again(): void;
}

/** No history, for readers that did not ask for it. */
export const NO_HISTORY: Past = { of: () => [], served: [] };

type Past = Pick<History, "of" | "served">;

export class Seen {
  readonly #server: Watched;
  readonly #history: Past;
  readonly #signal: AbortSignal;
  readonly #places = new Places();
  /** Functions that make open streams send everything again. */
  readonly #again = new Set<() => void>();

  /** @param signal Ends all streams. */
  constructor(server: Watched, history: Past, signal: AbortSignal) {
    this.#server = server;
    this.#history = history;
    this.#signal = signal;
  }

  get devices(): readonly Device[] {
    return this.#server.devices;
  }

  /** @param since Links that ended before are left out; ms since 1970. */
  of(device: Device, since = 0): SeenDevice {
    return { ...viewOf(device), links: after(this.#history.of(device.id), since) };
  }

  /** When the server ran, since a time. */
  served(since = 0): readonly LinkTime[] {
    return after(this.#history.served, since);
  }

  /**
   * A stream of everything, then of changes. @param address The client's address. @throws {Refusal} there are too many
   */
  stream(address: string | undefined): Response {
    return this.open(address, (changed) => {
      const changes = new Changes(this.#server, changed);
      let looked = 0;
      const again = () => {
        looked = 0;
        changes.all();
      };
      const look = (devices: readonly Device[]): DevicesUpdate => {
        const seen = devices.map((device) => this.of(device, looked));
        const served = this.served(looked);
        return { now: looked = Date.now(), served, devices: seen };
      };
      return {
        all: () => look(this.devices),
        changes: () => {
          const ids = new Set(changes.take());
          if (ids.size === 0) return undefined;
          const devices = this.devices.filter(({ id }) => ids.has(id));
          for (const { id } of devices) ids.delete(id);
          return { ...look(devices), gone: [...ids] };
        },
        again,
        close: () => changes.close(),
      };
    });
  }

  /** The history of all devices has grown at its beginning: streams send all devices again. */
  again(): void {
    for (const again of this.#again) again();
  }

  /** Opens a stream. @throws {Refusal} there are too many */
  open(address: string | undefined, begin: (changed: () => void) => Repeatable): Response {
    return this.#places.take(address, (ended) =>
      streamOf((changed) => {
        const { again, ...shown } = begin(changed);
        this.#again.add(again);
        const close = () => {
          this.#again.delete(again);
          shown.close();
          ended();
        };
        return { ...shown, close };
      }, this.#signal));
  }
}

function after(links: readonly LinkTime[], since: number): readonly LinkTime[] {
  return links.filter(({ to = Infinity }) => to >= since);
}
