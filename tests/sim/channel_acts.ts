/** What programs on a server do with channels, whichever server of a fleet has their devices. */
import type { Thing } from "../../server/channels/thing.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { Server } from "../../server/server.ts";
import type { Transaction } from "../../server/store/transaction.ts";
import { ASKED, RULES, valueFrom } from "./channel_plan.ts";
import type { Attempt, From } from "./channel_settings.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import type { Surroundings } from "../../bridge/testing/process.ts";
import type { ThingBooks } from "./thing_books.ts";

const NAMES = Object.keys(RULES);

/** A deadline for requests to devices at other servers, in ms, long enough for the answer to arrive. */
const PATIENCE = 12_000;

/** A program in one run of a process. */
export interface Program {
  readonly world: Surroundings & {
    readonly scenario: { readonly timeout: number };
    readonly log?: ((line: string) => void) | undefined;
    readonly channels: { readonly things: ReadonlyMap<string, ThingBooks> } | undefined;
    /** See `World`. */
    tellsIn(platform: SimPlatform, since: number): number;
  };
  readonly platform: SimPlatform;
  readonly server: Server;
}

/** Whether this server has the device, as far as it knows, at the moment of a request. */
function fromOf({ server, platform }: Program, id: string): From {
  return { process: platform, isDistant: server.known(id)?.server !== server.name };
}

/** Sets a channel. @throws what `Thing.set` throws */
export async function set(program: Program, thing: Thing): Promise<void> {
  const { world, world: { random } } = program;
  const books = world.channels!.things.get(thing.id)!;
  const channel = random.pick(NAMES);
  const value = valueFrom(books.count(), random);
  const from = fromOf(program, thing.id);
  const setting = books.sets(channel, value, { from });
  world.log?.(`server sets ${channel} of ${thing.id} to ${value}${where(from)}`);
  try {
    await thing.set(channel, value);
  } catch (error) {
    world.log?.(`server is told that ${channel} ${value} was not set: ${error}`);
    // The outcome of what was posted, or about to be, is unknown.
    const isOpen = from.isDistant && error instanceof LocalError && error.code === "CLOSED";
    if (!isOpen) books.failed(setting);
    throw error;
  }
  books.safe(setting);
}

/** Asks a device. @throws an error that is not an outcome */
export async function ask(program: Program, thing: Thing): Promise<void> {
  const { platform, world, world: { clock, random } } = program;
  const begun = clock.now;
  const from = fromOf(program, thing.id);
  const patience = from.isDistant && random.chance(0.4) ? PATIENCE : 0;
  const deadline = 1 + random.skewed(0, 3 * world.scenario.timeout) + patience;
  const { requests } = world.channels!.things.get(thing.id)!;
  const request = requests.begins(deadline, from);
  world.log?.(`server asks ${thing.id} ${request.value}, for ${deadline} ms${where(from)}`);
  try {
    const value = await thing.request(ASKED, request.value, { deadline });
    world.log?.(`server is answered ${request.value} with ${value}`);
    requests.answered(request, value);
  } catch (error) {
    world.log?.(`server is not answered ${request.value}: ${error}`);
    const tellsIn = world.tellsIn(platform, begun);
    if (!(error instanceof LocalError) || !requests.failed(request, error, tellsIn)) throw error;
  }
}

/** Sets channels of some devices in the transaction. */
export function setSome(program: Program, tx: Transaction, attempt: Attempt, chance: number): void {
  const { world, world: { random } } = program;
  for (const [id, books] of world.channels!.things) {
    if (!random.chance(chance)) continue;
    const channel = random.pick(NAMES);
    const value = valueFrom(books.count(), random);
    const from = fromOf(program, id);
    if (from.isDistant && !program.server.known(id)) continue; // no server has shown it yet
    try {
      tx.set(id, channel, value);
    } catch (error) {
      if (error instanceof LocalError && error.code === "UNKNOWN_DEVICE") continue;
      throw error;
    }
    books.sets(channel, value, { attempt, from });
    world.log?.(`server sets ${channel} of ${id} to ${value} in ${attempt.name}${where(from)}`);
  }
}

function where({ isDistant }: From): string {
  return isDistant ? ", which is elsewhere" : "";
}
