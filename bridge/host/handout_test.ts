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

Deno.test("another message under the same number, from an old copy of the store, is a new one", () => {
  const handout = new Handout();
  assertEquals(handout.offered(at(7, 1), "a"), false);
  assertEquals(handout.offered(at(7, 1), "b"), false);
  assertEquals(handout.offered(at(7, 1), "b"), true);
});

Deno.test("who asks for the next message is done with the one that it has, if that was not taken yet", () => {
  const handout = new Handout();
  assertEquals(handout.asked(at(0, 0)), undefined);
  assertEquals(handout.asked(at(7, 1)), undefined);
  handout.offered(at(7, 2 ** 32 - 1), "a");
  assertEquals(handout.asked(at(7, 2 ** 32 - 1))?.position, at(7, 2 ** 32 - 1));
  assertEquals(handout.asked(at(7, 0)), undefined, "it was taken");
  assertEquals(handout.asked(at(8, 2 ** 32 - 1)), undefined, "the server has another stream");
});

Deno.test("what an earlier process was done with is not handed out again, but another under its number is", () => {
  const earlier = new Handout();
  earlier.offered(at(7, 1), "a");
  const kept = earlier.asked(at(7, 1));
  assertEquals(new Handout(kept).offered(at(7, 1), "a"), true);
  // An old copy of the server's store has since given the number to another message.
  assertEquals(new Handout(kept).offered(at(7, 1), "b"), false);
  assertEquals(new Handout(kept).offered(at(8, 1), "a"), false, "of another stream");
  assertEquals(new Handout({ position: at(7, 1), processed: 0n }).offered(at(7, 1), "a"), false);
});
