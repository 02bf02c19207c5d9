import { distance } from "../link/dialect2.ts";
import { LocalError } from "../protocol/errors.ts";
import { formatMarked, parseMarked, type Value, valueOf } from "../protocol/channel_lines.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Above } from "../runtime/device_host.ts";
import type { Operation, SetOptions } from "../store/transaction.ts";
import type { Events } from "../observe/events.ts";
import {
  type ChannelState,
  isMet,
  type LocalRule,
  LONGEST_VALUE,
  nextTag,
  type Report,
  type States,
} from "./states.ts";
import type { Timekeeper } from "./clock.ts";
import type { Links } from "./links.ts";
import type { Observer } from "./channel.ts";
import { OWN_DESCRIPTION } from "./described.ts";
import { ForeignRequests } from "./foreign_requests.ts";
import { checkSetting } from "./setting.ts";
import { type Description, wrongReport } from "./description.ts";
import type { Descriptions } from "./descriptions.ts";
import type { Desired, Reported, RunningApplication, Thing } from "./thing.ts";
import { APPLICATION, momentOf, ThingRecord, type Times } from "./thing_record.ts";
import { type Answer, type RequestOptions, Requests } from "../protocol/requests.ts";

/** Tags of requests start here; those of settings are less. */
export const FIRST_TAG = 5_000_000_000;

/** Longest version that is kept, in UTF-16 units; a longer one is cut off. */
const LONGEST_VERSION = 256;

/** Keys of memos that a boot message may write. */
const MEMOS = [APPLICATION, OWN_DESCRIPTION];

/** What the things of a server share. */
export interface ThingHost {
  readonly events: Events;
  readonly links: Links;
  readonly timekeeper: Timekeeper;
  readonly descriptions: Descriptions;
  readonly observer: Observer | undefined;
}

/** Implements `Thing`: turns desired values into messages, and what the device reports into operations. */
export class ThingDriver implements Thing, Above {
  readonly id: string;
  readonly #device: DeviceDriver;
  readonly #host: ThingHost;
  readonly #read: ThingRecord;
  readonly #states: States;
  /** Whether several applications handle its messages: one that fails must not hold up the others for ever. */
  isShared = false;
  readonly #closing = new Set<(reason: LocalError) => void>();
  readonly #underWay = new Map<string, number>(); // by channel, the number of the message that carries its setting
  readonly #requests: Requests;
  readonly #foreign: ForeignRequests;

