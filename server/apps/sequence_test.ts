import { assertEquals } from "@std/assert";
import { Sequence } from "./sequence.ts";

/** Checks the ids, and returns [missing, duplicates, out of order, restarts]. */
function counts(...ids: number[]): number[] {
  const sequence = new Sequence();
  for (const id of ids) sequence.check(id);
  const { missing, duplicates, outOfOrder, restarts } = sequence;
  return [missing, duplicates, outOfOrder, restarts];
}

function upTo(last: number): number[] {
  return Array.from({ length: last + 1 }, (_, id) => id);
}

Deno.test("a sequence without faults leaves all counts at 0", () => {
  assertEquals(counts(), [0, 0, 0, 0]);
  assertEquals(counts(...upTo(1000)), [0, 0, 0, 0]);
});

Deno.test("skipped messages are missing", () => {
  assertEquals(counts(0, 1, 4), [2, 0, 0, 0]);
  assertEquals(counts(...upTo(10), 1000), [989, 0, 0, 0]);
});

Deno.test("late messages are out of order, and no longer missing", () => {
  assertEquals(counts(0, 3, 1, 4), [1, 0, 1, 0]);
  assertEquals(counts(0, 3, 2, 1), [0, 0, 2, 0]);
  assertEquals(counts(0, 1, 33, 2), [30, 0, 1, 0]);
  assertEquals(counts(0, 1, 34, 3), [31, 0, 1, 0]);
});

Deno.test("repeated messages are duplicates, also if they were late the first time", () => {
  assertEquals(counts(0, 0, 1, 1), [0, 2, 0, 0]);
  assertEquals(counts(0, 2, 1, 1), [0, 1, 1, 0]);
  assertEquals(counts(...upTo(40), 9), [0, 1, 0, 0]);
});

Deno.test("the first message counts as missing when a later one came first", () => {
  assertEquals(counts(1, 2), [1, 0, 0, 0]);
  assertEquals(counts(1, 0, 2), [0, 0, 1, 0]);
});

Deno.test("a sequence that began long before is joined where it is", () => {
  assertEquals(counts(8, 9), [0, 0, 0, 0]);
  assertEquals(counts(1000, 1001, 999), [0, 1, 0, 0]);
});

Deno.test("a restarted sender is recognised, and counting continues", () => {
  assertEquals(counts(...upTo(8), 0, 1, 3), [1, 0, 0, 1]);
  assertEquals(counts(...upTo(40), 8, 9), [0, 0, 0, 1]);
  assertEquals(counts(0, 2, ...upTo(40), ...upTo(3)), [0, 2, 1, 1]);
});

Deno.test("invalid ids are ignored", () => {
  assertEquals(counts(0, -1, 1.5, NaN, Infinity, 1), [0, 0, 0, 0]);
});
