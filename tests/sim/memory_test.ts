/** What the checker learns of a client's commit in which the client is killed. */
import { assertEquals, assertThrows } from "@std/assert";
import type { MemoryChange } from "../../bridge/host/memory.ts";
import { Folder } from "../../bridge/testing/files.ts";
import { SimPlatform } from "../../bridge/testing/platform.ts";
import { Random } from "../../bridge/testing/random.ts";
import { SimMemory } from "./memory.ts";
import { drawScenario } from "./scenario.ts";
import type { Torn } from "./store.ts";
import { World } from "./world.ts";

/** The client's application has a message when the connection ends. */
const CHANGE: MemoryChange = {
  progress: { position: { epoch: 1, next: 1 }, held: "a" },
  clock: { time: 0, date: 0 },
  epoch: 2,
  first: 0,
  next: 0,
  withdrawn: [],
  written: [],
};

/** Kills a client in a commit. @returns what its next process finds, and what the checker learns, in order */
function killed(tears: Torn, folder?: Folder) {
  const random = new Random(1);
  using world = new World(random, drawScenario(random));
  const device = world.devices[0]!;
  const events: string[] = [];
  const died = () => void events.push("died");
  device.program = { isUp: true, connects: 1, isIdle: true, mayMiss: false, died };
  device.disk = new SimMemory(device, folder, 0);
  device.tears = tears;
  const { disk, process } = device;
  const memory = disk.open(new SimPlatform(process, device), ({ progress }) => {
    events.push(`${progress.held} is held`);
  });
  assertThrows(() => memory.commit(CHANGE), Error, "the process is dead");
  const { kept } = disk.open(new SimPlatform(process, device), () => {});
  disk.die();
  return { found: kept?.progress.held, events };
}

Deno.test("what a client has committed is known when it is killed right then, also on a file", () => {
  using folder = new Folder();
  for (const one of [undefined, folder]) {
    assertEquals(killed("after", one), { found: "a", events: ["a is held", "died"] });
  }
});

Deno.test("a commit before which a client is killed is unknown", () => {
  assertEquals(killed("before"), { found: undefined, events: ["died"] });
});
