import { assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { randomTest } from "../../tests/support/random.ts";
import { decodeImage, encodeImage } from "./image.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const boot = {
  entry: 0x40100004,
  segments: [
    { address: 0x3ffe8000, data: bytes(1, 2, 3, 4) },
    { address: 0x40100000, data: bytes(5, 6, 7, 8, 9, 10, 11, 12) },
  ],
};

Deno.test("an image has the documented bytes", () => {
  assertEquals(
    encodeImage(boot, "4MB"),
    bytes(
      ...[0xe9, 2, 3, 0x40, 0x04, 0x00, 0x10, 0x40],
      ...[0x00, 0x80, 0xfe, 0x3f, 4, 0, 0, 0, 1, 2, 3, 4],
      ...[0x00, 0x00, 0x10, 0x40, 8, 0, 0, 0, 5, 6, 7, 8, 9, 10, 11, 12],
      ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      0xef ^ 1 ^ 2 ^ 3 ^ 4 ^ 5 ^ 6 ^ 7 ^ 8 ^ 9 ^ 10 ^ 11 ^ 12,
    ),
  );
});

Deno.test("an image is read as it was written, whatever follows it", () => {
  const image = encodeImage(boot, "1MB", "dout");
  const expected = { ...boot, mode: "dout" as const, sizeCode: 2, clockCode: 0, length: 48 };
  assertEquals(decodeImage(image), expected);
  assertEquals(decodeImage(bytes(...image, ...new Uint8Array(99).fill(0xff))), expected);
});

Deno.test("an image whose data fills a block gets another block for the checksum", () => {
  // 8 + 8 + 16 = 32 bytes: the checksum is the last of 16 more.
  const segments = [{ address: 0x40100000, data: new Uint8Array(16) }];
  const image = encodeImage({ entry: 0x40100000, segments }, "1MB");
  assertEquals(image.length, 48);
  assertEquals(image[47], 0xef);
});

Deno.test("a faulty image is refused with the reason", () => {
  const cases: [(image: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, string][] = [
    [() => bytes(), "it starts with nothing, not 0xe9"],
    [() => new TextEncoder().encode("<html>"), "it starts with 0x3c"],
    [() => bytes(0xea, 4, 0, 0), "it starts with 0xea"],
    [() => new Uint8Array(4096).fill(0xff), "it starts with 0xff"],
    [(image) => image.subarray(0, 7), "it is cut off: 7 bytes of 8 or more"],
    [(image) => image.subarray(0, 15), "it is cut off: 15 bytes of 16 or more"],
    [(image) => image.subarray(0, 30), "it is cut off: 30 bytes of 36 or more"],
    [(image) => image.subarray(0, -1), "it is cut off: 47 bytes of 48 or more"],
    [(image) => image.with(1, 0), "it has 0 segments"],
    [(image) => image.with(1, 17), "it has 17 segments"],
    [(image) => image.with(2, 4), "its flash mode must be 0 to 3, not 4"],
    [(image) => image.with(12, 3), "segment 0 has 3 bytes, not a multiple of 4"],
    [(image) => image.with(11, 0x40), "segment 0 is 4 bytes at 0x40fe8000, where there is no RAM"],
    [(image) => image.with(15, 0xff), "segment 0 is 4278190084 bytes at 0x3ffe8000"],
    [(image) => image.with(16, 0), "its checksum is wrong"],
    [(image) => image.with(47, 0), "its checksum is wrong"],
    [(image) => image.with(4, 8), "its entry 0x40100008 is not in a segment"],
    [(image) => image.with(7, 0x3f), "its entry 0x3f100004 is not in a segment"],
  ];
  for (const [spoil, message] of cases) {
    assertThrows(() => decodeImage(spoil(encodeImage(boot, "1MB"))), LocalError, message);
  }
});

Deno.test("an image that the ROM could not load is not written", () => {
  const [data, code] = [boot.segments[0]!, boot.segments[1]!];
  const encode = (segments: typeof boot.segments) => encodeImage({ ...boot, segments }, "1MB");
  assertThrows(() => encode([]), LocalError, "it has 0 segments");
  const overlapping = { address: 0x3ffe8000, data: new Uint8Array(8) };
  assertThrows(() => encode([data, code, overlapping]), LocalError, "two segments overlap");
  assertThrows(() => encode([code, { ...data, address: 0x3ffffffe }]), LocalError, "no RAM");
});

randomTest("random bytes are read or refused, and nothing else is thrown", 500, (random) => {
  const image = encodeImage(boot, "1MB");
  for (let n = random.int(1, 4); n > 0; n--) {
    image[random.int(0, image.length - 1)] = random.int(0, 255);
  }
  try {
    decodeImage(image.slice(0, random.int(0, image.length)));
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
  }
});
