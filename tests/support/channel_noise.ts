/**
 * Hostile lines about channels, and how a chip must treat them.
 *
 * @module
 */
import { parseMarked } from "../../server/protocol/channel_lines.ts";
import { noise, oddText } from "./noise.ts";
import type { Random } from "./random.ts";

const decoder = new TextDecoder();

/** Lines that almost fit the grammar, and others. */
export function almostMarked(random: Random): string {
  if (random.once(6)) return decoder.decode(noise(random, 60));
  const parts = ["=", "!", "?", ":", "~", "@", " ", ".", "/", "led", "a-b_c", "X", "é"];
  const more = ["1", "0000000000", "4294967295", "4294967296", "99999999999", "busy", "unknown"];
  const odd = [
    oddText(random, 40),
    "n".repeat(random.int(30, 34)),
    '{"a":[1,',
    " {",
    "]}",
    '"',
    "\ud83d",
  ];
  const first = random.once(2) ? random.pick([..."=!?:~@"]) : "";
  return first + Array.from(
    { length: random.int(0, 6) },
    () => random.pick(random.pick([parts, more, odd])),
  ).join("");
}

/** How a chip reads a line: it does not check the code of a fault, and knows neither stamps nor boots. */
export function heardByChip(line: string): { value: string; answers: boolean } | undefined {
  const isFault = line.startsWith("~");
  const marked = parseMarked(isFault ? `:${line.slice(1)}` : line);
  if (!marked || marked.mark === "boot" || "stamp" in marked) return undefined;
  const answers = marked.mark === "set" || marked.mark === "ask";
  return { value: "value" in marked ? marked.value : "", answers };
}
