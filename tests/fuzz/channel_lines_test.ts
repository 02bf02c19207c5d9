/**
 * Hostile lines about channels: whatever a peer says is a plain line or means something, and both can be said again.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { chipSize, Core, type CoreExports } from "../../bridge/host/core.ts";
import { formatMarked, parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { compile } from "../support/compile.ts";
import { noise, oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

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

/** What a chip makes of a line: it looks at no code of a fault, and knows neither stamps nor boots. */
function onChip(line: string): { value: string; answers: boolean } | undefined {
  const isFault = line.startsWith("~");
  const marked = parseMarked(isFault ? `:${line.slice(1)}` : line);
  if (!marked || marked.mark === "boot" || "stamp" in marked) return undefined;
  const answers = marked.mark === "set" || marked.mark === "ask";
  return { value: "value" in marked ? marked.value : "", answers };
}

interface Chip extends CoreExports {
  hear(ptr: number, length: number): number;
  done(): number;
  valuePtr(): number;
  valueLength(): number;
}

const chip = new WebAssembly.Module(
  await compile(`export * from "../assembly/core";
    export { done, hear, valuePtr, valueLength } from "../assembly/app";`),
);

randomTest(
  "a chip takes the same lines for marked, and answers what is to be answered",
  200,
  (random) => {
    const options = { ...chipSize, id: "1", timeout: 2000, dialect: 2 } as const;
    const core = new Core(chip, {}, options, 0);
    const { memory, hear, done, valuePtr, valueLength } = core.exports as Chip;
    for (let n = 0; n < 20; n++) {
      const text = line(random);
      const bytes = encoder.encode(text);
      if (bytes.length === 0) continue;
      // At the very end of the memory: a byte further would be a trap.
      const at = memory.buffer.byteLength - bytes.length;
      new Uint8Array(memory.buffer).set(bytes, at);
      const wanted = onChip(decoder.decode(bytes));
      assertEquals(hear(at, bytes.length) !== 0, wanted !== undefined, text);
      const value = new Uint8Array(memory.buffer, valuePtr(), valueLength());
      if (wanted) assertEquals(decoder.decode(value), wanted.value);
      const { queued } = core;
      if (queued === options.window) break;
      assertEquals(done(), 1);
      assertEquals(core.queued - queued, wanted?.answers ? 1 : 0, text);
    }
  },
);
