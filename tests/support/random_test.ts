import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { Random } from "./random.ts";

Deno.test("the same seed gives the same numbers, another seed others", () => {
  const some = (seed: number) => {
    const random = new Random(seed);
    return Array.from({ length: 100 }, () => random.bits());
  };
  assertEquals(some(1), some(1));
  assertNotEquals(some(1), some(2));
  assertNotEquals(some(0), some(2 ** 32 - 1));
});

Deno.test("numbers stay in their range, and reach its ends", () => {
  const random = new Random(7);
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) seen.add(random.int(3, 9));
  assertEquals([...seen].sort(), [3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("bits are set as often as not", () => {
  const random = new Random(7);
  const counts = new Array<number>(32).fill(0);
  for (let i = 0; i < 10_000; i++) {
    const bits = random.bits();
    for (let bit = 0; bit < 32; bit++) counts[bit]! += bits >>> bit & 1;
  }
  for (const count of counts) assert(count > 4700 && count < 5300, `${counts}`);
});

Deno.test("the pieces of cut bytes add up to the bytes", () => {
  const random = new Random(7);
  for (let length = 0; length < 50; length++) {
    const bytes = random.bytes(length);
    const pieces = [...random.cut(bytes, 5)];
    assert(pieces.every((piece) => piece.length > 0 && piece.length <= 5));
    assertEquals(pieces.flatMap((piece) => [...piece]), [...bytes]);
  }
});
