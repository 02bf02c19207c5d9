/**
 * Hostile input: what a peer might send or an application write.
 *
 * @module
 */
import type { Random } from "./random.ts";

const encoder = new TextEncoder();

/** A text that is short, long, odd, or not a text at all. */
export function oddText(random: Random, most: number): string {
  const length = random.once(4) ? random.int(0, most + 2) : random.int(0, 5);
  const alphabet = random.pick(["ab", "é€", "😀", "\0\x7f \r", "0123456789abcdef", "x\n"]);
  return Array.from({ length }, () => random.pick([...alphabet])).join("");
}

/** Bytes that a peer might send, from good lines to noise. */
export function noise(random: Random, most: number): Uint8Array {
  const id = () => random.int(0, 255).toString(16).padStart(2, "0");
  const kinds: (() => Uint8Array)[] = [
    () => random.bytes(random.int(1, most)),
    () => encoder.encode("\n".repeat(random.int(1, 5))),
    () => encoder.encode(`${id()}\n`.repeat(random.int(1, 9))),
    () => encoder.encode(`${id()}${oddText(random, most)}\n`),
    () => encoder.encode(`${id()}${oddText(random, most)}\n`.repeat(random.int(1, 9))),
    () => encoder.encode(`0${random.int(0, 3)}${random.pick(["on", "off"])}\n`),
    () => encoder.encode(`${id()}${oddText(random, most)}`),
    () => encoder.encode(`${id().toUpperCase()}x\n`),
    () => Uint8Array.of(...encoder.encode(id()), ...random.bytes(random.int(1, 9)), 10),
  ];
  return random.pick(random.once(3) ? kinds : kinds.slice(1, 7))();
}
