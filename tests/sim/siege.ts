/** Strangers who send names, and try to use up what an open server offers: connections, places, memory. */
import type { Limits } from "../../server/link/limits.ts";
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

/** What may wait in the store. */
export class QueueBooks {
  /** Most that waited for devices when the server lost them to another one. */
  readonly #lost = new Map<string, number>();

  /** @param scenario The world's. */
  constructor(
    readonly scenario: Pick<Scenario, "devices" | "siege"> & {
      readonly limits: Pick<Limits, "totalText">;
    },
  ) {}

  /**
   * Another server has taken a device. What waits for it is no longer in the memory of this server, so other devices
   * may get its room. When the device comes back, this server loads everything again, whether there is room or not.
   */
  lost(id: string, rows: Rows | undefined): void {
    if (rows) this.#lost.set(id, Math.max(unitsOf(rows), this.#lost.get(id) ?? 0));
  }

  /**
   * @param longest Longest text that the server has ever taken, in bytes: waiting texts may be from before its limit
   * was lowered.
   * @throws {Violation} if more waits in the store than all devices, or those without a key, may have
   */
  check(longest: number, stored: ReadonlyMap<string, Rows>): void {
    const { limits: { totalText }, devices, siege } = this.scenario;
    const named = new Set(devices.flatMap(({ id, key }) => key ? [id] : []));
    let all = 0;
    let open = 0;
    for (const [id, rows] of stored) {
      const units = Math.max(0, unitsOf(rows) - (this.#lost.get(id) ?? 0));
      all += units;
      if (!named.has(id)) open += units;
    }
    const most = (share: number) => share + longest + MESSAGE;
    if (all > most(totalText)) throw new Violation(`the queues of all devices hold ${all}`);
    if (siege && open > most(totalText / 2)) throw new Violation(`strangers' queues hold ${open}`);
  }
}

/** What waits for and from a device, as far as it needs room. */
function unitsOf({ inbox, outbox, letters }: Rows): number {
  const texts = outbox.filter(isOfApplication).map(({ text }) => text);
  const dead = letters.reduce((sum, { text }) => sum + text.length + MESSAGE, 0);
  return beyondFirst(inbox) + beyondFirst(texts) + dead;
}

/** A queue may always have one message. */
function beyondFirst(texts: readonly string[]): number {
  let units = 0;
  for (let n = 1; n < texts.length; n++) units += texts[n]!.length + MESSAGE;
  return units;
}
