import { assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../tests/support/random.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { decodeSlot, encodeApplication, encodeSlot, Mark, SLOT_BYTES } from "./application.ts";
import { APPLICATION_HEADER, APPLICATION_OFFSET, WASM_MOST } from "./application.ts";
import { LONGEST_MODULE } from "../../server/protocol/module.ts";
import { crc32 } from "./crc32.ts";

const wasm = new Random(1).bytes(1001);

Deno.test("an application is read from a slot as it was written", () => {
  for (const name of ["a", "ü".repeat(16), "a name with spaces"]) {
    const facts = { name, version: 7, sequence: 4_000_000_000, state: 0xfffffff0 };
    const slot = encodeSlot(facts, wasm);
    assertEquals(slot.length, APPLICATION_HEADER + 1004, "whole words");
    assertEquals(decodeSlot(slot), { ...facts, wasm });
  }
});

Deno.test("an application flashed over the cable is kept, and erases the one that came over the link", () => {
  const area = encodeApplication("main", wasm, 3);
  const { state, version } = decodeSlot(area);
  assertEquals([(state & Mark.kept) === 0, version], [true, 3]);
  assertEquals((APPLICATION_OFFSET + area.length) % 4096, 0, "whole sectors");
  assertEquals(area.subarray(SLOT_BYTES).every((byte) => byte === 0xff), true);
  assertEquals(area.length > SLOT_BYTES, true);
});

Deno.test("an application with a header of version 1 counts as kept, with version 0", () => {
  const slot = new Uint8Array(48 + wasm.length);
  slot.set(new TextEncoder().encode("HFAP"));
  const view = new DataView(slot.buffer);
  view.setUint32(4, 48 << 16 | 1, true);
  view.setUint32(8, wasm.length, true);
  view.setUint32(12, crc32(wasm), true);
  slot.set(new TextEncoder().encode("old"), 16);
  slot.set(wasm, 48);
  const { name, version, sequence, state, wasm: read } = decodeSlot(slot);
  assertEquals([name, version, sequence, state & Mark.kept], ["old", 0, 0, 0]);
  assertEquals(read, wasm);
});

Deno.test("one wrong bit is noticed, except in the state, whose bits are cleared one by one", () => {
  const slot = encodeSlot({ name: "main", version: 1, sequence: 2, state: 0xffffffff }, wasm);
  for (let bit = 0; bit < (APPLICATION_HEADER + wasm.length) * 8; bit++) {
    const word = bit >> 5;
    const damaged = slot.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    if (word === 14 || word >= 16 && word < 24) decodeSlot(damaged); // nor in the SHA-256
    else assertThrows(() => decodeSlot(damaged), LocalError);
  }
  for (let length = 0; length < slot.length - 3; length++) {
    assertThrows(() => decodeSlot(slot.subarray(0, length)), LocalError);
  }
});

Deno.test("an application or a name that is too long is refused", () => {
  assertThrows(
    () => encodeApplication("long", new Uint8Array(WASM_MOST + 1)),
    LocalError,
    "long has 20385 bytes, more than the 20384 that fit a slot",
  );
  assertEquals(WASM_MOST, LONGEST_MODULE, "as the server has it");
  assertEquals(decodeSlot(encodeApplication("x", new Uint8Array(WASM_MOST))).wasm.length, 20384);
  for (const name of ["", "ü".repeat(17)]) {
    assertThrows(() => encodeApplication(name, wasm), LocalError, "must have 1 to 32 bytes");
  }
});
