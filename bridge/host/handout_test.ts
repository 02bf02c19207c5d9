import { assert, assertEquals } from "@std/assert";
import { Handout } from "./handout.ts";

const at = (epoch: number, next: number) => ({ epoch, next });

Deno.test("a message is handed out once, however often it is offered", () => {
  const handout = new Handout();
  assertEquals(handout.offered(at(7, 1), "a"), false);
  assertEquals(handout.offered(at(7, 1), "a"), true);
  assertEquals(handout.offered(at(7, 2), "a"), false);
  assertEquals(handout.offered(at(8, 2), "a"), false, "of another stream");
});

Deno.test("another message under the same number, from an old copy of the store, is a new one", () => {
  const handout = new Handout();
  assertEquals(handout.offered(at(7, 1), "a"), false);
  assertEquals(handout.offered(at(7, 1), "b"), false);
  assertEquals(handout.offered(at(7, 1), "b"), true);
});

Deno.test("messages that the application has when the connection ends are held, by the next process, too", () => {
  const handout = new Handout();
  assertEquals(handout.holds(at(7, 1)), false, "there is nothing");
  handout.offered(at(7, 1), "a");
  assertEquals(handout.progress(at(7, 1)), { position: at(7, 1), processed: 0n });
  assertEquals([handout.holds(at(7, 1)), handout.holds(at(7, 2))], [true, false]);
  const kept = handout.progress(at(7, 2));
  assertEquals(kept, { position: at(7, 2), processed: 0n, held: "a" });
  for (const one of [handout, new Handout(kept)]) {
    if (one !== handout) assertEquals(one.asked(), "a");
    assertEquals(one.progress(at(7, 2)), kept, "it is busy with it");
    assertEquals(one.asked(), undefined);
    assertEquals(one.progress(at(7, 2)), { position: at(7, 2), processed: 0n });
    assertEquals(one.offered(at(7, 2), "a"), false, "another one");
  }
});

Deno.test("messages held already, or done with, are not held when the connection ends again", () => {
  const handout = new Handout();
  handout.offered(at(7, 1), "a");
  assertEquals([handout.holds(at(7, 1)), handout.holds(at(7, 1))], [true, false]);
  handout.offered(at(7, 2), "b");
  handout.asked();
  assertEquals(handout.holds(at(7, 2)), false);
  const nothing = new Handout({ position: at(7, 3), processed: 0n });
  assertEquals([nothing.isAt(at(7, 3)), nothing.holds(at(7, 3))], [false, false]);
});

Deno.test("asking for the next message ends the current one if it was not accepted yet", () => {
  const handout = new Handout();
  const processed = (epoch: number, next: number) => handout.progress(at(epoch, next)).processed;
  handout.asked();
  assertEquals(processed(0, 0), 0n);
  assertEquals(processed(7, 1), 0n);
  const last = 2 ** 32 - 1;
  handout.offered(at(7, last), "a");
  assertEquals(processed(7, last), 0n, "it is busy with it");
  handout.asked();
  assert(processed(7, last) > 0n);
  assertEquals(handout.progress(at(7, last)).position, at(7, last));
  assertEquals(processed(7, 0), 0n, "it was taken");
  assertEquals(processed(8, last), 0n, "the server has another stream");
});

Deno.test("a message done in an earlier process is not handed out again, but another with its number is", () => {
  const earlier = new Handout();
  earlier.offered(at(7, 1), "a");
  earlier.asked();
  const kept = earlier.progress(at(7, 1));
  assertEquals(new Handout(kept).offered(at(7, 1), "a"), true);
  // An old copy of the server's store has since given the number to another message.
  assertEquals(new Handout(kept).offered(at(7, 1), "b"), false);
  assertEquals(new Handout(kept).offered(at(8, 1), "a"), false, "of another stream");
  assertEquals(new Handout(kept).progress(at(7, 1)), kept, "the next process knows it, too");
  assertEquals(new Handout({ position: at(7, 1), processed: 0n }).offered(at(7, 1), "a"), false);
});
