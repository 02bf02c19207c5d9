/** How long acks take, in either dialect. */
import { assertEquals } from "@std/assert";
import { Dialect2Rig } from "../../tests/support/dialect2_rig.ts";
import { SessionRig, TIMEOUT } from "../../tests/support/session_rig.ts";

Deno.test("dialect 2: a round trip is from sending a message to its ack, one message at a time, and of this connection", () => {
  const link = Dialect2Rig.up({ window: 2 });
  assertEquals(link.session.roundTrip, undefined);
  link.write("one");
  link.now += 20;
  link.write("two"); // goes out while the first one is timed
  link.write("three"); // has to wait, and that time does not count
  link.now += 3;
  link.hears("00\n");
  assertEquals(link.session.roundTrip, 23);
  link.now += 500;
  link.hears("01\n");
  assertEquals(link.session.roundTrip, 23, "the second one was not timed");
  link.now += 7;
  link.hears("02\n");
  assertEquals(link.session.roundTrip, 507, "the third went out with the first one's ack");
  link.lose();
  assertEquals(link.session.roundTrip, undefined);
  link.resume(3);
  assertEquals(link.session.roundTrip, undefined);
  link.write("again");
  link.now += 4;
  link.hears("03\n");
  assertEquals(link.session.roundTrip, 4);
});

Deno.test("a message that is sent again on a new connection is timed from that send", () => {
  const link = Dialect2Rig.up();
  link.write("one");
  link.now += 50;
  link.lose();
  link.now += 5000;
  link.resume(0);
  link.now += 9;
  link.hears("00\n");
  assertEquals(link.session.roundTrip, 9);
});

Deno.test("dialect 1: a round trip is from sending a message to its ack, and a message that was sent twice is not timed", () => {
  const link = SessionRig.booted();
  assertEquals(link.session.roundTrip, 0);
  link.write("one");
  link.write("two", { wait: false });
  link.now += 12;
  link.hears("02\n"); // the other one is timed
  link.now += 3;
  link.hears("01\n");
  assertEquals(link.session.roundTrip, 15);
  link.write("lost at first");
  link.passAlive(TIMEOUT + TIMEOUT / 2);
  assertEquals(link.said().filter((line) => line === "03lost at first").length, 2);
  link.hears("03\n"); // for the first send, or for the second
  assertEquals(link.session.roundTrip, 15);
  link.write("and now");
  link.now += 8;
  link.hears("04\n");
  assertEquals(link.session.roundTrip, 8);
});

Deno.test("a message sent for the first time is timed, even while others are repeated", () => {
  const link = SessionRig.booted();
  link.write("one");
  link.passAlive(TIMEOUT + TIMEOUT / 2);
  link.write("two", { wait: false });
  link.now += 6;
  link.hears("02\n");
  assertEquals(link.session.roundTrip, 6);
});
