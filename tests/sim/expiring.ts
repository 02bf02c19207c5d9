/** Messages to a device with a deadline: which outcomes the server may report. */
import type { OlderStore } from "./older.ts";
import { type Message, type Stream } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** The device to which the messages go. */
interface Addressee {
  readonly id: string;
  readonly mayBeFirst: boolean;
  readonly older: OlderStore;
  readonly toDevice: Stream;
  readonly now: () => number;
}

export class Expiring {
  /** How often the device may have forgotten what it has, as far as the server knows. */
  #doubts = 0;
  /** The same at the hello of the last connection that the server has admitted. */
  known = 0;
  /** A stranger may have sent a hello in the device's name, with an unknown position. */
  isClaimed = false;
  readonly #to: Addressee;
  /** The doubts at each greeting, and what the greeting denied. */
  readonly #greeted = new WeakMap<object, { doubts: number; undone: Message[] }>();
  /** The message that its application had not finished when it died: the server was told that it had not arrived. */
  readonly #undone = new Set<Message>();

  constructor(to: Addressee) {
    this.#to = to;
  }

  /** The device has forgotten what it has, or the server has forgotten whether that may be so. */
  forgot(): void {
    this.#doubts++;
  }

  /**
   * The server has read a hello, maybe after it has admitted the device on a newer connection.
   *
   * @param isTold Whether it names the server's stream. If not, the device may have forgotten what it has.
   */
  heardHello(isTold: boolean): void {
    if (!isTold) this.forgot();
  }

  /** The device has a link. */
  linkUp(connection: object): void {
    const { older, toDevice } = this.#to;
    const undone = [...toDevice.all()].filter(({ seen, repeats, memory }) =>
      seen > 0 && repeats > 0 && memory === older.memory
    );
    this.#greeted.set(connection, { doubts: this.#doubts, undone });
  }

  /** The server has admitted it. Messages written before may still be sent on an older connection. */
  admitted(connection: object): void {
    const greeting = this.#greeted.get(connection);
    if (!greeting) return;
    this.known = greeting.doubts;
    for (const message of greeting.undone) this.#undone.add(message);
  }

  /** The device's application has a message. */
  seen(message: Message): void {
    this.#undone.delete(message);
  }

  /** Whether its deadline is ahead. A store keeps times in whole ms. */
  isOfUse({ expires }: Message): boolean {
    return expires - 2 > this.#to.now();
  }

  /** The server reports that a message was not delivered in time. @param isKnown Whether it says
   * that it never will be */
  expired(message: Message, isKnown: boolean): void {
    const { id, mayBeFirst, older } = this.#to;
    const fail = (what: string) => {
      throw new Violation(`${id}: ${JSON.stringify(message.text.slice(0, 60))} ${what}`);
    };
    if (this.isOfUse(message)) fail("expires too early");
    message.excused = true;
    older.expired();
    if (older.isReplaced) return; // by a store that does not know its outcome
    if (!isKnown) {
      if (mayBeFirst || this.isClaimed || message.since !== this.#doubts) return;
      fail("is undecided, and the device can say what it has");
    }
    if (message.extra > 0) { // it was written twice, and the other one counts
      message.extra--;
      message.repeats--;
      return;
    }
    if (message.told) fail("has arrived, and expires");
    if (message.seen > 0 && !this.#undone.has(message)) fail("expires, and was seen");
    message.gone = true;
  }
}
