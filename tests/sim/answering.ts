/** The moment when a device answers a welcome: from now on it uses what the welcome said, and the server does not know
 * that yet. */
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
