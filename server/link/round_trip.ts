/**
 * Measures how long a device takes to acknowledge. One message at a time is timed, from when it is handed to the
 * socket.
 */
import type { Outgoing } from "./record.ts";

export class RoundTrip {
  #ms: number | undefined;
  #message: Outgoing | undefined; // the message being timed
  #sent = 0;

  /** The last measured time in ms; undefined: none yet. */
  get ms(): number | undefined {
    return this.#ms;
  }

  /** A message is sent for the first time on this connection. */
  sent(message: Outgoing, now: number): void {
    if (this.#message) return;
    this.#message = message;
    this.#sent = now;
  }

  /** The device has a message. */
  acknowledged(message: Outgoing, now: number): void {
    if (message !== this.#message) return;
    this.#ms = now - this.#sent;
    this.#message = undefined;
  }

  /** Messages are sent again, so an ack cannot be matched to one of the two. */
  repeated(): void {
    this.#message = undefined;
  }
}