  constructor(device: DeviceDriver, host: ThingHost) {
    this.id = device.id;
    this.#device = device;
    this.#host = host;
    const { record } = device.session;
    this.#read = new ThingRecord(record, host.descriptions);
    this.#states = this.#read.states;
    this.#requests = new Requests({
      name: "the device",
      firstTag: FIRST_TAG,
      write: (line, expires) => device.write(line, { expires }),
      after: (ms, run) => device.clock.after(ms, run),
    });
    this.#foreign = new ForeignRequests(device, () => this.now);
    for (const { text, seq } of record.outbox) {
      const marked = parseMarked(text);
      if (marked?.mark === "set") this.#underWay.set(marked.name, seq);
    }
  }

  /** The device that has these channels. */
  get device(): DeviceDriver {
    return this.#device;
  }

  /** Whether it must stay in memory, because links depend on it. */
  get isKept(): boolean {
    return this.links.concern(this.id);
  }

  /** The links of the server. */
  get links(): Links {
    return this.#host.links;
  }

  /** Receives what all devices report. */
  get observer(): Observer | undefined {
    return this.#host.observer;
  }

  get connected(): boolean {
    return this.#device.connected;
  }

  get channels(): string[] {
    return this.#read.channels;
  }

  desired(channel: string): Desired | undefined {
    return this.#read.desired(channel);
  }

  reported(channel: string): Reported | undefined {
    return this.#read.reported(channel);
  }

  async set(channel: string, value: unknown, options: SetOptions = {}): Promise<void> {
    const { closed } = this.#device;
    if (closed) throw closed; // not UNKNOWN_DEVICE, if the device was forgotten
    await this.#device.transact((tx) => tx.set(this.id, channel, value, options));
  }

  request(
    channel: string,
    value?: unknown,
    options: RequestOptions = {},
  ): Promise<Value | undefined> {
    return this.#device.pace.keep(this.#requests.ask(channel, value, options));
  }

  /** What `set` does, as a part of a transaction. @throws {LocalError} BAD_ARGUMENT */
  setting(channel: string, value: unknown, { by = "server" }: SetOptions): Operation {
    const text = checkSetting(channel, value, by, this.description);
    const at = this.now;
    const operation = this.#operation(channel, () => this.#states.set(channel, { text, at, by }));
    const done = () => {
      operation.done();
      const about = { device: this.id, channel, value: valueOf(text), by };
      this.#host.events.emit({ event: "set", ...about });
    };
    return { ...operation, done };
  }

  /**
   * A change of a channel's state, as a part of a transaction.
   *
   * @param change Returns the report that it makes, if any.
   */
  #operation(channel: string, change: (states: States) => Report | void): Operation {
    let report: Report | void;
    let before: ChannelState;
    let sent = false;
    const states = this.#states;
    return {
      device: this.#device,
      apply: () => {
        before = states.get(channel);
        report = change(states);
        sent = this.#send(channel);
      },
      undo: () => {
        if (sent) this.#unsend(channel);
        states.put(channel, before);
      },
      done: () => {
        this.#tell(channel, before, report);
        this.#device.session.resume();
        this.#device.touch();
      },
    };
  }

  #tell(channel: string, before: ChannelState, report: Report | void): void {
    const { id: device } = this;
    if (report) {
      const value = valueOf(report.text);
      this.#host.events.emit({ event: "reported", device, channel, value, ...momentOf(report) });
    }
    const isNow = isMet(this.#states.get(channel));
    if (isNow === isMet(before)) return;
    this.#host.events.emit({ event: isNow ? "met" : "parted", device, channel });
  }

  /** Settings that the device had already accepted must be sent again. */
  #parted(met: readonly string[]): void {
    for (const channel of met) {
      this.#host.events.emit({ event: "parted", device: this.id, channel });
    }
  }

  /** Whether a channel was ever set or reported. */
  knows(channel: string): boolean {
    return this.#states.has(channel);
  }

  /** Whether a report is news: not known already, not older than the setting, and not to be set back. */
  isNews(channel: string, text: string, rule: LocalRule): boolean {
    return this.#states.isNews(channel, text, rule);
  }

  /** Whether a channel is known, or there is room for it. */
  hasRoom(channel: string): boolean {
    return this.#states.hasRoom(channel);
  }

  /** Now, in ms since 1970. */
  get now(): number {
    return this.#host.timekeeper.date;
  }

  /** When a message came, and when its reading was taken if it has a stamp. @param index Its place in the inbox */
  timesOf(stamp: number | undefined, index: number): Times {
    const at = this.now;
    if (stamp === undefined) return { at };
    const { record } = this.#device.session;
    const number = record.positions.processed + index;
    const taken = this.#host.timekeeper.takenAt(record, number, stamp);
    return { at, taken: taken ?? null };
  }

  /** The device's application has started, and knows nothing of earlier settings. */
  started(name: string, version: string, description: string | undefined): Operation {
    const { record } = this.#device.session;
    let before: [string, string | undefined][];
    let met: string[] = [];
    return {
      device: this.#device,
      apply: () => {
        before = MEMOS.map((key) => [key, record.memos.get(key)]);
        before.push(...record.memos);
        met = this.#states.forgotten();
        record.setMemo(APPLICATION, JSON.stringify([name, version.slice(0, LONGEST_VERSION)]));
        this.#read.described.keep(description);
      },
      undo: () => {
        for (const [key, text] of before) record.setMemo(key, text);
        this.#states.index();
      },
      done: () => {
        this.#host.events.emit({ event: "described", device: this.id });
        this.#parted(met);
        this.#device.touch();
      },
    };
  }

  /** The device has reported a channel unasked. */
  reporting(channel: string, report: Report, rule: LocalRule): Operation {
    return this.#operation(channel, (states) => {
      states.reported(channel, report, rule);
      return report;
    });
  }

  /** A request has its answer. */
  #settle(answer: Answer): void {
    if (this.#requests.answered(answer)) return;
    const { name: channel, tag = "" } = answer;
    const what = answer.mark === "fault" ? { fault: answer.code } : valueIn(answer);
    this.#host.events.emit({ event: "late_answer", device: this.id, channel, tag, ...what });
  }

  /** See `ForeignRequests.asking`. */
  asking(tag: string, from: string, deadline: number, writing: Operation): Operation {
    return this.#foreign.asking(tag, from, deadline, writing);
  }

  /** The device has answered a request or a setting. */
  answered(answer: Answer, at: number): Operation {
    const returning = this.#foreign.answered(answer);
    if (returning) return returning;
    if (isOfRequest(answer)) return this.afterwards(() => this.#settle(answer));
    const { name: channel, tag } = answer;
    const { desired } = this.#states.get(channel);
    if (!desired) return this.afterwards(() => this.#settle(answer)); // it answers no setting
    if (answer.mark === "fault") {
      return this.#operation(channel, (states) => states.refused(channel, tag, answer.code));
    }
    const { value: text } = answer;
    if (text !== undefined && text.length > LONGEST_VALUE) {
      return this.#operation(channel, (states) => states.refused(channel, tag, "too_long"));
    }
    const wrong = text === undefined ? undefined : this.wrongReport(channel, text);
    if (wrong !== undefined) {
      const operation = this.#operation(
        channel,
        (states) => states.refused(channel, tag, "bad_value"),
      );
      return { ...operation, done: () => (operation.done(), this.warn("BAD_VALUE", wrong)) };
    }
    return this.#operation(channel, (states) => states.answered(channel, at, tag, text));
  }

  /** The channel's value according to an answer; undefined: the answer has none. */
  reportedBy(answer: Answer): string | undefined {
    const { name: channel, tag } = answer;
    const isOfSetting = !isOfRequest(answer) && this.#states.get(channel).desired;
    if (!isOfSetting || answer.mark !== "answer") return undefined;
    const text = answer.value ?? this.#states.confirmed(channel, tag);
    if (text === undefined || text.length > LONGEST_VALUE) return undefined;
    return this.wrongReport(channel, text) === undefined ? text : undefined;
  }

  /** Why a channel cannot have this value; undefined: it can. */
  wrongReport(channel: string, text: string): string | undefined {
    const { description } = this;
    return description && wrongReport(description, channel, valueOf(text));
  }

  /** An operation that runs a function when the transaction is safe. */
  afterwards(done: () => void): Operation {
    return { device: this.#device, apply() {}, undo() {}, done };
  }

  /** Reports a line from the device: one of its log, or one that no application takes. */
  tell(event: "log" | "plain_line", message: string): void {
    this.#host.events.emit({ event, device: this.id, message });
  }

  /** Warns of an invalid value from the device. */
  warn(code: "BAD_VALUE" | "BAD_DESCRIPTION", message: string): void {
    this.#host.events.emit({ event: "warning", device: this.id, code, message });
  }

  get description(): Description | undefined {
    return this.#read.description;
  }

  /** An application here describes channels of the device. */
  describe(description: Description): void {
    if (!this.#read.described.add(description)) return;
    this.#host.events.emit({ event: "described", device: this.id });
  }

  /** An application has failed with a message, which comes again; or, with `restartIn`, its whole run has failed. */
  failed(error: unknown, restartIn?: number): void {
    const message = error instanceof Error && error.stack || String(error);
    const restart = restartIn === undefined ? {} : { restartIn };
    this.#host.events.emit({ event: "app_failed", device: this.id, message, ...restart });
  }

  /** One of its applications has returned. */
  ended(message: string): void {
    this.#host.events.emit({ event: "app_ended", device: this.id, message });
  }

  get application(): RunningApplication | undefined {
    return this.#read.application;
  }

  /** All changes so far are safe: settings that are due become messages, if there is a link. */
  out(): void {
    let isAnySent = false;
    for (const channel of this.#states.due) isAnySent = this.#send(channel) || isAnySent;
    if (!isAnySent) return;
    this.#device.session.resume();
    this.#device.touch();
  }

  /** Makes a message of a desired value if it is due and no other of that channel is under way. */
  #send(channel: string): boolean {
    const { session, clock } = this.#device;
    if (!session.connected || this.#isUnderWay(channel)) return false;
    const state = this.#states.get(channel);
    const { desired, isDue = false } = state;
    if (!desired || !isDue) return false;
    const { txNext } = session.record.positions;
    const tag = nextTag(state);
    const line = formatMarked({ mark: "set", name: channel, tag, value: desired.text });
    try {
      const now = clock.now();
      session.enqueue(...session.check(line, {}, now), now);
    } catch (error) {
      if (error instanceof LocalError && error.code === "OUTBOX_FULL") return false; // it is sent when there is room
      if (!(error instanceof LocalError)) throw error;
      this.#states.unsendable(channel);
      return false;
    }
    this.#underWay.set(channel, txNext);
    this.#states.sent(channel, tag);
    return true;
  }

  #unsend(channel: string): void {
    this.#device.session.unenqueue();
    this.#underWay.delete(channel);
  }

  #isUnderWay(channel: string): boolean {
    const number = this.#underWay.get(channel);
    if (number === undefined) return false;
    const { txFirst } = this.#device.session.record;
    if (distance(txFirst, number) >= 0) return true;
    this.#underWay.delete(channel);
    return false;
  }

  /** All messages to the device were dropped. */
  cleared(): void {
    this.#underWay.clear();
    this.#parted(this.#states.forgotten());
  }

  /** Calls a function when the thing is closed. @returns a function that cancels this */
  whenClosed(told: (reason: LocalError) => void): () => void {
    this.#closing.add(told);
    return () => void this.#closing.delete(told);
  }

  /** Closes the thing. */
  close(reason: LocalError): void {
    this.#requests.close(reason);
    for (const told of this.#closing) told(reason);
  }
}

/** Whether an answer belongs to a request: settings have other tags. */
function isOfRequest({ tag = "0" }: Answer): boolean {
  return Number(tag) >= FIRST_TAG;
}

function valueIn({ value }: { value?: string }): { value?: Value } {
  return value === undefined ? {} : { value: valueOf(value) };
}
