import { type LocalError, PeerError } from "../protocol/errors.ts";
import type { Events } from "./events.ts";

/** Most pieces of advice that are remembered. */
const MOST = 1000;

/** Reports once for each machine what is set up wrongly, and what to do. */
export class Advice {
  readonly #events: Events;
  #given = new Set<string>(); // oldest first

  constructor(events: Events) {
    this.#events = events;
  }

  /** Reports that a peer was refused. @param claimed The id that it claimed; "": none. */
  refused(address: string, claimed: string, error: PeerError | LocalError): void {
    const { code, message } = error;
    const who = claimed === "" ? { address } : { address, claimed };
    this.#events.emit({ event: "refused", ...who, code, message });
    if (error instanceof PeerError) this.give(address, error.advice);
  }

  /** @param address With its port. @param advice Undefined: nothing is wrong. */
  give(address: string, advice: string | undefined): void {
    if (advice === undefined) return;
    const given = `${address.replace(/:\d+$/, "")} ${advice}`;
    if (this.#given.has(given)) return;
    if (this.#given.size >= MOST) this.#given.delete(this.#given.values().next().value!);
    this.#given.add(given);
    this.#events.emit({ event: "warning", address, code: "WRONG_PROTOCOL", message: advice });
  }
}
