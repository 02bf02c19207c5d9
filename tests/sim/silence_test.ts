/** How the checker judges whether an end notices that the other one takes nothing. */
import { assertEquals, assertThrows } from "@std/assert";
import { Clock } from "../../bridge/testing/clock.ts";
import type { SimSocket } from "../../bridge/testing/socket.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { watchSocket } from "./silence.ts";
import type { World } from "./world.ts";

const STALL = 1100;
const PROGRESS = 250;

/** A socket that holds bytes since 100 ms, in a world where nothing else happens. */
function watched() {
  const clock = new Clock();
  const end = { heardAt: 0, takenAt: 100 };
  const socket = {
    process: { life: 1, frozenUntil: 0 },
    end,
    address: "10.0.0.1:1",
    isOpen: true,
    isServing: true,
    held: 5,
    heldSince: 100,
    pausedAt: 0,
    leftAt: -Infinity,
  };
  const patience = {
    silence: Infinity,
    stall: STALL,
    progress: PROGRESS,
    keepalive: Infinity,
    busyUntil: () => 0,
  };
  watchSocket({ clock } as World, socket as unknown as SimSocket, patience, "the server");
  const pass = (until: number) => {
    while (clock.step(until));
  };
  return { end, socket, pass };
}

Deno.test("an end may learn late that some of what it wrote was taken, and so notice later that nothing more is", () => {
  const { end, socket, pass } = watched();
  end.takenAt = 140;
  pass(140 + STALL + PROGRESS);
  socket.isOpen = false;
  pass(10 * STALL);
});

Deno.test("an end that has not noticed by then is reported, with when something was taken last", () => {
  const { end, pass } = watched();
  end.takenAt = 140;
  const { message } = assertThrows(() => pass(140 + STALL + PROGRESS + 1), Violation);
  assertEquals(message, "the server does not notice that 10.0.0.1:1 takes nothing since 140");
});

Deno.test("an end whose bytes were not taken at all has no such excuse", () => {
  const { pass } = watched();
  pass(100 + STALL);
  const { message } = assertThrows(() => pass(100 + STALL + 1), Violation);
  assertEquals(message, "the server does not notice that 10.0.0.1:1 takes nothing since 100");
});
