/** The acts of one server of a fleet on devices, whichever server has them, as long as it lives. */
import { LocalError } from "../../server/protocol/errors.ts";
import type { Server } from "../../server/server.ts";
import type { Books } from "./books.ts";
import { ask, set, setSome } from "./channel_acts.ts";
import { Attempt } from "./channel_settings.ts";
import { ChangedItsMind } from "./misconduct.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import type { Message } from "./promises.ts";
import { BROKEN } from "./statements.ts";
import { newText } from "./text.ts";
import type { World } from "./world.ts";

/** The most acts that it waits for at a time. */
const MOST = 10;

export abstract class Correspondent {
  /** How many acts it waits for. */
  pending = 0;

  constructor(
    readonly world: World,
    readonly platform: SimPlatform,
    readonly server: Server,
  ) {}

  /** Writes now and then until there are no more faults. */
  begin(): void {
    const { clock, random, scenario: { faultsEnd, timeout } } = this.world;
    this.platform.after(1 + random.below(timeout), () => {
      if (clock.now >= faultsEnd) return;
      if (this.pending < MOST) void this.#act();
      this.begin();
    });
  }

  async #act(): Promise<void> {
    this.pending++;
    try {
      await this.act(this.world.random.pick([...this.world.books.keys()]));
    } catch (error) {
      this.world.failed(error);
    } finally {
      this.pending--;
    }
  }

  /** Does something with a device. */
  protected abstract act(id: string): Promise<void>;
}

/** Writes messages to devices. */
export class Writer extends Correspondent {
  protected override async act(id: string): Promise<void> {
    const { world } = this;
    const { random } = world;
    const books = world.books.get(id)!;
    const device = this.server.known(id);
    if (!device) return;
    const most = Math.min(world.lineBytes, world.mayBeFirst(id) ? world.deviceLine(id) : Infinity);
    const text = newText(books.toDevice, random, most, 0);
    if (text === undefined) return;
    const qos = !random.chance(0.1);
    const expires = qos && random.chance(0.2)
      ? 1 + random.below(world.scenario.timeout)
      : undefined;
    const options = { qos, ...(expires !== undefined && { expires }) };
    const manner = {
      qos,
      waits: true,
      loose: !qos,
      expires: world.clock.now + (expires ?? Infinity),
    };
    const message = world.serverWrites(this.platform, books, text, manner);
    world.log?.(`a server writes ${JSON.stringify(text)} to ${id}, wherever that is`);
    world.count("a message from any server");
    try {
      const isSent = await device.write(text, options);
      if (qos) books.serverTold(message);
      else if (isSent) books.serverSent(message);
      else message.gone = true; // it may have been posted and not sent
    } catch (error) {
      this.#failed(books, message, error);
    }
  }

  #failed(books: Books, message: Message, error: unknown): void {
    const { world } = this;
    if (!(error instanceof LocalError)) throw error;
    const { code } = error;
    world.log?.(`a server is told ${code} of ${JSON.stringify(message.text)}`);
    world.count(`a message from any server: ${code}`);
    switch (code) {
      case "EXPIRED":
      case "UNDECIDED":
        if (message.qos) return books.expiring.expired(message, code === "EXPIRED");
        return books.serverGaveUp(message);
      case "CLEARED":
      case "FORGOTTEN":
        return books.serverCleared(message);
      case "BAD_TEXT":
        return books.serverFailed(message, error, world.deviceLine(books.id));
      case "OUTBOX_FULL":
      case "STORE_FAILED":
      case "UNKNOWN_DEVICE":
        return books.serverRefused(message);
      case "CLOSED": // it may become safe with the last commit
        return books.serverGaveUp(message);
      case "FENCED":
        return books.serverLost(message);
      default:
        throw error;
    }
  }
}

/** Errors that a setting or request may have without anybody's fault. */
const REFUSALS: ReadonlySet<string> = new Set([
  "CLOSED",
  "FENCED",
  "OUTBOX_FULL",
  "STORE_FAILED",
  "UNKNOWN_DEVICE",
]);

/** Sets channels of devices, sends requests to devices, and looks at what is known about them. */
export class ControlPanel extends Correspondent {
  protected override async act(id: string): Promise<void> {
    const { world, world: { random } } = this;
    const device = this.server.known(id);
    if (!device) return;
    try {
      const thing = await this.server.thing(id);
      if (device.server !== this.server.name) world.channels!.things.get(id)!.look(thing);
      const act = random.pick([
        () => set(this, thing),
        () => set(this, thing),
        () => ask(this, thing),
        () => this.#transact(),
      ]);
      world.count("something done with a channel from any server");
      await act();
    } catch (error) {
      const isRefusal = error instanceof LocalError && REFUSALS.has(error.code);
      if (!isRefusal) throw error;
      world.count(`something done with a channel from any server: ${error.code}`);
    }
  }

  async #transact(): Promise<void> {
    const { world, world: { random } } = this;
    const attempt = new Attempt("a transaction of any server");
    try {
      await this.server.transaction((tx) => {
        setSome(this, tx, attempt, 0.6);
        if (!random.chance(world.scenario.failures)) return;
        if (random.chance(0.5)) throw new ChangedItsMind();
        tx.run(BROKEN, "");
      });
    } catch (error) {
      attempt.fail();
      const isMeant = error instanceof ChangedItsMind || String(error).includes("NOT NULL");
      if (!isMeant) throw error;
      return;
    }
    for (const setting of attempt.settings) setting.books.safe(setting);
  }
}
