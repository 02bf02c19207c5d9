import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { FlashError } from "../chip/errors.ts";
import { makePlan, parseAddress, type Piece } from "./plan.ts";

const MB = 1024 * 1024;
const SETTINGS = { name: "the settings", offset: 0xfa000, size: 4096 };

function piece(name: string, offset: number, length: number): Piece {
  return { name, offset, data: new Uint8Array(length).fill(1) };
}

Deno.test("pieces are sorted by address, and padded to whole words", () => {
  const plan = makePlan([piece("b", 0x10000, 5), piece("a", 0, 4096)], MB);
  assertEquals(plan.pieces.map(({ name }) => name), ["a", "b"]);
  assertEquals(plan.pieces[1]!.data, Uint8Array.of(1, 1, 1, 1, 1, 0xff, 0xff, 0xff));
  assertEquals(plan.total, 4096 + 8);
});

Deno.test("pieces may touch, up to the last byte of the flash", () => {
  makePlan([piece("a", 0, 4096), piece("b", 4096, MB - 4096)], MB);
});

Deno.test("an impossible plan is refused, with the address", () => {
  const wrong: [Piece[], number, string][] = [
    [
      [piece("a", 0, 4097), piece("b", 4096, 4)],
      4096,
      "b at 0x001000 would overwrite the end of a",
    ],
    [[piece("a", 0, 1), piece("b", 0, 1)], 0, "b at 0x000000 would overwrite"],
    [
      [piece("a", MB - 4096, 4100)],
      MB - 4096,
      "would end at 0x100004, and this flash ends at 0x100000",
    ],
    [[piece("a", MB, 4)], MB, "this flash ends at 0x100000"],
    [[piece("a", 0x100, 4)], 0x100, "must be a multiple of 0x001000"],
    [[piece("a", -4096, 4)], -4096, "must be a multiple"],
    [[piece("a", NaN, 4)], NaN, "must be a multiple"],
    [[piece("a", 4096, 0)], 4096, "a is empty"],
  ];
  for (const [pieces, address, reason] of wrong) {
    const error = assertThrows(() => makePlan(pieces, MB), FlashError, reason);
    assertEquals([error.code, error.address], ["BAD_PLAN", address]);
  }
  assertThrows(() => makePlan([], MB), FlashError, "nothing to write");
});

Deno.test("areas to keep are not overwritten, not even by the erasing of a shared sector", () => {
  for (const [offset, length] of [[0xf9000, 4097], [0xfa000, 4], [0xf0000, 0xb000]] as const) {
    const error = assertThrows(
      () => makePlan([piece("a", offset, length)], MB, [SETTINGS]),
      FlashError,
    );
    assertStringIncludes(error.message, "the settings, which you want to keep");
  }
  makePlan([piece("a", 0xf9000, 4096), piece("b", 0xfb000, 4)], MB, [SETTINGS]);
});

Deno.test("addresses are read as people write them, in decimal or hex; other texts are refused", () => {
  const good = { "0x10000": 0x10000, " 0XfA000 ": 0xfa000, "0": 0, "65536": 65536, "0x0": 0 };
  for (const [text, address] of Object.entries(good)) assertEquals(parseAddress(text), address);
  for (const text of ["", "0x", "10000h", "-1", "1.5", "1e4", "0x10000000", "0xg", "a"]) {
    assertEquals(parseAddress(text), undefined, text);
  }
});
