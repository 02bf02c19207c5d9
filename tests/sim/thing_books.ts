/** The books of one device's channels: see `channel_books.ts`. */
import {
  type Marked,
  parseMarked,
  textOf,
  type Value,
  valueOf,
} from "../../server/protocol/channel_lines.ts";
import type { ChannelState } from "../../server/channels/states.ts";
import type { Thing } from "../../server/channels/thing.ts";
import type { Order } from "../../server/runtime/orders.ts";
import type { Books } from "./books.ts";
import { plain, READING, RULES, verdictOf } from "./channel_plan.ts";
import { RequestBooks } from "./channel_requests.ts";
import { ALL, type From, NOBODY, type Setting } from "./channel_settings.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { ReadingBooks } from "./reading_books.ts";
import { differs, type Truth } from "./thing_truth.ts";

/** The books of all devices. */
export interface Owner {
  /** A number that grows with each call. */
  tick(): number;
  /** The number when the last commit was done. */
  readonly committedAt: number;
  /** A setting is in the store. */
  kept(setting: Setting): void;
  /** A setting is in the store, posted for the process that has the device. */
  posted(setting: Setting): void;
  /** It is no longer posted. */
  mailEnds(setting: Setting): void;
  /** A setting is in the store that was published and takes effect again. */
  again(setting: Setting): void;
  /** A device's report is in the store. */
  told(id: string): void;
  /** The device is forgotten in the current commit. */
  forgive(id: string): void;
  /** Somebody at a broker sends something to it. @returns its deadline */
  downlink(id: string, line: string): number;
  /** The same, for a device at another server. */
  downlinkPosted(id: string, line: string): void;
}

export class ThingBooks {
  readonly requests: RequestBooks;
  readonly readings: ReadingBooks;
  /** Tags of the device's requests whose answers are or were in the store. */
  readonly answers = new Set<string>();
  /** What the server's application shows. */
  thing: Thing | undefined;
  device: Truth | undefined;
  readonly #said = new Map<string, Set<unknown>>(); // by channel
  readonly settings = new Map<string, Setting>(); // by channel and value
  #kept = new Map<string, ChannelState>(); // in the store
  #shown = new Map<string, Set<unknown>>(); // see #show
  #toldAt = new Map<string, number>(); // when the newest setting that was known to be safe was set
  #answeredAt = new Map<string, number>(); // the same for settings that the device has seen since its start
  readonly #lines = new Set<string>();
  readonly #plain = new Set<string>();
  #isDropped = false; // a message of the device was dropped
  #count = 0;

  constructor(readonly id: string, readonly all: Owner, readonly books: Books) {
    this.requests = new RequestBooks(this);
    this.readings = new ReadingBooks(id);
  }

  /** A number that nobody else uses. */
  count(): number {
    return ++this.#count;
  }

  hasSaid(line: string): boolean {
    return this.#lines.has(line);
  }

  /** A line with the same meaning that the device has not sent before: the books identify messages by their texts. */
  unique(line: string): string {
    if (this.hasSaid(line)) {
      const [head, value] = [line.replace(/ .*/, ""), line.replace(/^\S* /, "")];
      line = line.startsWith("~") ? `${line} again` : `${head}  ${JSON.stringify(valueOf(value))}`;
      while (this.hasSaid(line)) line = line.replace(" ", "  ");
    }
    this.#lines.add(line);
    return line;
  }

  // Events of the device.

  deviceStarts(): void {
    this.#answeredAt.clear();
  }

  says(text: string): void {
    if (!parseMarked(text)) this.#plain.add(text);
  }

  /** A channel has changed at the device, which will report it. */
  changedThere(channel: string, value: unknown): void {
    this.#says(channel, value);
    if (!(channel in RULES)) return;
    this.settings.set(key(channel, value), this.#setting(channel, value, { isLocal: true }));
  }

  #says(channel: string, value: unknown): void {
    const said = this.#said.get(channel) ?? new Set();
    this.#said.set(channel, said.add(plain(value)));
  }

