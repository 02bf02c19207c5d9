/** What happens at a server, as it happens: the one source of its log, and of whatever else watches it. */
import type { Value } from "../protocol/channel_lines.ts";
import type { MessageCounts } from "../link/counts.ts";
import { Listening } from "../runtime/run.ts";

/** One thing that happened. */
export type ServerEvent =
  | { event: "listening"; address: string }
  /** The command line knows an address of this machine to enter in boards. */
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
  /** A newer connection of the device takes the place of the one that it has. */
  | { event: "replaced"; device: string; address: string }
  | { event: "disconnected"; device: string; address: string; code: string; message: string }
  /** Its connection has ended, as it sleeps: it has said so, and until when. No outage, unless it is `overdue`. */
  | { event: "asleep"; device: string; address: string; until: Date; message: string }
  /** It is not back from its sleep, though it was given some time more: from now on it is an outage. */
  | { event: "overdue"; device: string; message: string }
  /** Before it was known which device it is. */
  | {
    event: "refused";
    address?: string;
    /** Its id, as it says: anybody may claim any. */
    claimed?: string;
    code: string;
    message: string;
  }
  /** The device begins a new stream of messages: it was started, or it is a stranger. Comes before `connected` in
   * dialect 2, and with the first message in dialect 1. */
  | { event: "booted"; device: string }
  /** A line that the device itself has logged. */
  | { event: "log"; device: string; message: string }
  /** Another server that shares the store has the device now, with its next connection or as this one was taken for
   * dead: what this one had not made safe of it, the device says again. */
  | { event: "moved"; device: string; message: string }
  /** What another server shows of one of its devices has changed. */
  | { event: "seen"; device: string }
  /** The same, and it has another server, or its link has come or gone. `server`: undefined if none has it. */
  | { event: "elsewhere"; device: string; server: string | undefined; message: string }
  /** The device was forgotten: by `Server.forget`, or to make room for another one. */
  | { event: "forgotten"; device: string; message: string }
  | { event: "app_started"; device: string }
  /** With `restartIn` it has ended, and is started again in that many ms. Without, something has failed that it had planned
   * or did not wait for. */
  | { event: "app_failed"; device?: string; message: string; restartIn?: number }
  /** It has returned. */
  | { event: "app_ended"; device: string; message: string }
  /** A message to the device was withdrawn, as its time was up: EXPIRED or UNDECIDED. */
  | { event: "expired"; device: string; text: string; code: string; message: string }
  /** A deploy to the device has begun or come to another phase, which is the code: QUEUED, WAITS, OFFERED, SENDING,
   * CHECKING, TRIAL, KEPT, REFUSED, FELL_BACK, GIVEN_UP, UNSUPPORTED, STOPPED. */
  | { event: "deploy"; device: string; code: string; message: string }
  /** A group is given no more of an application, as one of its devices has not taken it: STOPPED. Or it has it: DONE. */
  | { event: "rollout"; code: "STOPPED" | "DONE"; message: string }
  /** Another quarter of a deploy has arrived, in bytes. */
  | { event: "deploying"; device: string; arrived: number; size: number }
  /** A message of the device was given up, as the application has failed with it again and again. */
  | { event: "dead_letter"; device: string; message: string }
  /** What is described of the device may be something else now: its application was started, or another description was
   * given. Without a device: of all. */
  | { event: "described"; device?: string }
  /** The device has told what a channel is: a report, or its answer to a setting. When: see `Moment`. */
  | {
    event: "reported";
    device: string;
    channel: string;
    value: Value;
    at: Date | undefined;
    isStamped: boolean;
  }
  /** Somebody has said what a channel should be, and that is safe. */
  | { event: "set"; device: string; channel: string; value: Value; by: string }
  /** A channel has reached its desired value, or has left it. */
  | { event: "met" | "parted"; device: string; channel: string }
  /** An answer or a fault for which nobody waits any more. */
  | {
    event: "late_answer";
    device: string;
    channel: string;
    tag: string;
    value?: Value;
    fault?: string;
  }
  /** A line of the device that is about no channel, and that its application does not take. */
  | { event: "plain_line"; device: string; message: string }
  /** The store begins to fail, with a code; or, without, works again. */
  | { event: "store"; code?: string; message?: string }
  /** A bridge has a broker's session; or, with a code, has lost the broker. */
  | { event: "broker"; address: string; code?: string; message?: string }
  /** Messages of the device were counted: at most one event a second, with the counts since the server's start. */
  | ({ event: "messages"; device: string } & MessageCounts)
  | {
    event: "warning";
    device?: string;
    address?: string;
    code: string;
    message: string;
    /** At a broker: a message to it does nothing, or not what it should do for this device. */
    topic?: string;
  }
  /** Other keys, descriptions, credentials (at a broker, of the page), or another certificate, were taken over while the
   * server runs. */
  | { event: "keys" | "descriptions" | "certificate" | "credentials"; message: string }
  | { event: "closed" };

/**
 * Is told of each event. When it throws, or drops a promise that is rejected, a warning says so (LISTENER_FAILED), and it
 * is told of no more events.
 */
export type EventListener = (event: ServerEvent) => void;

/** Tells listeners what happens. */
export class Events {
  #listeners = new Map<EventListener, Listening>();

  /** Begins to tell somebody. @returns ends it */
  subscribe(listener: EventListener): () => void {
    if (!this.#listeners.has(listener)) {
      const failed = (error: unknown) =>
        this.#failed(listener, "has dropped a promise that was rejected", error);
      this.#listeners.set(listener, new Listening(failed));
    }
    return () => void this.#listeners.delete(listener);
  }

  /** Tells everybody who listens. */
  emit(event: ServerEvent): void {
    for (const [listener, listening] of this.#listeners) {
      try {
        // An event tells of an application's failure, perhaps: what the listener does is not that application's.
        listening.tell(() => listener(event));
      } catch (error) {
        this.#failed(listener, `to "${event.event}" has thrown an error`, error);
      }
    }
  }

  #failed(listener: EventListener, how: string, error: unknown): void {
    this.#listeners.delete(listener); // before others are told: an event is told of it again
    const why = error instanceof Error ? error.stack : error;
    const message = `a subscriber ${how} and was unsubscribed: ${why}`;
    this.emit({ event: "warning", code: "LISTENER_FAILED", message });
  }
}
