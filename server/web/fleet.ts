/** What is seen of all devices: put together from what the server tells, and who has changed since somebody looked. */
import type { Thing } from "../channels/thing.ts";
import type { Device } from "../device.ts";
import type { DeviceView } from "../device_view.ts";
import type { EventListener, ServerEvent } from "../observe/events.ts";
import { DistantDevice } from "../runtime/distant_device.ts";
import { appsOf } from "./app_view.ts";

/** What is needed of `Server`. */
export interface Watched {
  readonly devices: readonly Device[];
  readonly events: { subscribe(listener: EventListener): () => void };
  known(id: string): Device | undefined;
  device(id: string): Promise<Device>;
  thing(id: string): Promise<Thing>;
}

/** Whether this server has a device, and not another one that shares its store. */
export function isOwn(device: Device): boolean {
  return !(device instanceof DistantDevice) || device.isHere;
}

/** What one device looks like now. */
export function viewOf(device: Device): DeviceView {
  if (device instanceof DistantDevice && !isOwn(device)) return device.view;
  const { id, connected, since, connects, metadata, inbox, outbox, app, deadLetters } = device;
  const { asleepUntil, roundTrip, server } = device;
  return {
    ...(server !== undefined && { server }),
    ...(asleepUntil && { asleepUntil: asleepUntil.toISOString() }),
    ...{ id, connected, since: since.toISOString(), connects, metadata, inbox, outbox, app },
    deadLetters: deadLetters.length,
    counts: { ...device.counts },
    ...appsOf(device),
    ...(roundTrip !== undefined && { roundTrip: Math.round(roundTrip * 10) / 10 }),
  };
}

/** Devices that have changed since somebody looked; of each of them the last is seen, however often that was. */
export class Changes {
  readonly #server: Watched;
  readonly #changed = new Set<string>();
  readonly #told: () => void;
  readonly #unsubscribe: () => void;

  /** @param changed called when there is something to be looked at, after there was nothing */
  constructor(server: Watched, changed: () => void) {
    this.#server = server;
    this.#told = changed;
    this.#unsubscribe = server.events.subscribe((event) => {
      const id = deviceOf(event);
      if (id !== undefined) this.#add([id]);
    });
  }

  /** All count as changed. */
  all(): void {
    this.#add(this.#server.devices.map(({ id }) => id));
  }

  #add(ids: readonly string[]): void {
    const wasNone = this.#changed.size === 0;
    for (const id of ids) this.#changed.add(id);
    if (wasNone && ids.length > 0) this.#told();
  }

  /** The ids of devices that have left the list. */
  take(): string[] {
    const ids = [...this.#changed];
    this.#changed.clear();
    return ids;
  }

  close(): void {
    this.#unsubscribe();
  }
}

function deviceOf(event: ServerEvent): string | undefined {
  return "device" in event ? event.device : undefined;
}
