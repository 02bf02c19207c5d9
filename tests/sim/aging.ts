/** Messages of a device with a deadline: which outcomes it may report, and until when it may send them. */
import type { OlderStore } from "./older.ts";
import { type Message, type Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** The device that writes the messages. */
interface Writer {
  readonly id: string;
  readonly mayBeFirst: boolean;
  readonly older: OlderStore;
  readonly fromDevice: Stream;
  readonly now: () => number;
}

const decoder = new TextDecoder();

export class Aging {
  /** The device's date or clock was set, so it may be wrong about the times of an earlier process. */
  isDateSet = false;
  /** The server has forgotten the device. */
  isForgotten = false;
  readonly #from: Writer;
  /** By how much the clock jumped ahead, and until when its application may not have looked since, in ms. */
  #ahead = 0;
  #aheadUntil = -Infinity;
  /** A welcome has named a stream that the server's store does not know; and whether that was so when it connected. */
  #isNamed = false;
  #wasNamed = false;
  /** Messages that it may have sent on the connection of such a welcome: the next welcome names another stream. */
  readonly #doubtful = new Set<Message>();

  constructor(from: Writer) {
    this.#from = from;
  }

  /** The device's clock jumps. @param seen When its application last looked, by the world's clock */
  jumps(ms: number, seen: number): void {
    this.isDateSet = true;
    const isOver = this.#aheadUntil < this.#from.now();
    this.#ahead = (isOver ? 0 : this.#ahead) + Math.max(0, ms);
    this.#aheadUntil = seen;
    for (const message of this.#from.fromDevice.all()) message.expires -= ms;
  }

  /** It connects. @param isStored Whether the server's store knows the device */
  connects(isStored: boolean): void {
    this.#wasNamed = this.#isNamed &&= !isStored;
  }

  /** It has a link. */
  linkUp(isStored: boolean): void {
    this.#isNamed = !isStored;
    if (!this.#wasNamed) return;
    for (const message of this.#from.fromDevice.all()) {
      if (!message.safe) this.#doubtful.add(message);
    }
  }

  /**
   * Its application is told that a message was withdrawn.
   *
   * @param isKnown Whether it is also told that the message never arrives
   * @param boot The device's current boot
   */
  expired(message: Message, isKnown: boolean, boot: number): void {
    const { mayBeFirst, older, now } = this.#from;
    const isSure = message.epoch === boot || !this.isDateSet;
    if (isSure && message.expires - 2 > now()) this.#fail(message, "expires too early");
    message.excused = true;
    if (older.isReplaced || this.isForgotten) return; // by a server that does not know what had arrived
    if (isKnown) {
      if (message.safe) this.#fail(message, "expires, and the server has it");
      message.gone = true;
    } else if (!mayBeFirst && !this.#doubtful.has(message)) {
      this.#fail(message, "is undecided, and the server can say what it has");
    }
  }

  /** Whether a client's memory may drop this message. */
  isOver({ epoch, expires }: Message, boot: number): boolean {
    return expires <= this.#from.now() + 2 ||
      (this.isDateSet && epoch !== boot && expires < Infinity);
  }

  /**
   * The device has written to its socket.
   *
   * @param latest Until when its application or system may have been unable to write, in ms from now
   */
  sent(bytes: Uint8Array, boot: number, latest: number): void {
    const { fromDevice, mayBeFirst, now } = this.#from;
    if (mayBeFirst) return; // dialect 1 must send some of them
    for (const line of decoder.decode(bytes).split("\n")) {
      const message = fromDevice.find(line.slice(2));
      if (!message || (this.isDateSet && message.epoch !== boot)) continue;
      const ahead = now() <= this.#aheadUntil ? this.#ahead : 0;
      if (message.expires < now() - latest - ahead) {
        this.#fail(message, "is sent long after its deadline");
      }
    }
  }

  #fail({ text }: Message, what: string): void {
    throw new Violation(`${this.#from.id}: ${JSON.stringify(text.slice(0, 60))} ${what}`);
  }
}
