import { assertEquals } from "@std/assert";
import { Handout } from "./handout.ts";

const at = (epoch: number, next: number) => ({ epoch, next });

Deno.test("a message is handed out once, however often it is offered", () => {
  const handout = new Handout();
  assertEquals(handout.offered(at(7, 1), "a"), false);
  assertEquals(handout.offered(at(7, 1), "a"), true);
  assertEquals(handout.offered(at(7, 2), "a"), false);
  assertEquals(handout.offered(at(8, 2), "a"), false, "of another stream");
});

Deno.test("a message that the application has when the connection ends is held, by the next process, too", () => {
  const handout = new Handout();
  assertEquals(handout.endsAt(at(7, 1)), false, "there is nothing");
  handout.offered(at(7, 1), "a");
  assertEquals(handout.progress(at(7, 1)), { position: at(7, 1) });
  assertEquals([handout.endsAt(at(7, 1)), handout.endsAt(at(7, 2))], [true, false]);
  const kept = handout.progress(at(7, 2));
  assertEquals(kept, { position: at(7, 2), held: "a" });
  for (const one of [handout, new Handout(kept)]) {
    if (one !== handout) assertEquals(one.asked(), "a");
    assertEquals(one.progress(at(7, 2)), kept, "it is busy with it");
    assertEquals(one.asked(), undefined);
    assertEquals(one.progress(at(7, 2)), { position: at(7, 2) });
    assertEquals(one.offered(at(7, 2), "a"), false, "another one");
  }
});

Deno.test("when a number comes again for another message, from an old copy of the server's store, that one is new", () => {
  const taken = new Handout();
  taken.offered(at(7, 1), "a");
  taken.asked();
  assertEquals(taken.offered(at(7, 1), "a"), true);
  const ended = new Handout();
  ended.offered(at(7, 1), "a");
  ended.asked();
  assertEquals(ended.endsAt(at(7, 1)), true);
  for (const handout of [taken, ended]) {
    assertEquals(handout.progress(at(7, 1)), { position: at(7, 1) });
    assertEquals(handout.endsAt(at(7, 1)), false);
    assertEquals(handout.offered(at(7, 1), "b"), false);
  }
});

Deno.test("a message that the application is done with when the connection ends counts as taken, and is not held", () => {
  const handout = new Handout();
  handout.offered(at(7, 1), "a");
  handout.asked();
  assertEquals(handout.endsAt(at(7, 1)), true);
  assertEquals(handout.progress(at(7, 2)), { position: at(7, 2) });
  assertEquals(handout.endsAt(at(7, 2)), false);
  const nothing = new Handout({ position: at(7, 3) });
  assertEquals([nothing.isAt(at(7, 3)), nothing.endsAt(at(7, 3))], [false, false]);
});

Deno.test("asking for the next message ends the current one if it was not accepted yet", () => {
  const handout = new Handout();
  const kept = (epoch: number, next: number) => handout.progress(at(epoch, next)).position;
  handout.asked();
  assertEquals(kept(0, 0), at(0, 0));
  assertEquals(kept(7, 1), at(7, 1));
  const last = 2 ** 32 - 1;
  handout.offered(at(7, last), "a");
  assertEquals(kept(7, last), at(7, last), "it is busy with it");
  handout.asked();
  assertEquals(kept(7, last), at(7, 0));
  assertEquals(kept(7, 0), at(7, 0), "it was taken");
  assertEquals(kept(8, last), at(8, last), "the server has another stream");
});
