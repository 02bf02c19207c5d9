/** Worlds in which one fault is aimed at one moment, with hardly any others: elsewhere that moment is too rare. */
import { type Moment, MOMENTS } from "./fault_kinds.ts";
import type { Scenario } from "./scenario.ts";
import type { World } from "./world.ts";
import type { SimDevice } from "./device.ts";

/** For each of them, one seed in this many is such a world. */
const SHARE = 25;

/** The moment of a seed's world, if it is one of these. */
export function momentOf(seed: number): Moment | undefined {
  return MOMENTS[seed % SHARE];
}

/** Makes a scenario one of these, unless its own faults would hide the effects. */
export function addMoment(scenario: Scenario, kind: Moment): void {
  const { faults, timeout } = scenario;
  if (scenario.siege || faults.includes("old copy of the store")) return;
  scenario.faults = [kind, kind, ...faults.slice(0, 2)];
  scenario.faultPause = Math.min(scenario.faultPause, timeout);
  scenario.faultsEnd = Math.max(scenario.faultsEnd, 6 * timeout);
  for (const { talk, serverTalk } of scenario.devices) {
    talk.messages += 20;
    talk.pause = serverTalk.pause = Math.floor(timeout / 8);
  }
  if (kind === "server killed amid long transactions") consumeLong(scenario);
  if (kind === "store slow, a device is not read") fillInboxes(scenario);
  if (kind === "death after an outage in which the application was busy") useMemories(scenario);
}

/**
 * A transaction begins for a message that a killed server has left, writes as much as the server takes, and goes on
 * when the device is back, which takes less.
 */
function consumeLong(scenario: Scenario): void {
  const { limits, lines, timeout } = scenario;
  scenario.reads = ["consume"];
  scenario.ponders = timeout;
  if (lines.length > 0) limits.lineBytes = Math.max(...lines);
  for (const { serverTalk } of scenario.devices) serverTalk.long = 0.8;
}

/** Fills inboxes and has one more message read: when there is room for it, the device is read again. */
function fillInboxes({ limits, devices, timeout }: Scenario): void {
  limits.inbox = 1;
  for (const { serverTalk, size } of devices) {
    size.window = Math.max(2, size.window);
    serverTalk.busy = timeout / 4;
    serverTalk.messages = serverTalk.answers = 0; // a device that owes acks is always read
  }
}

/** Devices are hosts with memories, if they can. */
function useMemories({ devices }: Scenario): void {
  for (const plan of devices) if (plan.dialect === 2) plan.kind = "host with memory";
}

/** A host's application is busy with a message when the link is lost, and still when its process dies on the next link. */
export function dieBusy(world: World, device: SimDevice): void {
  const { clock, random, scenario: { timeout } } = world;
  const { boot, books: { inHand } } = device;
  if (!device.hasDisk) return;
  const end = device.busyUntil = clock.now + 4 * timeout;
  const when = (condition: () => boolean, act: () => void) => {
    if (device.boot !== boot || clock.now >= end) return;
    if (condition()) act();
    else clock.after(timeout / 20, () => when(condition, act));
  };
  when(() => inHand.isBusy && device.isUp, () => {
    const { connects } = device;
    device.path.connections.at(-1)?.sever(true, true);
    when(() => device.isUp && device.connects > connects, () => {
      world.count("death after an outage in which the application was busy");
      device.die({ keepsMemory: true, closes: random.chance(0.3), off: 10, dialect: 2 });
    });
  });
}

/**
 * A device dies when it has answered a welcome, and boots; the answer may arrive after those of its next connection.
 */
export function bootAnswering(world: World, device: SimDevice): void {
  const { clock, random, scenario: { timeout } } = world;
  device.answering.strike = () => {
    const { path, boot, dialect } = device;
    const late = random.below(timeout);
    path.slowness += late;
    clock.after(0, () => {
      path.slowness -= late;
      if (device.boot !== boot) return;
      world.count("device boots, its answer on the way");
      device.die({ keepsMemory: random.chance(0.3), closes: false, off: 10, dialect });
    });
  };
  device.path.connections.at(-1)?.sever(true, true);
}

/** A device takes the next welcome without its server learning of it. */
export function loseAnswer({ clock, random }: World, device: SimDevice): void {
  device.answering.strike = ({ connection }) => {
    clock.after(0, () => connection.sever(true, random.chance(0.5)));
  };
}
