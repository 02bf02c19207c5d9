/** The client of bridge/micropython looks up its servers' names again, because their addresses may have changed. */
import { assert } from "@std/assert";
import { micropython } from "./interpreters.ts";

Deno.test("if nobody answers, all names are looked up again, however many there are", async () => {
  const scene = await micropython<(count: number) => number>("import lookups", "lookups.scene");
  for (const count of [1, 2, 3, 4, 8]) {
    const times = scene(count);
    assert(times >= 4, `one of ${count} names was looked up ${times} times in 40 attempts`);
  }
});
