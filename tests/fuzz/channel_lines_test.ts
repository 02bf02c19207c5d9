/**
 * Hostile lines about channels: every line is either a plain line or about a channel, and either can be written again.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Core, type CoreExports } from "../../bridge/host/core.ts";
import { chipSize } from "../../bridge/host/core_size.ts";
import { formatMarked, parseMarked, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { almostMarked, heardByChip } from "../support/channel_noise.ts";
import { compile } from "../support/compile.ts";
import { randomTest } from "../support/random.ts";

const decoder = new TextDecoder();
const encoder = new TextEncoder();

randomTest("any line is plain, or means the same after it is formatted again", 5000, (random) => {
  const marked = parseMarked(almostMarked(random));
  if (marked) assertEquals(parseMarked(formatMarked(marked)), marked);
});

randomTest("any text is a value, which comes back the same", 5000, (random) => {
  const value = valueOf(almostMarked(random).slice(random.int(0, 2)));
  assertEquals(valueOf(textOf(value)), value);
});

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
  "a chip takes the same lines to be about channels, and answers those that want an answer",
  200,
  (random) => {
    const options = { ...chipSize, id: "1", timeout: 2000, dialect: 2 } as const;
    const core = new Core(chip, {}, options, 0);
    const { memory, hear, done, valuePtr, valueLength } = core.exports as Chip;
    for (let n = 0; n < 20; n++) {
      const text = almostMarked(random);
      const bytes = encoder.encode(text);
      if (bytes.length === 0) continue;
      // At the very end of the memory: reading one byte more would trap.
      const at = memory.buffer.byteLength - bytes.length;
      new Uint8Array(memory.buffer).set(bytes, at);
      const wanted = heardByChip(decoder.decode(bytes));
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
