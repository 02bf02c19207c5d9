/** Writes to devices from one server of a fleet, whichever server has them, as long as that one lives. */
import { LocalError } from "../../server/protocol/errors.ts";
import type { Server } from "../../server/server.ts";
import type { Books } from "./books.ts";

import type { SimPlatform } from "../../bridge/testing/platform.ts";
import type { Message } from "./promises.ts";
import { newText } from "./text.ts";
import type { World } from "./world.ts";

/** Most that it waits for at a time. */
const MOST = 10;

export class Correspondent {
  /** Messages whose outcome it waits for. */
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
      if (this.pending < MOST) this.#write().catch((error) => this.world.failed(error));
      this.begin();
    });
  }

  async #write(): Promise<void> {
    const { world } = this;
    const { random } = world;
    const [id, books] = random.pick([...world.books]);
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
    this.pending++;
    try {
      const isSent = await device.write(text, options);
      if (qos) books.serverTold(message);
      else if (isSent) books.serverSent(message);
      else message.gone = true; // it was posted, perhaps, and not sent
    } catch (error) {
      this.#failed(books, message, error);
    } finally {
      this.pending--;
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
