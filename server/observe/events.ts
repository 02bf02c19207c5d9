/** What happens at a server, as it happens: the one source of its log, and of whatever else watches it. */
import type { MessageCounts } from "../link/session.ts";

/** One thing that happened. */
export type ServerEvent =
  | { event: "listening"; address: string }
  | {
    event: "connected";
    device: string;
    address: string;
    dialect: 1 | 2;
    /** How often this device has connected. */
    connects: number;
    /** What the device says about itself. */
    metadata?: string;
  }
  /** A newer connection of the device takes the place of the one that it has. */
  | { event: "replaced"; device: string; address: string }
  | { event: "disconnected"; device: string; address: string; code: string; message: string }
  /** Before it was known which device it is. */
  | { event: "refused"; address?: string; code: string; message: string }
  /** The device begins a new stream of messages: it was started, or it is a stranger. Comes before `connected` in
   * dialect 2, and with the first message in dialect 1. */
  | { event: "booted"; device: string }
  /** A line that the device itself has logged. */
  | { event: "log"; device: string; message: string }
  | { event: "app_started"; device: string }
  | { event: "app_failed"; device: string; message: string }
  /** The store begins to fail, with a code; or, without, works again. */
  | { event: "store"; code?: string; message?: string }
  /** Messages of the device were counted: at most one event a second, with the counts since the server's start. */
  | ({ event: "messages"; device: string } & MessageCounts)
  | { event: "warning"; device?: string; address?: string; code: string; message: string }
  /** Other keys were taken over while the server runs. */
  | { event: "keys"; message: string }
  | { event: "closed" };

/** Is told of each event. What it throws is reported as an event, and it is told of none any more. */
export type Listener = (event: ServerEvent) => void;

/** Tells what happens to whoever listens. */
export class Events {
  #listeners = new Set<Listener>();

  /** @returns ends it */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(event: ServerEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        this.#listeners.delete(listener);
        const message = `somebody who was told of "${event.event}" has failed, and is told no more: ${
          error instanceof Error ? error.stack : error
        }`;
        this.emit({ event: "warning", code: "LISTENER_FAILED", message });
      }
    }
  }
}
