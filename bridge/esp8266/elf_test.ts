import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { randomTest } from "../../tests/support/random.ts";
import { readElf } from "./elf.ts";
import { syntheticElf } from "../../tests/support/synthetic_elf.ts";

const small = () =>
  syntheticElf({
    entry: 0x40100010,
    sections: [
      { name: ".text", address: 0x40100000, bytes: Uint8Array.of(1, 2, 3, 4) },
      { name: ".bss", address: 0x3ffe8000, zeros: 24 },
      { name: ".note", address: 0, bytes: Uint8Array.of(9), notLoaded: true },
    ],
    symbols: [
      { name: "start", value: 0x40100000, size: 4, type: 0x12 },
      { name: "table", value: 0x3ffe8000, size: 24, type: 0x11 },
      { name: "elsewhere", value: 0, section: 0 },
    ],
  });

Deno.test("a linked program is read: sections that occupy memory, by their addresses, and symbols", () => {
  assertEquals(readElf(small()), {
    entry: 0x40100010,
    sections: [
      { name: ".bss", address: 0x3ffe8000, size: 24, bytes: undefined, executable: false },
      {
        name: ".text",
        address: 0x40100000,
        size: 4,
        bytes: Uint8Array.of(1, 2, 3, 4),
        executable: false,
      },
    ],
    symbols: [
      { name: "start", value: 0x40100000, size: 4, kind: "function", undefined: false },
      { name: "table", value: 0x3ffe8000, size: 24, kind: "object", undefined: false },
      { name: "elsewhere", value: 0, size: 0, kind: "other", undefined: true },
    ],
  });
});

Deno.test("a file that is not a linked program for this processor is refused", () => {
  const cases: [(elf: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, string][] = [
    [() => new Uint8Array(0), "it is cut off"],
    [(elf) => elf.with(0, 0), "it does not start with the ELF magic number"],
    [(elf) => elf.with(4, 2), "it is not 32-bit little-endian"],
    [(elf) => elf.with(18, 62), "it is not for an Xtensa processor"],
    [(elf) => elf.with(16, 1), "it is not linked"],
    [(elf) => elf.with(46, 64), "its section headers have 64 bytes"],
    [(elf) => elf.with(50, 200), "it has no section names"],
    [(elf) => elf.subarray(0, -1), "it is cut off"],
  ];
  for (const [spoil, message] of cases) {
    assertThrows(() => readElf(spoil(small())), LocalError, message);
  }
});

randomTest("random bytes are read or refused, and nothing else is thrown", 500, (random) => {
  const elf = small();
  for (let n = random.int(1, 8); n > 0; n--) {
    elf[random.int(0, elf.length - 1)] = random.int(0, 255);
  }
  try {
    readElf(elf.slice(0, random.once(2) ? elf.length : random.int(0, elf.length)));
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
  }
});
