/** How long a device takes to acknowledge. One message at a time is timed, from when it is handed to the socket. */
import type { Outgoing } from "./record.ts";

export class RoundTrip {
  #ms: number | undefined;
  #message: Outgoing | undefined; // that is timed
  #sent = 0;

  /** Of the last message that was timed, in ms; undefined: no message was timed yet. */
  get ms(): number | undefined {
    return this.#ms;
  }

  /** A message goes out, for the first time on this connection. */
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

  /** Messages go out again: nobody could say which of the two an ack is for. */
  repeated(): void {
    this.#message = undefined;
  }
}
