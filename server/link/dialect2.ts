/**
 * Dialect 2: numbered messages, cumulative acks, and a greeting that gives each end's position. Nothing
 * is repeated inside a connection: any error ends it, and the next greeting tells both ends exactly what
 * to send.
 */
import { PeerError } from "../protocol/errors.ts";
import { type Greeting, type Hello2, metadatum } from "../protocol/greeting.ts";
import type { Limits } from "./limits.ts";
import { Dialect } from "./dialect.ts";
import { type DeviceRecord, type Outgoing, randomEpoch, WITHDRAWN } from "./record.ts";
import { ack, byteLength, FIRMWARE, FRAME, frame, lineId, LOGGED } from "../protocol/lines.ts";

/** Most unacknowledged messages of either end: only the low eight bits of a number are sent. */
export const WINDOW = 64;

/** What both ends agree on in the greeting. */
export interface Agreement {
  /** The contents of our welcome. */
  welcome: Greeting;
  /** How many messages of our outbox the device already has. */
  known: number;
  /** Whether the device said what it has of our stream, so that it has nothing after that. */
  isTold: boolean;
  /**
   * Whether our stream gets a new epoch, because the device has numbers that we may since have given to other messages.
   */
  renamed: boolean;
  /** How the device's position shows that our store was set back; undefined: it does not. */
  older: string | undefined;
}

/**
 * Works out what a hello means for a record. Changes nothing.
 *
 * @param isShared Whether other servers may welcome the device, too.
 */
export function agree(
  hello: Hello2,
  record: DeviceRecord,
  limits: Limits,
  isShared = false,
): Agreement {
  const { txEpoch, rxEpoch, rxNext, connects } = record.positions;
  const { txFirst } = record;
  let known = 0;
  let renamed = false;
  let older: string | undefined;
  const knowsUs = hello.rxEpoch === txEpoch;
  if (knowsUs) {
    // It is behind our outbox: it acknowledged the rest once, and has forgotten that. It continues from our first
    // message.
    known = Math.max(0, distance(txFirst, hello.rxNext));
    // Compared with what was sent, not with what was written: an old copy of the store may since have given
    // these numbers to other messages.
    renamed = known > record.sent;
    if (renamed) {
      known = 0;
      older = "it has messages that this store never sent";
    }
  } else if (hello.rxEpoch !== 0 && connects > 0) {
    // The epoch comes from a welcome that this store does not remember. If this is an old copy of a newer store, that
    // may come back one day, and must not take this one's numbers for its own.
    renamed = true;
    // Another server may have welcomed the device before the store knew it.
    const isFirst = isShared && connects === 1;
    if (!isFirst) older = "it has received messages of a stream that this store does not know";
  }
  const isKnown = hello.txEpoch === rxEpoch;
  const continues = isKnown && distance(hello.txFirst, rxNext) >= 0;
  const expected = continues ? rxNext : hello.txFirst;
  // A device drops only what was acknowledged.
  if (isKnown && !continues) {
    older = "messages that this store does not have were acknowledged to it";
  }
  return {
    welcome: {
      txEpoch: renamed ? randomEpoch() : txEpoch,
      txFirst: (txFirst + known) >>> 0,
      rxEpoch: hello.txEpoch,
      rxNext: expected,
      window: WINDOW,
      bytes: creditBytes(limits),
      line: limits.lineBytes,
    },
    known,
    isTold: knowsUs && !renamed,
    renamed,
    older: older && `${older}: is the store an old copy, or was the device on another server?`,
  };
}

/** How many bytes one device may send without an ack. */
function creditBytes({ lineBytes }: Limits): number {
  return 4 * (lineBytes + FRAME);
}

/** How far b is ahead of a; both wrap at 2^32. */
export function distance(a: number, b: number): number {
  return (b - a) | 0;
}

/** The device of a connection. */
export interface Owner {
  readonly record: DeviceRecord;
  /** See `Dialect`. */
  readonly settled: (message: Outgoing) => void;
  /** The device has logged a line. It is given without its mark. */
  logged(line: string): void;
  /** The device's firmware has sent a message. Called when the record may be changed. */
  told(text: string): void;
  /** The device has begun a new stream of messages. */
  booted(): void;
}

