/** Strangers who send names, and try to use up what an open server offers: connections, places, memory. */
import { MESSAGE } from "../../server/link/pool.ts";
import { isOfApplication } from "../../server/link/record.ts";
import { frame } from "../../server/protocol/lines.ts";
import type { Rows } from "./disk.ts";
import { Circuit, type End, Path } from "../../bridge/testing/network.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Scenario } from "./scenario.ts";
import type { World } from "./world.ts";

/** How many come, and under how many names. */
const STRANGERS = 24;
const NAMES = 40;

const encoder = new TextEncoder();

/** They connect, talk, acknowledge nothing, leave, and come back under another name, until the world ends. */
export function besiege(world: World): void {
  for (let n = 0; n < STRANGERS; n++) comeAgain(world);
}

function comeAgain(world: World): void {
  const { random, clock, scenario: { timeout } } = world;
  clock.after(random.below(timeout), () => come(world, `N${random.below(NAMES)}`));
}

function come(world: World, name: string): void {
  const { random, clock, scenario: { timeout, devices } } = world;
  const conditions = { ...devices[0]!.conditions, segment: Infinity };
  const path = new Path(clock, random, conditions, "10.8.8.8");
  let over = false;
  const leave = () => {
    if (over) return;
    over = true;
    socket.close();
    comeAgain(world);
  };
  let number = 0;
  const talk = () => {
    if (over) return;
    const text = "?".repeat(random.between(1, 60));
    const line = number === 0 ? `${name}\n` : `\n${frame(number % 255 + 1, text)}`;
    number++;
    socket.write(encoder.encode(line));
    clock.after(random.between(1, timeout / 8), talk);
  };
  const socket: End = new Circuit(path, world.server, {
    opened: talk,
    readable: () => void socket.read(Infinity),
    writable() {},
    ended: leave,
  }).client;
  // Some stay for good.
  clock.after(random.pick([timeout, 4 * timeout, Infinity, Infinity]), leave);
}

/**
 * @param longest Longest text that the server has ever taken, in bytes: waiting texts may be from before its limit was
 * lowered.
 * @throws {Violation} if more waits in the store than all devices, or those without a key, may have
 */
export function checkQueues(
  { limits: { totalText }, devices, siege }: Scenario,
  longest: number,
  stored: ReadonlyMap<string, Rows>,
): void {
  const named = new Set(devices.flatMap(({ id, key }) => key ? [id] : []));
  let all = 0;
  let open = 0;
  for (const [id, { inbox, outbox, letters }] of stored) {
    const texts = outbox.filter(isOfApplication).map(({ text }) => text);
    const dead = letters.reduce((sum, { text }) => sum + text.length + MESSAGE, 0);
    const units = beyondFirst(inbox) + beyondFirst(texts) + dead;
    all += units;
    if (!named.has(id)) open += units;
  }
  const most = (share: number) => share + longest + MESSAGE;
  if (all > most(totalText)) throw new Violation(`the queues of all devices hold ${all}`);
  if (siege && open > most(totalText / 2)) throw new Violation(`strangers' queues hold ${open}`);
}

/** A queue may always have one message. */
function beyondFirst(texts: readonly string[]): number {
  let units = 0;
  for (let n = 1; n < texts.length; n++) units += texts[n]!.length + MESSAGE;
  return units;
}
