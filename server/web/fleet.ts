/** What is seen of all devices: put together from what the server tells, and who has changed since somebody looked. */
import type { Thing } from "../channels/thing.ts";
import type { Device } from "../device.ts";
import type { MessageCounts } from "../link/counts.ts";
import type { EventListener, ServerEvent } from "../observe/events.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";
import type { AppState } from "../runtime/application.ts";

import { appsOf, type DeployView } from "./app_view.ts";

/** What is needed of `Server`. */
export interface Watched {
  readonly devices: readonly Device[];
  readonly events: { subscribe(listener: EventListener): () => void };
  known(id: string): Device | undefined;
  device(id: string): Promise<Device>;
  thing(id: string): Promise<Thing>;
}

/** A device, as the API shows it. */
export interface DeviceView {
  readonly id: string;
  readonly connected: boolean;
  /** When the present connection began, or the last one ended; ISO 8601. */
  readonly since: string;
  /** Until when it sleeps, in ISO 8601; not there: it does not. */
  readonly asleepUntil?: string;
  /** How often it has connected, ever. */
  readonly connects: number;
  /** What it said about itself when it connected last. */
  readonly metadata: string;
  /** Messages from it that are not processed yet. */
  readonly inbox: number;
  /** Messages to it that it has not acknowledged. */
  readonly outbox: number;
  /** Of the server's application for it. */
  readonly app: AppState;
  readonly deadLetters: number;
  /** What it said that it runs, if it did. */
  readonly runs?: RunningApp;
  /** How the last deploy to it is, if there was one. */
  readonly deploy?: DeployView;
  /** Messages since the server was started. */
  readonly counts: Readonly<MessageCounts>;
  /** From sending a message to its ack, in ms: the last one on this connection. Undefined: there was none. */
  readonly roundTrip?: number;
}

/** What one device looks like now. */
export function viewOf(device: Device): DeviceView {
  const { id, connected, since, connects, metadata, inbox, outbox, app, deadLetters } = device;
  const { asleepUntil, roundTrip } = device;
  return {
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

  /** The ids of those, of which none is one any more. */
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
