/** The faults, one entry for each kind. All of them end; their effects stay. */
import type { SimDevice } from "./device.ts";
import type { FaultKind } from "./fault_kinds.ts";
import { Meddler } from "./meddler.ts";
import { bootAnswering, dieBusy, loseAnswer } from "./moments.ts";
import { PATH_FAULTS, type PathFault, strikePath } from "../../bridge/testing/path_faults.ts";
import { Impostor, strangerConnects, STRANGERS, THIEVES } from "./strangers.ts";
import { drawKey } from "./scenario.ts";
import type { World } from "./world.ts";

/** How many connect while the store is full. */
const FLOOD = 100;

/** More than the margin of any server for such a short sleep, in ms. */
const LATE = 33_000;

/** Faults that are counted when they take effect. */
const WAITING: readonly FaultKind[] = [
  "device boots, an ack on its way",
  "device killed in a commit",
  "device sleeps",
  "device oversleeps",
  "device boots, its answer on the way",
  "store slow, a device is not read",
  "death after an outage in which the application was busy",
];

/** Causes a fault. */
export function cause(world: World, kind: FaultKind): void {
  const { random, scenario, clock } = world;
  const { timeout } = scenario;
  const device = random.pick(world.devices);
  const { path } = device;
  const time = random.skewed(1, 3 * timeout);
  const until = (undo: () => void) => clock.after(time, undo);
  world.log?.(`FAULT ${kind}, ${device.plan.id}, ${time} ms`);
  if (!kind.startsWith("death") && !WAITING.includes(kind)) world.count(kind);
  if (kind === "cut" || kind === "half-open, the device is told") world.expectRecovery(device);
  if (kind !== "stranger" && kind !== "date set") world.disturb(clock.now + time);
  if (isOfPath(kind)) return strikePath(path, kind, time);
  switch (kind) {
    case "device stalls":
      return device.process.freeze(clock.now + time);
    case "server stalls":
      return world.server.process.freeze(clock.now + time);
    case "device's clock jumps":
      return device.jump(random.pick([time, -time, 3_600_000]));
    case "date set": {
      const whose = random.pick([device, world.server]);
      whose.dateAhead += random.pick([time, -time, 3_600_000, -3_600_000]);
      whose.isDateSet = true;
      if (whose === device) device.books.aging.isDateSet = true;
      return;
    }
    case "device boots, memory kept":
      return boot(world, device, true);
    case "device boots, memory lost":
      return boot(world, device, false);
    case "device boots, an ack on its way":
      device.dies = "soon";
      return;
    case "device boots, its answer on the way":
      return bootAnswering(world, device);
    case "device sleeps":
      return sleeper(world)?.sleepSoon(time, time);
    case "device oversleeps":
      // Only if the world lasts long enough for the margin.
      if (timeout === 2000) sleeper(world)?.sleepSoon(time, time + LATE);
      return;
    case "device killed in a commit":
      if (device.hasDisk) device.tears = random.pick(["before", "after"]);
      return;
    case "device's memory full": {
      const { disk } = device;
      disk.full = true;
      return until(() => disk.full = false);
    }
    case "death before the application acts":
      device.dies = "before acting";
      return;
    case "death before the position is kept":
      device.dies = "after acting";
      return;
    case "death after an outage in which the application was busy":
      return dieBusy(world, device);
    case "server killed":
    case "server killed amid long transactions":
      return world.killServer();
    case "server killed during a commit":
      world.tearNextCommit();
      return;
    case "server closed":
      return world.stopServer();
    case "server out of files":
      world.server.fullUntil = clock.now + time;
      return;
    case "store slow": {
      const { disk } = world.server;
      disk.slowUntil = clock.now + time;
      disk.slowness = random.skewed(1, 2 * timeout);
      return world.disturb(disk.troubleEnd);
    }
    case "store slow, a device is not read":
      world.server.slowsUnread = true;
      return;
    case "another server takes a device":
      return world.server.fence(device.id);
    case "operator clears a device":
      return world.operator.clear(device.id);
    case "operator forgets a device":
      return world.operator.forget(device.id);
    case "store full":
      world.server.disk.full = true;
      return until(() => world.server.disk.full = false);
    case "store full, and many come and go":
      world.server.disk.full = true;
      for (let i = 0; i < FLOOD; i++) {
        clock.after(i * time / FLOOD, () => strangerConnects(world, "wrong key", device.plan));
      }
      return until(() => world.server.disk.full = false);
    case "store lost":
      return world.killServer(undefined, world.server.disk.empty());
    case "old copy of the store":
      return putBack(world, 10);
    case "device's application busy":
      device.busyUntil = clock.now + time;
      return;
    case "server's application busy":
      world.serverBusyUntil = clock.now + time;
      return;
    case "stranger":
      return strangerConnects(
        world,
        random.pick(device.plan.key ? THIEVES : STRANGERS),
        device.plan,
      );
    case "crowd":
      for (let i = random.between(5, 20); i > 0; i--) {
        strangerConnects(world, random.pick(STRANGERS), device.plan);
      }
      return;
    case "key changed":
      return changeKey(world, device);
    case "hostile path":
      // Unsealed links cannot defend themselves.
      if (device.dialect === 1 || !device.plan.key || device.plan.suite === 2) return;
      path.meddler = path.stranger ??= new Meddler(random); // it remembers what has passed before
      return until(() => path.meddler = undefined);
    case "impostor":
      device.impostor = new Impostor(world, device.plan);
      return until(() => device.impostor = undefined);
  }
}

function isOfPath(kind: FaultKind): kind is PathFault {
  return (PATH_FAULTS as readonly FaultKind[]).includes(kind);
}

/** A device that can sleep. */
function sleeper({ random, devices }: World): SimDevice | undefined {
  const all = devices.filter(({ canSleep }) => canSleep);
  return all.length === 0 ? undefined : random.pick(all);
}

/**
 * Copies the store, and puts the copy back later. Waits a while for a moment when something waits for the server's
 * application: with such a copy the application writes before the device is there.
 */
function putBack(world: World, tries: number): void {
  const { random, scenario: { timeout }, clock, server } = world;
  const copy = server.disk.copy();
  copy.madeAt = clock.now;
  if (tries > 0 && copy.devices.values().every(({ inbox }) => inbox.length === 0)) {
    return clock.after(timeout / 10, () => putBack(world, tries - 1));
  }
  clock.after(random.below(4 * timeout), () => {
    world.killServer(undefined, copy);
    for (const device of world.devices) if (random.chance(0.6)) loseAnswer(world, device);
  });
}

/** The operator gives a device another key, and it boots with it. */
function changeKey(world: World, device: SimDevice): void {
  const { random } = world;
  if (device.plan.key) {
    boot(world, device, random.chance(0.5));
    world.setKey(device.id, drawKey(random));
  } else world.server.changeKeys();
}

function boot({ random, scenario }: World, device: SimDevice, keepsMemory: boolean): void {
  const { timeout, changesDialect } = scenario;
  device.die({
    keepsMemory,
    closes: random.chance(0.3),
    off: random.skewed(1, 2 * timeout),
    dialect: changesDialect && random.chance(0.5) ? device.dialect === 1 ? 2 : 1 : device.dialect,
  });
}
