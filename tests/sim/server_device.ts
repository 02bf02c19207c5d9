/** One device at the simulated server: what `server/device.ts` does, and an application on top of it. */
import type { Admitted } from "../../server/admission/admission.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { Session } from "../../server/link/session.ts";
import { byteLength, LOGGED } from "../../server/protocol/lines.ts";
import type { Books } from "./books.ts";
import type { DeviceTalk } from "./scenario.ts";
import type { SimServer } from "./server.ts";
import type { ServerConnection } from "./server_connection.ts";
import { newText } from "./text.ts";

/** How the application writes next. */
interface Draft {
  text: string | undefined;
  qos: boolean;
  wait: boolean;
}

export class ServerDevice {
  readonly session: Session;
  readonly books: Books | undefined;
  #talk: DeviceTalk | undefined;
  #connection: ServerConnection | undefined;
  #handedOut = false;
  #busy = false;
  #echoes: string[] = [];
  #next: Draft | undefined;
  #writesAt = 0;
  #waking = false;
  #dead = false;

  constructor(readonly server: SimServer, readonly id: string) {
    const { world, host, limits } = server;
    const record = host.record(id) ?? server.store.create(id);
    this.session = new Session(record, world.scenario.timeout, limits, (line) => {
      world.log?.(`server logs ${JSON.stringify(line)} of ${id}`);
      this.books?.logged(LOGGED + line);
    });
    this.books = world.books.get(id);
    this.#talk = world.serverTalks.get(id);
  }

  get connected(): boolean {
    return this.session.connected;
  }

  /** Nothing is left to be done for this device. */
  get isIdle(): boolean {
    const { inbox, outbox } = this.session.record;
    return inbox.length === 0 && outbox.length === 0 && !this.#busy &&
      this.#echoes.length === 0 && (this.#talk?.messages ?? 0) === 0;
  }

  /** The newest connection wins. */
  serve(connection: ServerConnection, admitted: Admitted): void {
    const { world } = this.server;
    world.log?.(`server: ${this.id} is admitted in dialect ${admitted.dialect}`);
    if (admitted.ahead) world.count("a device ahead of the store");
    this.#connection?.end();
    this.session.disconnect();
    this.#connection = connection;
    admitted.connect(this.session, this.server.now());
    this.pump();
  }

  /** A connection has ended by itself. */
  lost(connection: ServerConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.session.disconnect();
    this.changed();
  }

  changed(): void {
    this.server.touch(this.#safe);
  }

  /** All changes so far are safe, or cannot be made so at present. */
  readonly #safe = (safe: boolean): void => {
    this.#connection?.flush(safe);
    if (safe) this.server.life.after(0, this.pump);
  };

  /** Lets the application go on. */
  readonly pump = (): void => {
    if (this.#dead || !this.books) return;
    this.#read();
    this.#write();
  };

  #read(): void {
    const { world, life } = this.server;
    while (!this.#busy) {
      if (this.#handedOut) {
        this.session.shift();
        this.changed();
      }
      const text = this.session.peek();
      this.#handedOut = text !== undefined;
      if (text === undefined) return;
      world.log?.(`server sees ${JSON.stringify(text)} of ${this.id}`);
      world.messages++;
      this.books!.handedOut(text);
      const { echoes, busy } = this.#talk!;
      if (echoes && !text.startsWith("e") && this.#echoes.length < 20) {
        this.#echoes.push(`e${text}`);
      }
      const time = Math.max(world.random.below(busy + 1), world.serverBusyUntil - world.clock.now);
      if (time <= 0) continue;
      this.#busy = true;
      life.after(time, () => {
        this.#busy = false;
        this.pump();
      });
    }
  }

  #write(): void {
    const { world, life, failing } = this.server;
    if (failing) return;
    const talk = this.#talk!;
    for (let echo; (echo = this.#echoes[0]) !== undefined; this.#echoes.shift()) {
      if (!this.#mayEcho(echo)) continue;
      if (!this.#send(echo, { qos: true, wait: true })) break;
    }
    while (talk.messages > 0 && world.clock.now >= this.#writesAt) {
      const next = this.#next ??= this.#draft();
      if (next.text !== undefined && !this.#send(next.text, next) && next.qos) break;
      this.#next = undefined;
      talk.messages--;
      this.#writesAt = world.clock.now + world.random.below(talk.pause + 1);
    }
    // If the outbox is full, the next commit may bring room.
    const pause = this.#writesAt - world.clock.now;
    if (talk.messages === 0 || this.#waking || pause <= 0) return;
    this.#waking = true;
    life.after(pause, () => {
      this.#waking = false;
      this.pump();
    });
  }

  #mayEcho(text: string): boolean {
    const { world } = this.server;
    return !this.books!.toDevice.has(text) &&
      byteLength(text) <= Math.min(world.deviceLine(this.id), world.lineBytes);
  }

  #draft(): Draft {
    const { world } = this.server;
    const { random, lineBytes } = world;
    const { qosOff, waits, long } = this.#talk!;
    const line = world.mayBeFirst(this.id) ? world.deviceLine(this.id) : lineBytes;
    const text = newText(this.books!.toDevice, random, Math.min(line, lineBytes), long);
    return { text, qos: !random.chance(qosOff), wait: random.chance(waits) };
  }

  /** False if it should be tried again. */
  #send(text: string, { qos, wait }: { qos: boolean; wait: boolean }): boolean {
    const { session, books } = this;
    const { world } = this.server;
    const { record } = session;
    const before = record.positions.txNext;
    const writer = {
      arrived: () => books!.serverTold(books!.toDevice.find(text)!),
      failed: (error: LocalError) =>
        books!.serverFailed(books!.toDevice.find(text)!, error, world.deviceLine(this.id)),
    };
    try {
      if (!session.write(text, { qos, wait }, writer, this.server.now())) return false;
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      if (error.code === "OUTBOX_FULL") return false;
      if (error.code === "BAD_TEXT") return true; // longer than the device's line
      throw error;
    }
    const stored = record.positions.txNext !== before;
    books!.serverWrote(text, qos, wait, stored);
    world.log?.(`server writes ${JSON.stringify(text)} to ${this.id}${qos ? "" : " without qos"}`);
    this.changed();
    return true;
  }

  /** The process is killed. */
  die(): void {
    this.#dead = true;
    this.#connection = undefined;
  }
}
