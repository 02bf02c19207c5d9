/** Views of all devices, and which devices have changed since they were last read. */
import type { Thing } from "../channels/thing.ts";
import type { Device } from "../device.ts";
import type { DeviceView } from "../device_view.ts";
import type { EventListener, ServerEvent } from "../observe/events.ts";
import { DistantDevice } from "../runtime/distant_device.ts";
import { appsOf } from "./app_view.ts";

/** The part of `Server` that is needed here. */
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

/** The present view of a device. */
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

/** Collects the devices that have changed since the last read, each once, however often it changed. */
export class Changes {
  readonly #server: Watched;
  readonly #changed = new Set<string>();
  readonly #told: () => void;
  readonly #unsubscribe: () => void;

  /** @param changed Called at the first change after a read. */
  constructor(server: Watched, changed: () => void) {
    this.#server = server;
    this.#told = changed;
    this.#unsubscribe = server.events.subscribe((event) => {
      const id = deviceOf(event);
      if (id !== undefined) this.#add([id]);
    });
  }

  /** Marks all devices as changed. */
  all(): void {
    this.#add(this.#server.devices.map(({ id }) => id));
  }

  #add(ids: readonly string[]): void {
    const wasNone = this.#changed.size === 0;
    for (const id of ids) this.#changed.add(id);
    if (wasNone && ids.length > 0) this.#told();
  }

  /** Returns the ids of changed devices, and clears the list. */
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
