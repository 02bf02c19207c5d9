/** The books of sleep, in rare orders of events. */
import { assertThrows } from "@std/assert";
import { Random } from "../../bridge/testing/random.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { FIRMWARE } from "../../server/protocol/lines.ts";
import { drawScenario } from "./scenario.ts";
import { World } from "./world.ts";

const encoder = new TextEncoder();

/** The world's time when a sleep of 1 s counts as missed that was announced at 0, in ms. */
const MISSED = 31_050;

/**
 * A device sleeps for 1 s, and says so. It is admitted again, this happens, and it sleeps for longer, which it can tell
 * nobody. Then the server misses it, because of the first sleep.
 *
 * @param during Called during the longer sleep.
 */
function isMissedAfter(
  happens: (world: World) => void,
  during: (world: World) => void = () => {},
): void {
  const random = new Random(1);
  using world = new World(random, drawScenario(random));
  const { clock, devices: [device] } = world;
  const { naps } = device!;
  device!.program = { isUp: true, connects: 1, isIdle: true, mayMiss: false, died() {} };
  naps.wanted();
  naps.wrote(encoder.encode(`00${FIRMWARE}s 1\n`));
  naps.begins(1000, 1000, true);
  clock.now = 1000;
  naps.ends();
  naps.connects();
  naps.connected();
  happens(world);
  clock.now = 10_000;
  naps.begins(40_000, 40_000, false);
  during(world);
  clock.now = MISSED;
  naps.missed();
}

Deno.test("a device is never missed for a sleep before an admission that was safe", () => {
  assertThrows(() => isMissedAfter((world) => world.committed()), Violation, "is missed after");
  assertThrows(
    () =>
      isMissedAfter((world) => {
        world.committed();
        world.serverDied(world.server.disk, undefined);
      }),
    Violation,
    "is missed after",
  );
});

Deno.test("a device may be missed for a sleep before an admission that was lost before it was safe", () => {
  isMissedAfter((world) => {
    world.serverDied(world.server.disk, undefined);
    world.committed();
  });
  isMissedAfter((world) => {
    world.devices[0]!.naps.serverDied(); // another server has taken it
    world.committed();
  });
});

Deno.test("a device may be missed for a sleep that only an old copy of the store still has", () => {
  isMissedAfter((world) => {
    world.committed();
    world.serverDied(world.server.disk, world.server.disk.copy());
  });
});

Deno.test("a device may be missed for a sleep whose announcement comes on a connection that is admitted late", () => {
  isMissedAfter((world) => {
    const device = world.devices[0]!;
    device.naps.wanted();
    device.naps.wrote(encoder.encode(`00${FIRMWARE}s 1\n`));
    device.program = undefined; // its link is lost
    device.naps.connects();
    device.naps.connected(); // reported late, of the connection before
    world.committed();
  });
});

Deno.test("a device may be missed for an earlier sleep that an old copy of the store has, put back during this one", () => {
  const safe = (world: World) => world.committed();
  isMissedAfter(safe, (world) => {
    world.serverDied(world.server.disk, world.server.disk.copy());
  });
  assertThrows(
    () => isMissedAfter(safe, (world) => world.serverDied(world.server.disk, undefined)),
    Violation,
    "is missed after",
  );
});

Deno.test("a server does not know of a sleep if its store was replaced between the ack and the sleep", () => {
  const random = new Random(1);
  for (const isReplaced of [false, true]) {
    using world = new World(random, drawScenario(random));
    const { naps } = world.devices[0]!;
    const outage = () => naps.disconnected();
    const sleep = () => naps.begins(1000, 1000, true);
    naps.connects();
    naps.serverDied(isReplaced);
    sleep();
    if (isReplaced) outage();
    else assertThrows(outage, Violation, "taken for an outage");
    naps.connects();
    sleep();
    assertThrows(outage, Violation, "taken for an outage");
  }
});
