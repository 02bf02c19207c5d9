/** What a server says before it closes counts, also where the client of bridge/micropython cannot write any more. */
import { assertEquals } from "@std/assert";
import { micropython } from "./interpreters.ts";

Deno.test("a refusal is heard, whatever fails or is late in the same moment, and decides about the next attempt", async () => {
  const scenes = await micropython<() => string>(
    "import last_words",
    "last_words.scenes",
  );
  assertEquals(scenes().split("; "), [
    "REFUSED 8, waits", // a write failed
    "REFUSED 8, waits", // so did it, and there was more than one read brings
    "REFUSED 8, waits", // a deadline was up
    "10.0.0.3: REFUSED 7, waits", // there is no third address
    "LOST 0, at once",
  ]);
});
