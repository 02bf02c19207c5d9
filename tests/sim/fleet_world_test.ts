/** The books of a fleet's world, in rare orders of events. */
import { assertEquals, assertThrows } from "@std/assert";
import { Random } from "../../bridge/testing/random.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { drawFleetScenario } from "./fleet_plan.ts";
import { FleetWorld } from "./fleet_world.ts";

Deno.test("a device is forgotten with its mail; what is posted only then is for the new device with its id", () => {
  const random = new Random(1);
  using world = new FleetWorld(random, drawFleetScenario(random));
  const [id, books] = [...world.books][0]!;
  const manner = { qos: true, waits: true };
  const post = (order: object) =>
    world.posted({ device: id, text: JSON.stringify(order), number: 1 });
  const arrives = (text: string) => {
    books.written(text);
    books.seenByDevice(text, 2);
  };
  for (const text of ["early", "late"]) books.serverWrites(text, manner);
  post({ write: "early", options: {} });
  post({ forget: true });
  world.forgotten(id, "mail");
  books.serverWrites("new", manner);
  arrives("new");
  post({ write: "late", options: {} });
  arrives("late");
  assertThrows(() => arrives("early"), Violation, "it was refused");
});

Deno.test("a message that expires as mail is reported, unless its device's server ends first", () => {
  for (const [isLate, ends] of [[true, true], [true, false], [false, true]] as const) {
    const random = new Random(1);
    using world = new FleetWorld(random, drawFleetScenario(random));
    const [id, books] = [...world.books][0]!;
    const manner = { qos: true, waits: true, expires: isLate ? 1 : 1000 };
    const message = books.serverWrites("text", manner);
    const text = JSON.stringify({ write: "text", options: {} });
    world.posted({ device: id, text, number: 1 });
    world.mailEnds(id, text);
    if (ends) world.leaves(id);
    assertEquals(message.excused, isLate && ends);
  }
});