  #setting(channel: string, value: unknown, more: Partial<Setting> = {}): Setting {
    const calledAt = this.all.tick();
    return {
      books: this,
      channel,
      value,
      isLocal: false,
      from: NOBODY,
      attempt: undefined,
      calledAt,
      safeAt: Infinity,
      postedAt: undefined,
      isKept: false,
      hasFailed: false,
      isForgotten: false,
      isPublished: false,
      mayRepeat: false,
      ...more,
    };
  }

  /** The device gets a setting, and answers it. */
  settingSeen(channel: string, value: unknown): void {
    const setting = this.#find(channel, value);
    if (!setting || setting.hasFailed) {
      throw this.#violation(channel, value, "is sent, and not set");
    }
    const answeredAt = this.#answeredAt.get(channel) ?? 0;
    if (setting.safeAt < answeredAt && !setting.mayRepeat) {
      throw this.#violation(channel, value, "is sent after something newer");
    }
    this.#answeredAt.set(channel, Math.max(answeredAt, setting.calledAt));
    const verdict = verdictOf(value);
    if (verdict !== "bad_value") this.#says(channel, verdict.value);
  }

  requestSeen(...seen: Parameters<RequestBooks["seen"]>): ReturnType<RequestBooks["seen"]> {
    return this.requests.seen(...seen);
  }

  /** The device gets an answer, or a fault. */
  deviceAnswered({ name, tag }: Extract<Marked, { mark: "answer" | "fault" }>): void {
    if (tag === undefined ? !name.startsWith("x") : !this.answers.has(tag)) {
      throw new Violation(`${this.id}: an answer of ${name} that nobody has given`);
    }
  }

  // Events of the server's application.

  /** Somebody sets a channel. */
  sets(
    channel: string,
    value: unknown,
    more: Partial<Pick<Setting, "attempt" | "from" | "isPublished">>,
  ): Setting {
    const setting = this.#setting(channel, value, more);
    this.settings.set(key(channel, value), setting);
    more.attempt?.settings.push(setting);
    return setting;
  }

  /** Somebody at a broker sets it. */
  published(channel: string, value: unknown): Setting {
    return this.sets(channel, value, { isPublished: true });
  }

  /** A process has posted something for the one that has the device. @param number Number of the mail, which grows */
  posted(order: Order, number: number): void {
    if ("write" in order) return this.#messagePosted(order.write);
    if (!("set" in order)) throw new Violation(`${this.id}: who has it cleared, or forgotten?`);
    const { set: channel, value } = order;
    const setting = this.#find(channel, value);
    if (!setting || setting.hasFailed) {
      throw this.#violation(channel, value, "is posted, and not set");
    }
    setting.postedAt = number;
    this.all.posted(setting);
  }

  #messagePosted(line: string): void {
    const marked = parseMarked(line);
    if (marked?.mark === "event") return this.all.downlinkPosted(this.id, line);
    if (marked?.mark !== "ask") throw new Violation(`${this.id}: who has posted ${line}?`);
    this.requests.posted(valueOf(marked.value));
  }

  /** Mail has ended in the current commit. */
  mailEnds(order: Order): void {
    if ("set" in order) this.all.mailEnds(this.#find(order.set, order.value)!);
  }

  #find(channel: string, value: unknown): Setting | undefined {
    return this.settings.get(key(channel, value));
  }

  /** The caller is told that it is safe. */
  safe(setting: Setting): void {
    const { channel, value, calledAt } = setting;
    const { desired } = this.#kept.get(channel) ?? {};
    const newer = desired && this.#find(channel, valueOf(desired.text));
    const isAccepted = setting.isKept || setting.postedAt !== undefined;
    if (!isAccepted && !setting.isForgotten && (!newer || newer.safeAt < calledAt)) {
      throw this.#violation(channel, value, "is said to be set safely, and is not");
    }
    if (isAccepted && !setting.isKept) return; // it counts as newer when it is carried out
    setting.safeAt = this.all.tick();
    this.#toldAt.set(channel, Math.max(calledAt, this.#toldAt.get(channel) ?? 0));
  }

  /** The caller is told that it was not set. */
  failed({ channel, value }: Pick<Setting, "channel" | "value">): void {
    const setting = this.#find(channel, value)!;
    setting.hasFailed = true;
    if (setting.isKept || setting.postedAt !== undefined) {
      throw this.#violation(channel, value, "has failed, and was set");
    }
  }

  /** A message of the device was processed. */
  processed(text: string): void {
    const marked = parseMarked(text);
    if (marked?.mark === "answer" || marked?.mark === "fault") {
      this.requests.processed(marked.tag ?? "");
    }
    if (marked?.mark === "answer" && marked.value !== undefined) {
      this.#show(marked.name, valueOf(marked.value));
    }
    if (marked?.mark !== "set") return;
    this.#show(marked.name, valueOf(marked.value));
    const setting = this.#find(marked.name, valueOf(marked.value));
    if (setting?.isKept) setting.safeAt = Math.min(setting.safeAt, this.all.tick());
  }

  /** A value may be reported: it was in the store, or its message was processed together with a newer one. */
  #show(channel: string, value: Value): void {
    this.#shown.set(channel, (this.#shown.get(channel) ?? new Set()).add(plain(value)));
  }

  // Reports of the server.

  /** The server reports a value of the device. */
  reported(channel: string, value: Value): void {
    if (!this.#shown.get(channel)?.has(plain(value))) {
      throw this.#violation(channel, value, "is told, and is not safe");
    }
  }

  met(channel: string): void {
    if (this.thing?.desired(channel)?.isMet === false) {
      throw new Violation(`${this.id}: ${channel} is said to be met, and is not`);
    }
  }

  plainLine(text: string): void {
    if (!this.#plain.has(text)) throw new Violation(`${this.id}: nobody has said ${text}`);
  }

  /** Checks what the server shows. @param isStill Whether that must be what the store has */
  look(thing: Thing, isStill = false): void {
    for (const channel of [...Object.keys(RULES), READING]) {
      const reported = thing.reported(channel)?.value;
      if (reported !== undefined && !this.#said.get(channel)?.has(reported)) {
        throw this.#violation(channel, reported, "is shown, and the device has never said it");
      }
      const desired = thing.desired(channel)?.value;
      const setting = this.#find(channel, desired);
      if (setting?.hasFailed && !setting.isForgotten) {
        throw this.#violation(channel, desired, "is shown as desired, and that has failed");
      }
      if (!isStill) continue;
      const kept = this.#kept.get(channel);
      const differs = kept?.desired?.text !== text(desired) ||
        valueOf(kept?.reported?.text) !== reported;
      if (differs) throw new Violation(`${this.id}: ${channel} is not as it is in the store`);
    }
  }

  // What becomes safe.

  memo(key: string, text: string | undefined): void {
    if (key === "@") return this.all.told(this.id);
    if (!key.startsWith("=")) return;
    const channel = key.slice(1);
    const before = this.#kept.get(channel);
    const state: ChannelState = text === undefined ? {} : JSON.parse(text);
    this.#kept.set(channel, state);
    if (state.reported && state.reported.text !== before?.reported?.text) {
      const value = valueOf(state.reported.text);
      if (!this.#said.get(channel)?.has(plain(value))) {
        throw this.#violation(
          channel,
          value,
          "is safe as reported, and the device has not said it",
        );
      }
      this.all.told(this.id);
      this.#show(channel, value);
    }
    if (state.desired?.text !== before?.desired?.text) this.#desires(channel, state);
  }

  #desires(channel: string, { desired }: ChannelState): void {
    const value = desired && valueOf(desired.text);
    const setting = this.#find(channel, value);
    if (!setting || setting.hasFailed || setting.isLocal !== (desired!.by === "device")) {
      throw this.#violation(channel, value, "is desired, and nobody has set it");
    }
    if (setting.isLocal && RULES[channel] !== "wins") {
      throw this.#violation(channel, value, "was changed at the device, and wins");
    }
    if (setting.isKept && setting.isPublished) this.all.again(setting);
    if (setting.safeAt < (this.#toldAt.get(channel) ?? 0) && !setting.mayRepeat) {
      throw this.#violation(channel, value, "is desired again, and something newer was set");
    }
    this.#keeps(setting);
  }

  #keeps(setting: Setting): void {
    if (setting.isKept) return;
    setting.isKept = true;
    // Mail comes after everything done with the device before.
    if (setting.postedAt !== undefined) setting.calledAt = this.all.committedAt;
    this.all.kept(setting);
  }

  /** A message to the device is in the store. */
  written(text: string): void {
    const marked = parseMarked(text);
    const { toDevice } = this.books;
    let expires = Infinity;
    switch (marked?.mark) {
      case "set": {
        const setting = this.#find(marked.name, valueOf(marked.value));
        if (!setting || setting.hasFailed) {
          throw this.#violation(marked.name, marked.value, "is sent, and not set");
        }
        this.#keeps(setting);
        break;
      }
      case "ask":
        expires = this.requests.written(marked, text);
        break;
      case "event":
        expires = this.all.downlink(this.id, text);
        break;
      case "answer":
      case "fault":
        if (marked.tag !== undefined) this.answers.add(marked.tag);
        break;
      default:
        throw new Violation(`${this.id}: who has written ${JSON.stringify(text)}?`);
    }
    const known = toDevice.find(text);
    // A forgotten device may get the answer to a repeated line again, and messages with QoS 1 again.
    if (known) this.books.dropped.again(known, marked.mark === "event");
    else this.books.serverWrites(text, { qos: true, waits: true, expires });
  }

  /** The store's outbox after a commit. */
  checkOutbox(outbox: readonly { text: string }[]): void {
    const settings = outbox.flatMap(({ text }) => /^=([a-z]+)/.exec(text)?.[1] ?? []);
    if (new Set(settings).size < settings.length) {
      throw new Violation(`${this.id}: several settings of a channel are on their way`);
    }
  }

  /** The server has died and lost everything that was not safe, or it has lost the device. */
  serverDied(): void {
    this.thing = undefined;
    this.ends(ALL);
    for (const setting of this.settings.values()) {
      if (setting.isKept) setting.safeAt = Math.min(setting.safeAt, this.all.tick());
    }
  }

  /** Another process of a fleet has the device now: acts of processes that do not have it stay open. */
  left(): void {
    this.thing = undefined;
    this.ends(({ isDistant }) => !isDistant);
  }

  /** Some callers have ended: their acts that were not accepted never will be. */
  ends(isOver: (from: From) => boolean): void {
    this.requests.ended(isOver);
    for (const setting of this.settings.values()) {
      const { isKept, isLocal, isPublished, postedAt, from } = setting;
      if (isKept || isLocal || isPublished || postedAt !== undefined) continue;
      if (isOver(from)) setting.hasFailed = true;
    }
  }

  /** Waiting messages were dropped, or will be. */
  dropped(): void {
    this.#isDropped = true;
  }

  /** The store has forgotten the device. */
  forgotten(): void {
    this.dropped();
    this.#kept.clear();
    this.#toldAt.clear();
    for (const setting of this.settings.values()) setting.isForgotten = true;
    this.all.forgive(this.id);
    this.serverDied();
  }

  // The end.

  /** What is wrong at the end; undefined: nothing. */
  unfinished(): string | undefined {
    const { thing, device } = this;
    if (!thing || !device) return "no application is there";
    for (const channel of Object.keys(RULES)) {
      const wrong = differs(channel, thing, device, this.#isDropped);
      if (wrong) return `${channel} ${wrong}`;
    }
    const reading = device.values.get(READING);
    if (!this.#isDropped && reading !== undefined && thing.reported(READING)?.value !== reading) {
      return `${READING} is ${reading}, and ${thing.reported(READING)?.value} is shown`;
    }
    return undefined;
  }

  #violation(channel: string, value: unknown, what: string): Violation {
    return new Violation(`${this.id}: ${channel} ${JSON.stringify(value)} ${what}`);
  }
}

function key(channel: string, value: unknown): string {
  return `${channel}\0${value}`;
}

function text(value: Value | undefined): string | undefined {
  return value === undefined ? undefined : textOf(value);
}