export class Dialect2 extends Dialect {
  readonly hello: Hello2;
  override readonly isTold: boolean;
  override readonly takesFirmware: boolean;
  readonly #owner: Owner;
  #expected: number;
  #credit: number; // bytes that the device may send without an ack
  #acknowledged: number; // the number after the last acknowledged message
  // Size of its unacknowledged messages in UTF-16 units, which are never more than bytes.
  #unacknowledged = 0;
  #unaccepted = 0;
  #ack: number | undefined;
  #bytesOnTheWay = 0;

  /** Applies the agreement. `settled` is called for messages that the device already has. */
  constructor(
    hello: Hello2,
    { welcome, known, isTold }: Agreement,
    owner: Owner,
  ) {
    const { record, settled } = owner;
    super(record, settled);
    if (record.positions.rxEpoch !== welcome.rxEpoch) owner.booted();
    this.#owner = owner;
    this.hello = hello;
    this.isTold = isTold;
    this.takesFirmware = metadatum(hello.metadata, "app") !== undefined;
    const { txEpoch, rxEpoch, rxNext, bytes } = welcome;
    this.#credit = bytes;
    record.change({ txEpoch, rxEpoch, rxNext });
    this.#expected = this.#acknowledged = rxNext;
    for (let i = 0; i < known; i++) settled(record.settle());
  }

  /** Checks that it is in order and within the credit. */
  override check(line: string): void {
    const id = lineId(line);
    if (id !== (this.#expected & 255)) {
      const [came, awaited] = [id, this.#expected & 255].map((it) => ack(it).trim());
      throw new PeerError("GAP", `message ${came} came instead of ${awaited}`);
    }
    if (distance(this.#acknowledged, this.#expected) >= WINDOW) {
      throw new PeerError("CREDIT", `the device sent more than ${WINDOW} messages without an ack`);
    }
    this.#unaccepted += line.length + 1;
    this.#unacknowledged += line.length + 1;
    if (this.#unacknowledged > this.#credit) {
      throw new PeerError(
        "CREDIT",
        `the device sent more than ${this.#credit} bytes without an ack`,
      );
    }
    this.#expected = (this.#expected + 1) >>> 0;
  }

  override accept(line: string, hasRoom: boolean): boolean {
    const { record } = this;
    const text = line.slice(2);
    if (text.startsWith(LOGGED)) this.#owner.logged(text.slice(1));
    else if (text.startsWith(FIRMWARE)) this.#owner.told(text);
    else if (!text.startsWith(WITHDRAWN)) {
      if (!hasRoom) return false;
      record.receive(text);
    }
    record.change({ rxNext: (record.positions.rxNext + 1) >>> 0 });
    this.#unaccepted -= line.length + 1;
    this.#ack = lineId(line);
    return true;
  }

  override acknowledged(id: number, now: number): void {
    const { record } = this;
    const count = (id + 1 - record.txFirst) & 255;
    if (count > this.next) {
      throw new PeerError("BAD_POSITION", `an ack for ${ack(id).trim()}, which was not sent`);
    }
    for (let i = 0; i < count; i++) {
      const message = record.settle();
      this.next--;
      this.#bytesOnTheWay -= lineBytes(message);
      this.roundTrip.acknowledged(message, now);
      this.settled(message);
    }
  }

  override sendOnce(text: string, now: number): boolean {
    this.record.write(text, { overtakes: false, qos: false }, now);
    this.prepare();
    return true;
  }

  /** After a crash the server must still know which messages were sent: see `agree`. */
  override prepare(): void {
    this.record.release();
  }

  override transmit(now: number): void {
    if (this.#ack !== undefined) {
      this.output += ack(this.#ack);
      this.#ack = undefined;
      this.#acknowledged = this.record.positions.rxNext;
      this.#unacknowledged = this.#unaccepted;
    }
    const { outbox, sent } = this.record;
    while (this.next < sent && this.next < this.hello.window) {
      const message = outbox[this.next]!;
      const bytes = lineBytes(message);
      if (this.#bytesOnTheWay + bytes > this.hello.bytes) break;
      this.output += frame(message.seq & 255, message.text);
      this.#bytesOnTheWay += bytes;
      this.roundTrip.sent(message, now);
      this.next++;
    }
  }

  override deadline(): number {
    return Infinity;
  }
}

function lineBytes({ text }: Outgoing): number {
  return byteLength(text) + FRAME;
}
