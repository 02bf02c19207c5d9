/** Settings of channels, and what must become safe together. */
import { Violation } from "../../bridge/testing/violation.ts";

/** The device with the channels. */
export interface Subject {
  readonly id: string;
  /** The caller is told that it is safe. */
  safe(setting: Setting): void;
  /** The caller is told that it was not set. */
  failed(setting: Pick<Setting, "channel" | "value">): void;
}

/** Which process acts on a device. */
export interface From {
  /** One run of a process; undefined: none of ours. */
  readonly process: object | undefined;
  /** It did not have the device at that time, as far as it knew, so the act is posted. */
  readonly isDistant: boolean;
}

/** Somebody who is not one of our processes. */
export const NOBODY: From = { process: undefined, isDistant: false };

/** Matches every process. */
export const ALL = (): boolean => true;

/** A setting of a channel. */
export interface Setting {
  readonly books: Subject;
  readonly channel: string;
  readonly value: unknown;
  /** Somebody has changed it at the device. */
  readonly isLocal: boolean;
  readonly from: From;
  readonly attempt: Attempt | undefined;
  /** When it was set, or counts as set, and when it was known to be safe: growing numbers. */
  calledAt: number;
  safeAt: number;
  /** Its number in the mail, if it was posted. From then on it is accepted. */
  postedAt: number | undefined;
  /** The store has had it, or a message that carries it. */
  isKept: boolean;
  /** It was not set: the store never has it. */
  hasFailed: boolean;
  /** The device was forgotten, and with it its desired values. */
  isForgotten: boolean;
  /** Somebody has published it at a broker, which sends it again until the server has it. */
  readonly isPublished: boolean;
  /** The broker may send it again although the server has it. */
  mayRepeat: boolean;
}

/** Effects that must become safe in one step. */
export class Attempt {
  readonly settings: Setting[] = [];
  /** Tag of the device's question. */
  asked: string | undefined;
  isEffectKept = false;
  hasFailed = false;

  /** @param of The device whose message this processes, if any. */
  constructor(readonly name: string, readonly of?: string) {}

  /** Its application is told that nothing of it has happened. */
  fail(): void {
    this.hasFailed = true;
    if (this.isEffectKept) throw new Violation(`${this.name} is said to have failed, and is safe`);
    for (const { books, ...setting } of this.settings) books.failed(setting);
  }
}
