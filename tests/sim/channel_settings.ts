/** What somebody wants channels to be, and what is to become safe together. */
import { Violation } from "../../bridge/testing/violation.ts";

/** Whose channels they are. */
export interface Subject {
  readonly id: string;
  /** It is said to be safe. */
  safe(setting: Setting): void;
  /** It is said that it was not set. */
  failed(setting: Pick<Setting, "channel" | "value">): void;
}

/** Which process wants something of a device. */
export interface From {
  /** In one life; undefined: nobody's. */
  readonly process: object | undefined;
  /** It did not have the device then, as far as it knew: that is posted. */
  readonly isDistant: boolean;
}

/** Of somebody who is no process of ours. */
export const NOBODY: From = { process: undefined, isDistant: false };

/** Whatever has the device does it. */
export const ALL = (): boolean => true;

/** What somebody wants a channel to be. */
export interface Setting {
  readonly books: Subject;
  readonly channel: string;
  readonly value: unknown;
  /** Somebody has changed it at the device. */
  readonly isLocal: boolean;
  readonly from: From;
  readonly attempt: Attempt | undefined;
  /** When that was said, or counts as said, and when it was known to be safe: numbers that grow. */
  calledAt: number;
  safeAt: number;
  /** Its number among all that was posted, if it was. From then on it is accepted. */
  postedAt: number | undefined;
  /** The store has had it, or a message with it. */
  isKept: boolean;
  /** It has never been. */
  hasFailed: boolean;
  /** The device was forgotten, and with it what it should be. */
  isForgotten: boolean;
  /** Somebody has published it at a broker, who sends it again until the server has it. */
  readonly isPublished: boolean;
  /** And may do so once too often. */
  mayRepeat: boolean;
}

/** What is to become safe in one step. */
export class Attempt {
  readonly settings: Setting[] = [];
  /** Tag of the device's question. */
  asked: string | undefined;
  isEffectKept = false;
  hasFailed = false;

  /** @param of The device whose message is processed by this, if one is. */
  constructor(readonly name: string, readonly of?: string) {}

  /** Its application is told that nothing of it has happened. */
  fail(): void {
    this.hasFailed = true;
    if (this.isEffectKept) throw new Violation(`${this.name} is said to have failed, and is safe`);
    for (const { books, ...setting } of this.settings) books.failed(setting);
  }
}
