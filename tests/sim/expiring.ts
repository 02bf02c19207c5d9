/** Messages to a device whose time is up: what the server may say has become of them. */
import type { OlderStore } from "./older.ts";
import { type Message, Violation } from "./promises.ts";

/** Whose messages they are. */
interface Addressee {
  readonly id: string;
  readonly mayBeFirst: boolean;
  readonly older: OlderStore;
  readonly now: () => number;
}

export class Expiring {
  /** How often the device may have forgotten what it has, as far as the server knows. */
  #doubts = 0;
  /** The same when it had a link last. */
  known = 0;
  /** Somebody else says hello in the device's name, perhaps, and that it knows nothing. */
  isClaimed = false;
  readonly #to: Addressee;

  constructor(to: Addressee) {
    this.#to = to;
  }

  /** The device has forgotten what it has, or the server, whether it may have. */
  forgot(): void {
    this.#doubts++;
  }

  /** The device has a link. */
  linkUp(): void {
    this.known = this.#doubts;
  }

  /** A store keeps times in whole ms. */
  isOfUse({ expires }: Message): boolean {
    return expires - 2 > this.#to.now();
  }

  /** The server says that a message was not delivered in time. @param isKnown And that it never will be */
  expired(message: Message, isKnown: boolean): void {
    const { id, mayBeFirst, older } = this.#to;
    const fail = (what: string) => {
      throw new Violation(`${id}: ${JSON.stringify(message.text.slice(0, 60))} ${what}`);
    };
    if (this.isOfUse(message)) fail("expires too early");
    message.excused = true;
    older.expired();
    if (older.isReplaced) return; // by a store that does not know what became of it
    if (!isKnown) {
      if (mayBeFirst || this.isClaimed || message.since !== this.#doubts) return;
      fail("is undecided, and the device can say what it has");
    }
    if (message.told) fail("has arrived, and expires");
    // A hello says nothing of what the application was not done with when the device died.
    const isUndone = message.repeats > 0 && message.memory === older.memory;
    if (message.seen > 0 && !isUndone) fail("expires, and was seen");
    message.gone = true;
  }
}
