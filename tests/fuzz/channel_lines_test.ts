/**
 * Hostile lines about channels: whatever a peer says is a plain line or means something, and both can be said again.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { formatMarked, parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { noise, oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const decoder = new TextDecoder();

/** Lines that are almost of the grammar, and others. */
function line(random: Random): string {
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

randomTest("any line is plain, or means what it means when it is said again", 5000, (random) => {
  const marked = parseMarked(line(random));
  if (marked) assertEquals(parseMarked(formatMarked(marked)), marked);
});

randomTest("any text is a value, which comes back the same", 5000, (random) => {
  const value = valueOf(line(random).slice(random.int(0, 2)));
  assertEquals(valueOf(textOf(value)), value);
});
