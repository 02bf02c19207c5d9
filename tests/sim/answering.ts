/** The moment in which a device answers a welcome: it goes by that from now on, and the server does not know it yet. */
import type { End } from "../../bridge/testing/network.ts";

const NEWLINE = 10;

export class Answering {
  /** Called once, before the network has the answer. */
  strike: ((end: End) => void) | undefined;
  #greeting: "asks" | "is welcomed" | "has answered" = "asks";

  /** The device connects. */
  connects(): void {
    this.#greeting = "asks";
  }

  /** It has read something. */
  read(bytes: Uint8Array): void {
    if (this.#greeting === "asks" && bytes.includes(NEWLINE)) this.#greeting = "is welcomed";
  }

  /** It writes something to this end. */
  writes(end: End): void {
    if (this.#greeting !== "is welcomed") return;
    this.#greeting = "has answered";
    const { strike } = this;
    this.strike = undefined;
    strike?.(end);
  }
}
