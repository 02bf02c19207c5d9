import { assertEquals } from "@std/assert";
import { Sequence } from "./sequence.ts";

/** The verdict on five sent messages, of which these arrived. */
function verdict(...arrived: (number | string)[]) {
  const sequence = new Sequence((n) => `${n} bottles`);
  for (let n = 1; n <= 5; n++) sequence.next();
  for (const n of arrived) sequence.receive(typeof n === "string" ? n : `${n} bottles`);
  const { sent, received, duplicates, lost, outOfOrder } = sequence;
  assertEquals([sent, received], [5, arrived.length]);
  return { duplicates, lost, outOfOrder };
}

Deno.test("once and in order", () => {
  assertEquals(verdict(1, 2, 3, 4, 5), { duplicates: 0, lost: 0, outOfOrder: 0 });
});

Deno.test("lost: the first, one in the middle, the last, all", () => {
  assertEquals(verdict(2, 3, 4, 5), { duplicates: 0, lost: 1, outOfOrder: 0 });
  assertEquals(verdict(1, 2, 4, 5), { duplicates: 0, lost: 1, outOfOrder: 0 });
  assertEquals(verdict(1, 2, 3), { duplicates: 0, lost: 2, outOfOrder: 0 });
  assertEquals(verdict(), { duplicates: 0, lost: 5, outOfOrder: 0 });
});

Deno.test("doubled: at once, and much later", () => {
  assertEquals(verdict(1, 1, 2, 3, 4, 5, 2), { duplicates: 2, lost: 0, outOfOrder: 0 });
});

Deno.test("out of order: each message that comes after a later one", () => {
  assertEquals(verdict(1, 3, 2, 5, 4), { duplicates: 0, lost: 0, outOfOrder: 2 });
  assertEquals(verdict(5, 4, 3, 2, 1), { duplicates: 0, lost: 0, outOfOrder: 4 });
});

Deno.test("a late one that comes twice is late once, and doubled", () => {
  assertEquals(verdict(1, 3, 2, 2, 4, 5), { duplicates: 1, lost: 0, outOfOrder: 1 });
});

Deno.test("messages that nobody sent: a wrong number, a wrong text, no number at all", () => {
  assertEquals(verdict(1, 2, 3, 4, 5, 6), { duplicates: 1, lost: 0, outOfOrder: 0 });
  assertEquals(verdict(1, "2 bottle", 3, 4, 5), { duplicates: 1, lost: 1, outOfOrder: 0 });
  assertEquals(verdict(1, 2, 3, 4, 5, "", "0 bottles", "-1 bottles"), {
    duplicates: 3,
    lost: 0,
    outOfOrder: 0,
  });
});
