/**
 * The desired and reported state of one device's channels. It is kept in the device's memos, so it becomes safe
 * together with its messages; everything else is derived from them. No clock, no disk, no link.
 *
 * A desired value becomes a message when no other setting of its channel is under way, so a thousand settings in an
 * outage become one. The device answers each with the channel's present value, and repeats the setting's tag. A report
 * before that answer is older than the setting; a report after it is newer: the channel was changed at the device.
 */
import type { DeviceRecord } from "../link/record.ts";
import { valueOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";

/** Most channels of a device that are kept. */
export const MOST_CHANNELS = 256;

/** Greatest tag of a setting; those of requests are greater. */
const MOST_TAG = 4_999_999_999;

/**
 * How often a setting is sent again because of an unexpected answer; otherwise a device that answers twice would be
 * sent it for ever.
 */
const MOST_AGAIN = 3;

/** Longest text of a value that is kept, in UTF-16 units. */
export const LONGEST_VALUE = 1024;

/** A desired value of a channel. */
export interface Setting {
  /** As it is sent. */
  readonly text: string;
  /** When it was set, in ms since 1970. */
  readonly at: number;
  /** Who set it. */
  readonly by: string;
}

/** A value that a device has reported. */
export interface Report {
  readonly text: string;
  /** When it came, in ms since 1970. */
  readonly at: number;
  /** When it was taken, if the device has stamped it; null: the server cannot tell. */
  readonly taken?: number | null;
}

/** What is known of a channel. */
export interface ChannelState {
  readonly desired?: Setting;
  readonly reported?: Report;
  /** Why the device refuses the desired value. */
  readonly fault?: string;
  /** Whether the desired value must still be sent to the device. */
  readonly isDue?: boolean;
  /** Tag of the setting that was sent last. */
  readonly tag?: string;
  /** Whether the device has yet to answer that one. */
  readonly isAwaited?: boolean;
  /** How often it was sent again because of an unexpected answer. */
  readonly again?: number;
}

/**
 * The effect of a change at the device itself: it "wins" and becomes the desired value, or it "loses" and is set back.
 */
export type LocalRule = "wins" | "loses";

/** The number of the next setting of a channel. */
export function nextTag({ tag = "0" }: ChannelState): string {
  return String(Number(tag) % MOST_TAG + 1);
}

const UNKNOWN: ChannelState = {};

/** Prefix of a channel's memo key. */
const MARK = "=";

/** Whether anything is known of a device's channels. */
export function hasChannels(record: DeviceRecord): boolean {
  for (const key of record.memos.keys()) if (key.startsWith(MARK)) return true;
  return false;
}

/** Whether a channel has its desired value, as far as known. */
export function isMet(state: ChannelState): boolean {
  const { desired, reported, fault } = state;
  if (!desired) return true;
  return fault === undefined && !isOpen(state) && isSame(reported, desired);
}

/** Whether the device may not have the desired value yet, so that its reports may be older. */
function isOpen({ isDue = false, isAwaited = false }: ChannelState): boolean {
  return isDue || isAwaited;
}

/** Whether this is the answer that is awaited. */
function isAnswered({ tag: sent, isAwaited = false }: ChannelState, tag?: string): boolean {
  return isAwaited && tag === sent;
}

/** Whether two texts mean the same value, such as 20 and 20.0. */
function isSame(one: { text: string } | undefined, other: { text: string }): boolean {
  if (one === undefined || one.text === other.text) return one !== undefined;
  const [a, b] = [valueOf(one.text), valueOf(other.text)];
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  return JSON.stringify(a) === JSON.stringify(b);
}

export class States {
  readonly #record: DeviceRecord;
  #due: Set<string> | undefined;
  /** The channel parsed last: one change reads its channel several times. */
  #last: { text: string; state: ChannelState } | undefined;

  constructor(record: DeviceRecord) {
    this.#record = record;
    this.index();
  }

  /** Rebuilds the index of settings that are due. */
  index(): void {
    this.#due?.clear();
    for (const name of this.names()) this.#index(name, this.get(name));
  }

  /** Channels that have a desired or a reported value. */
  names(): string[] {
    return [...this.#record.memos.keys()].filter((key) => key.startsWith(MARK))
      .map((key) => key.slice(MARK.length));
  }

  get(name: string): ChannelState {
    const text = this.#record.memos.get(MARK + name);
    if (text === undefined) return UNKNOWN;
    if (this.#last?.text !== text) this.#last = { text, state: JSON.parse(text) };
    return this.#last.state;
  }

  /** Channels whose setting must still be sent to the device. */
  get due(): Iterable<string> {
    return this.#due ?? [];
  }

  /** Restores a channel's state after a change that was rolled back. */
  put(name: string, state: ChannelState): void {
    const text = JSON.stringify(state);
    this.#record.setMemo(MARK + name, text === "{}" ? undefined : text);
    this.#last = { text, state };
    this.#index(name, state);
  }

  #index(name: string, { isDue = false }: ChannelState): void {
    if (isDue) (this.#due ??= new Set()).add(name);
    else this.#due?.delete(name);
  }

  /**
   * Sets the desired value. If it is the same already, its author and time stay.
   *
   * @throws {LocalError} BAD_ARGUMENT: there are too many channels
   */
  set(name: string, desired: Setting): void {
    this.#checkRoom(name);
    const { fault, again: _, ...state } = this.get(name);
    // Already set: the device has it, or will get it.
    const isSaid = fault === undefined && isSame(state.desired, desired);
    if (isSaid && (isOpen(state) || isSame(state.reported, desired))) return;
    this.put(name, { ...state, desired, isDue: true });
  }

  /** The setting was sent, with `nextTag`. */
  sent(name: string, tag: string): void {
    const { isDue: _, ...state } = this.get(name);
    this.put(name, { ...state, tag, isAwaited: true });
  }

  /** The setting is longer than the device accepts. */
  unsendable(name: string): void {
    const { isDue: _, ...state } = this.get(name);
    this.put(name, { ...state, fault: "too_long" });
  }

  /** The channel's value if the device answers without one; undefined: unknown. */
  confirmed(name: string, tag?: string): string | undefined {
    const state = this.get(name);
    // If nothing is due, nothing else has been set since then.
    return isAnswered(state, tag) && !state.isDue ? state.desired?.text : undefined;
  }

  /**
   * The device has accepted a setting.
   *
   * @param text The channel's present value, if the answer has one; otherwise it is the value that
   * was sent.
   * @returns the report that follows from it
   */
  answered(name: string, at: number, tag?: string, text?: string): Report | undefined {
    const state = this.get(name);
    const { fault: _, isAwaited: _awaited, ...rest } = state;
    const isAnswer = isAnswered(state, tag);
    const known = text ?? this.confirmed(name, tag);
    if (known === undefined) {
      if (isAnswer) this.put(name, rest);
      return undefined;
    }
    const reported = { text: known, at };
    if (isAnswer) this.put(name, { ...rest, reported });
    else this.#putUnawaited(name, { ...state, reported });
    return reported;
  }

  /**
   * An unexpected answer has come. An earlier answer with this tag may have been to another setting, from before the
   * device was forgotten; then the device's reports since were older than they seemed. So the setting is sent again. A
   * device that was forgotten several times may send one such answer for each time.
   */
  #putUnawaited(name: string, state: ChannelState): void {
    const { fault: _, ...rest } = state;
    const { desired, reported, again = 0 } = state;
    const isWrong = desired && again < MOST_AGAIN && !isOpen(state) && !isSame(reported, desired);
    this.put(name, isWrong ? { ...rest, isDue: true, again: again + 1 } : state);
  }

  /** The device has refused a setting. */
  refused(name: string, tag: string | undefined, fault: string): void {
    const state = this.get(name);
    if (!isAnswered(state, tag)) return this.#putUnawaited(name, state);
    const { isAwaited: _, ...rest } = state;
    this.put(name, rest.isDue ? rest : { ...rest, fault });
  }

  /** The device has reported a channel unasked. */
  reported(name: string, reported: Report, rule: LocalRule): void {
    this.#checkRoom(name);
    const state = this.get(name);
    const { desired } = state;
    if (!desired || isOpen(state) || isSame(reported, desired)) {
      return this.put(name, { ...state, reported });
    }
    const { fault: _, again: _again, ...rest } = state;
    if (rule === "loses") return this.put(name, { ...rest, reported, isDue: true });
    const { text, taken, at: came } = reported;
    this.put(name, { ...rest, reported, desired: { text, at: taken ?? came, by: "device" } });
  }

  /**
   * The device may have lost the settings that were sent: all are due again.
   *
   * @returns the channels that had their desired value until now
   */
  forgotten(): string[] {
    const met: string[] = [];
    for (const name of this.names()) {
      if (this.#due?.has(name)) continue; // a device may cause this with every line
      const state = this.get(name);
      if (!state.desired) continue;
      if (isMet(state)) met.push(name);
      const { fault: _, ...rest } = state;
      this.put(name, { ...rest, isDue: true });
    }
    return met;
  }

  /** Whether a report is new, and neither older than the setting nor to be set back. */
  isNews(name: string, text: string, rule: LocalRule): boolean {
    const state = this.get(name);
    const report = { text };
    if (isOpen(state) || isSame(state.reported, report)) return false;
    return rule === "wins" || !state.desired || isSame(report, state.desired);
  }

  /** Whether anything is known of a channel. */
  has(name: string): boolean {
    return this.#record.memos.has(MARK + name);
  }

  /** Whether a channel is known, or there is room for it. */
  hasRoom(name: string): boolean {
    return this.has(name) || this.names().length < MOST_CHANNELS;
  }

  #checkRoom(name: string): void {
    if (this.hasRoom(name)) return;
    const message = `a device may have at most ${MOST_CHANNELS} channels: ${
      JSON.stringify(name)
    } is one more`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
}
