/** What a server says before it closes counts, even if the client of bridge/micropython cannot write any more. */
import { assertEquals } from "@std/assert";
import { micropython } from "./interpreters.ts";

Deno.test("a refusal is read even if a write fails or a deadline passes at that moment, and sets the wait before the next attempt", async () => {
  const scenes = await micropython<() => string>(
    "import last_words",
    "last_words.scenes",
  );
  assertEquals(scenes().split("; "), [
    "REFUSED 8, waits", // a write failed
    "REFUSED 8, waits", // the same, with more bytes than one read returns
    "REFUSED 8, waits", // a deadline had passed
    "10.0.0.3: REFUSED 7, waits", // there is no third address
    "LOST 0, at once",
  ]);
});
