import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { syntheticElf } from "../../tests/support/synthetic_elf.ts";
import { readElf } from "./elf.ts";
import { imagesOf } from "./placement.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

Deno.test("a program is divided into segments for RAM and code that stays in flash", () => {
  const elf = readElf(syntheticElf({
    entry: 0x40100000,
    sections: [
      { name: ".irom0.text", address: 0x40210000, bytes: bytes(1, 2, 3, 4, 5) },
      { name: ".text", address: 0x40100000, bytes: bytes(6, 7, 8, 9) },
      { name: ".irom0.rodata", address: 0x40210008, bytes: bytes(10) },
      { name: ".data", address: 0x3ffe8000, bytes: bytes(11, 12, 13) },
      { name: ".bss", address: 0x3ffe8010, zeros: 100 },
      { name: ".comment", address: 0, bytes: bytes(1), notLoaded: true },
    ],
  }));
  assertEquals(imagesOf(elf), {
    boot: {
      entry: 0x40100000,
      segments: [
        { address: 0x3ffe8000, data: bytes(11, 12, 13, 0) },
        { address: 0x40100000, data: bytes(6, 7, 8, 9) },
      ],
    },
    code: bytes(1, 2, 3, 4, 5, 0xff, 0xff, 0xff, 10, 0xff, 0xff, 0xff),
    codeOffset: 0x10000,
  });
});

Deno.test("a program for memory that the chip does not have is refused", () => {
  const at = (address: number) =>
    readElf(syntheticElf({
      entry: 0,
      sections: [{ name: ".text", address, bytes: bytes(1, 2, 3, 4) }],
    }));
  assertThrows(() => imagesOf(at(0x20000000)), LocalError, ".text is at 0x20000000");
  assertThrows(() => imagesOf(at(0x402ffffe)), LocalError, ".text is at 0x402ffffe");
  assertThrows(() => imagesOf(at(0x40100002)), LocalError, ".text is not aligned to 4");
});
