/** The books of messages with a deadline: when the server may report that nobody can tell the outcome. */
import { assertEquals, assertThrows } from "@std/assert";
import { Violation } from "../../bridge/testing/violation.ts";
import { helloLine } from "../support/greeting.ts";
import { Books } from "./books.ts";
import { drawScenario } from "./scenario.ts";
import { Random } from "../../bridge/testing/random.ts";
import { wireOf } from "./wire.ts";

const encoder = new TextEncoder();

/** A device of dialect 2, and the server's messages to it. */
function addressed() {
  let now = 0;
  const books = new Books("A", false, 3, () => now);
  const { expiring } = books;
  /** It greets, and is admitted. */
  const connects = (isTold: boolean) => {
    const connection = {};
    expiring.heardHello(isTold);
    books.linkUp(connection, true);
    books.admitted(connection);
  };
  let count = 0;
  /** A message whose time is up. @returns what reports that nobody can tell the outcome */
  const late = () => {
    const manner = { qos: true, waits: true, expires: now + 10 };
    const message = books.serverWrites(`${++count}`, manner);
    now += 20;
    return () => expiring.expired(message, false);
  };
  return { expiring, connects, late };
}

Deno.test("a hello without the server's stream that is read late leaves outcomes open until the next link", () => {
  const { expiring, connects, late } = addressed();
  connects(false);
  assertThrows(late(), Violation, "the device can say what it has");
  expiring.heardHello(true);
  assertThrows(late(), Violation, "the device can say what it has");
  const before = late();
  expiring.heardHello(false); // of an older connection
  const after = late();
  connects(true);
  before();
  after();
  assertThrows(late(), Violation, "the device can say what it has");
});

Deno.test("the books are told once of a hello, when the server has read all of it", () => {
  const plan = { ...drawScenario(new Random(1)).devices[0]!, key: undefined };
  const heard: number[] = [];
  const wire = wireOf(plan, { now: 0 }, (rxEpoch) => heard.push(rxEpoch));
  const hello = encoder.encode(`${helloLine({ rxEpoch: 0xd0000001, txEpoch: 7 })}\n`);
  wire.read(hello.slice(0, -1));
  assertEquals(heard, []);
  wire.read(hello.slice(-1));
  wire.read(encoder.encode("\n00a\n"));
  assertEquals(heard, [0xd0000001]);
});
