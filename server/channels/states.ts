/**
 * What the channels of one device should be, and what they are. It is kept in the device's memos, so it becomes safe
 * together with its messages; nothing else is remembered but what follows from them. No clock, no disk, no link.
 *
 * A desired value becomes a message when none of its channel is on its way: so a thousand settings in an outage become
 * one. The device answers each with what the channel is now, and repeats the setting's tag. What it reports before that
 * answer is older than the setting; what it reports afterwards is newer: somebody has changed it there.
 */
import type { DeviceRecord } from "../link/record.ts";
import { valueOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";

/** Channels of a device that are kept. */
export const MOST_CHANNELS = 256;

/** Those of requests are greater. */
const MOST_TAG = 4_999_999_999;

/** So often a setting is sent for an answer that nobody awaited: a device that answers twice would be told for ever. */
const MOST_AGAIN = 3;

/** Longest text of a value that is kept, in UTF-16 units. */
export const LONGEST_VALUE = 1024;

/** What somebody wants a channel to be. */
export interface Setting {
  /** As it is sent. */
  readonly text: string;
  /** When that was said, in ms since 1970. */
  readonly at: number;
  /** Who says so. */
  readonly by: string;
}

/** What a device has told of a channel. */
export interface Report {
  readonly text: string;
  /** When it came, in ms since 1970. */
  readonly at: number;
  /** When it was taken, if the device has stamped it; null: the server does not know that. */
  readonly taken?: number | null;
}

/** What is known of a channel. */
export interface ChannelState {
  readonly desired?: Setting;
  readonly reported?: Report;
  /** Why the device does not take what is desired. */
  readonly fault?: string;
  /** Whether the device must still be told what is desired. */
  readonly isDue?: boolean;
  /** Tag of the setting that was sent last. */
  readonly tag?: string;
  /** The device has not answered that one. */
  readonly isAwaited?: boolean;
  /** How often it was sent for an answer that nobody awaited. */
  readonly again?: number;
}

/** What a change at the device itself comes to: it "wins" and is what is desired from now on, or it "loses" and is set back. */
export type LocalRule = "wins" | "loses";

/** The number of the next setting of a channel. */
export function nextTag({ tag = "0" }: ChannelState): string {
  return String(Number(tag) % MOST_TAG + 1);
}

const UNKNOWN: ChannelState = {};

/** A memo's key of a channel. */
const MARK = "=";

/** Whether anything is known of a device's channels. */
export function hasChannels(record: DeviceRecord): boolean {
  for (const key of record.memos.keys()) if (key.startsWith(MARK)) return true;
  return false;
}

/** Whether a device has what it should have, as far as that is known. */
export function isMet(state: ChannelState): boolean {
  const { desired, reported, fault } = state;
  if (!desired) return true;
  return fault === undefined && !isOpen(state) && isSame(reported, desired);
}

/** Whether the device may not have what is desired: what it reports may be older. */
function isOpen({ isDue = false, isAwaited = false }: ChannelState): boolean {
  return isDue || isAwaited;
}

/** Whether this is the answer that is awaited. */
function isAnswered({ tag: sent, isAwaited = false }: ChannelState, tag?: string): boolean {
  return isAwaited && tag === sent;
}

/** Whether they say the same value, perhaps in other words: 20 and 20.0. */
function isSame(one: { text: string } | undefined, other: { text: string }): boolean {
  if (one === undefined || one.text === other.text) return one !== undefined;
  const [a, b] = [valueOf(one.text), valueOf(other.text)];
  if (typeof a !== "object" || typeof b !== "object") return a === b;
  return JSON.stringify(a) === JSON.stringify(b);
}

export class States {
  readonly #record: DeviceRecord;
  #due: Set<string> | undefined;
  /** What was looked at last: one change looks at its channel several times. */
  #last: { text: string; state: ChannelState } | undefined;

  constructor(record: DeviceRecord) {
    this.#record = record;
    this.index();
  }

  /** Looks at all of them again. */
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

  /** It is known as it was, after a change that never was. */
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
   * Sets what is desired. If it is already so, who said it and when stays as it was.
   *
   * @throws {LocalError} BAD_ARGUMENT: there are too many channels
   */
  set(name: string, desired: Setting): void {
    this.#checkRoom(name);
    const { fault, again: _, ...state } = this.get(name);
    // Said already: the device has it, or will.
    const isSaid = fault === undefined && isSame(state.desired, desired);
    if (isSaid && (isOpen(state) || isSame(state.reported, desired))) return;
    this.put(name, { ...state, desired, isDue: true });
  }

  /** The setting is sent, with `nextTag`. */
  sent(name: string, tag: string): void {
    const { isDue: _, ...state } = this.get(name);
    this.put(name, { ...state, tag, isAwaited: true });
  }

  /** The setting is longer than what the device takes. */
  unsendable(name: string): void {
    const { isDue: _, ...state } = this.get(name);
    this.put(name, { ...state, fault: "too_long" });
  }

  /** What the channel is if the device answers so without a value; undefined: unknown. */
  confirmed(name: string, tag?: string): string | undefined {
    const state = this.get(name);
    // Nothing else was desired since then, if nothing is due.
    return isAnswered(state, tag) && !state.isDue ? state.desired?.text : undefined;
  }

  /**
   * The device has taken a setting.
   *
   * @param text What the channel is now, if it says that; else it is as it was sent.
   * @returns what is known to be reported by that
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
   * An answer came that nobody awaits. The one that was taken for it was perhaps to another setting with its tag, from
   * before the device was forgotten: then what it has said since was older than it seemed. It is told again. A device
   * that was forgotten several times may have such an answer from each of them.
   */
  #putUnawaited(name: string, state: ChannelState): void {
    const { fault: _, ...rest } = state;
    const { desired, reported, again = 0 } = state;
    const isWrong = desired && again < MOST_AGAIN && !isOpen(state) && !isSame(reported, desired);
    this.put(name, isWrong ? { ...rest, isDue: true, again: again + 1 } : state);
  }

  /** The device does not take a setting. */
  refused(name: string, tag: string | undefined, fault: string): void {
    const state = this.get(name);
    if (!isAnswered(state, tag)) return this.#putUnawaited(name, state);
    const { isAwaited: _, ...rest } = state;
    this.put(name, rest.isDue ? rest : { ...rest, fault });
  }

  /** The device says unasked what a channel is. */
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
   * Settings that were sent may not have been taken by the device as it is now: all are due again.
   *
   * @returns the channels that were met until now
   */
  forgotten(): string[] {
    const met: string[] = [];
    for (const name of this.names()) {
      if (this.#due?.has(name)) continue; // a device may say so in every line
      const state = this.get(name);
      if (!state.desired) continue;
      if (isMet(state)) met.push(name);
      const { fault: _, ...rest } = state;
      this.put(name, { ...rest, isDue: true });
    }
    return met;
  }

  /** Whether a report tells something new, and is neither older than what was set nor to be set back. */
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

  /** Whether a channel is known, or could be. */
  hasRoom(name: string): boolean {
    return this.has(name) || this.names().length < MOST_CHANNELS;
  }

  #checkRoom(name: string): void {
    if (this.hasRoom(name)) return;
    const message = `a device may have ${MOST_CHANNELS} channels at most: ${
      JSON.stringify(name)
    } is one more`;
    throw new LocalError("BAD_ARGUMENT", message);
  }
}
