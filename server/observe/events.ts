/** The events of a server: the one source of its log and of everything else that watches it. */
import type { Value } from "../protocol/channel_lines.ts";
import type { MessageCounts } from "../link/counts.ts";
import { Listening } from "../runtime/run.ts";

/** One thing that happened. */
export type ServerEvent =
  | { event: "listening"; address: string }
  /** The command line has found an address of this machine for boards. */
  | { event: "reachable"; address: string; message: string }
  /** The page that shows the devices can be opened at this URL. */
  | { event: "page"; address: string }
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
  /** A newer connection of the device replaces the present one. */
  | { event: "replaced"; device: string; address: string }
  | { event: "disconnected"; device: string; address: string; code: string; message: string }
  /**
   * Its connection has ended because it sleeps, as announced, until this time. Not an outage, unless it becomes
   * `overdue`.
   */
  | { event: "asleep"; device: string; address: string; until: Date; message: string }
  /** It has not come back from its sleep, margin included: from now on it is an outage. */
  | { event: "overdue"; device: string; message: string }
  /** A connection was refused before its device was known. */
  | {
    event: "refused";
    address?: string;
    /** The id that it claims; anybody may claim any. */
    claimed?: string;
    code: string;
    message: string;
  }
  /** The device has begun a new stream of messages: it has restarted, or is new here. Comes before `connected` in
   * dialect 2, and with the first message in dialect 1. */
  | { event: "booted"; device: string }
  /** A line that the device itself has logged. */
  | { event: "log"; device: string; message: string }
  /** Another server that shares the store has taken over the device, because the device connected there or this
   * server seemed dead. The device sends again what was not safe here. */
  | { event: "moved"; device: string; message: string }
  /** Another server's view of one of its devices has changed. */
  | { event: "seen"; device: string }
  /**
   * The same, if the device has moved to another server, or its link has begun or ended. `server`: undefined if none
   * has it.
   */
  | { event: "elsewhere"; device: string; server: string | undefined; message: string }
  /** The device was forgotten: by `Server.forget`, or to make room for another one. */
  | { event: "forgotten"; device: string; message: string }
  | { event: "app_started"; device: string }
  /** With `restartIn`, the application has failed and is restarted in that many ms. Without it, a timer or a promise of
   * the application has failed that it did not await. */
  | { event: "app_failed"; device?: string; message: string; restartIn?: number }
  /** The application has returned. */
  | { event: "app_ended"; device: string; message: string }
  /** A message to the device was withdrawn at its deadline: EXPIRED or UNDECIDED. */
  | { event: "expired"; device: string; text: string; code: string; message: string }
  /** A deploy to the device has started or reached another phase, given as the code: QUEUED, WAITS, OFFERED,
   * SENDING, CHECKING, TRIAL, KEPT, REFUSED, FELL_BACK, GIVEN_UP, UNSUPPORTED, STOPPED. */
  | { event: "deploy"; device: string; code: string; message: string }
  /** A rollout has ended. STOPPED: it failed on one of its devices; DONE: all are decided. */
  | { event: "rollout"; code: "STOPPED" | "DONE"; message: string }
  /** Another quarter of a deploy has arrived, in bytes. */
  | { event: "deploying"; device: string; arrived: number; size: number }
  /** A message from the device became a dead letter, because the application kept failing with it. */
  | { event: "dead_letter"; device: string; message: string }
  /** The description of the device may have changed: its application has started, or descriptions were replaced. Without
   * a device: of all devices. */
  | { event: "described"; device?: string }
  /** The device has reported a channel, or answered a setting. For the time see `Moment`. */
  | {
    event: "reported";
    device: string;
    channel: string;
    value: Value;
    at: Date | undefined;
    isStamped: boolean;
  }
  /** A channel was set, and that is safe. */
  | { event: "set"; device: string; channel: string; value: Value; by: string }
  /** A channel has reached its desired value, or has left it. */
  | { event: "met" | "parted"; device: string; channel: string }
  /** An answer or a fault that nobody waits for any more. */
  | {
    event: "late_answer";
    device: string;
    channel: string;
    tag: string;
    value?: Value;
    fault?: string;
  }
  /** A line from the device that belongs to no channel, and that no application takes. */
  | { event: "plain_line"; device: string; message: string }
  /** With a code, the store has begun to fail; without, it works again. */
  | { event: "store"; code?: string; message?: string }
  /** With a code, a bridge has lost its broker; without, it has a session there. */
  | { event: "broker"; address: string; code?: string; message?: string }
  /** The device's message counts since the server's start; at most one event a second. */
  | ({ event: "messages"; device: string } & MessageCounts)
  | {
    event: "warning";
    device?: string;
    address?: string;
    code: string;
    message: string;
    /** The topic, if a message at a broker has no effect, or not the intended one. */
    topic?: string;
  }
  /**
   * Keys, descriptions, credentials (for a broker, of the page) or the certificate were replaced while the server runs.
   */
  | { event: "keys" | "descriptions" | "certificate" | "credentials"; message: string }
  | { event: "closed" };

/**
 * Receives each event. If it throws, or leaves a rejected promise unhandled, a warning reports that (LISTENER_FAILED),
 * and it receives no more events.
 */
export type EventListener = (event: ServerEvent) => void;

/** Passes events to listeners. */
export class Events {
  #listeners = new Map<EventListener, Listening>();

  /** Adds a listener. @returns a function that removes it */
  subscribe(listener: EventListener): () => void {
    if (!this.#listeners.has(listener)) {
      const failed = (error: unknown) =>
        this.#failed(listener, "has left a rejected promise unhandled", error);
      this.#listeners.set(listener, new Listening(failed));
    }
    return () => void this.#listeners.delete(listener);
  }

  /** Passes an event to all listeners. */
  emit(event: ServerEvent): void {
    for (const [listener, listening] of this.#listeners) {
      try {
        // The event may come from an application's context: errors of the listener must not count as that
        // application's.
        listening.tell(() => listener(event));
      } catch (error) {
        this.#failed(listener, `to "${event.event}" has thrown an error`, error);
      }
    }
  }

  #failed(listener: EventListener, how: string, error: unknown): void {
    this.#listeners.delete(listener); // first, because the warning goes to all listeners
    const why = error instanceof Error ? error.stack : error;
    const message = `a subscriber ${how} and was unsubscribed: ${why}`;
    this.emit({ event: "warning", code: "LISTENER_FAILED", message });
  }
}
