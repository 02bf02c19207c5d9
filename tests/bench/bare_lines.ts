/**
 * The answers of the bare servers: a keepalive to the first line of a connection, and an ack to every message.
 *
 * @module
 */
import { parseArgs } from "node:util";

export const KEEPALIVE = new TextEncoder().encode("\n");

const NOTHING = new Uint8Array(0);
const LF = 10;

/** `--port N`, 0 unless given: any free one; `--keepalive MS`: the interval of keepalives; default 0: none. */
export function bareOptions(): { port: number; keepalive: number } {
  const { values } = parseArgs({
    args: Deno.args,
    options: {
      port: { type: "string", default: "0" },
      keepalive: { type: "string", default: "0" },
    },
  });
  return { port: Number(values.port), keepalive: Number(values.keepalive) };
}

/** Acks for one piece of input, made here and copied: connections have no buffers. */
const output = new Uint8Array(1 << 17);

/** The lines of one connection. */
export class Lines {
  #greeted = false;
  #column = 0; // in the current line
  #first = 0; // its first two bytes
  #second = 0;

  /** @returns what to send, in a buffer for the caller */
  answer(input: Uint8Array): Uint8Array {
    let length = 0;
    for (let i = 0; i < input.length; i++) {
      const byte = input[i]!;
      if (byte !== LF) {
        if (this.#column === 0) this.#first = byte;
        else if (this.#column === 1) this.#second = byte;
        this.#column++;
        continue;
      }
      if (!this.#greeted) {
        this.#greeted = true;
        output[length++] = LF;
      } else if (this.#column > 0) {
        output[length++] = this.#first;
        output[length++] = this.#second;
        output[length++] = LF;
      }
      this.#column = 0;
    }
    return length > 0 ? output.slice(0, length) : NOTHING;
  }
}
