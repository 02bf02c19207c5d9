import { assertEquals } from "@std/assert";
import { Absentees, MOST_ABSENT } from "./absentees.ts";

Deno.test("a device that was absent is announced again once, others are not", () => {
  const absentees = new Absentees();
  absentees.add("kitchen");
  assertEquals(["kitchen", "kitchen", "hall"].map((id) => absentees.comes(id)), [
    true,
    false,
    false,
  ]);
});

Deno.test("a hundred thousand ids that a stranger has forgotten take no room, and no device is left out", () => {
  const absentees = new Absentees();
  absentees.add("kitchen");
  let most = 0;
  for (let i = 0; i < 100_000; i++) {
    absentees.add(`stranger ${i}`);
    most = Math.max(most, absentees.size);
  }
  assertEquals(most, MOST_ABSENT);
  assertEquals(["kitchen", "kitchen"].map((id) => absentees.comes(id)), [true, false]);
  absentees.add("kitchen");
  assertEquals(
    ["kitchen", "kitchen"].map((id) => absentees.comes(id)),
    [true, false],
    "lost again",
  );
  for (let i = 0; i < 100_000; i++) {
    absentees.comes(`stranger ${i}`);
    absentees.forgets(`stranger ${i}`);
  }
  assertEquals(absentees.size, 1, "those that have come, and are still known");
});
