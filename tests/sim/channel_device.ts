/**
 * What a simulated device does with its channels: it has their values in its RAM, answers settings and requests,
 * changes some of them itself, and asks the server.
 */
import {
  formatMarked,
  type Marked,
  parseMarked,
  textOf,
  valueOf,
} from "../../server/protocol/channel_lines.ts";
import { ASKED, READING, RULES, takes, valueFrom, verdictOf } from "./channel_plan.ts";
import { DOOR, OWN } from "./mqtt_plan.ts";
import { ownMessage, ownStart } from "./mqtt_device.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DeviceTalk, Scenario } from "./scenario.ts";
import type { Stamping } from "./reading_books.ts";
import type { ThingBooks } from "./thing_books.ts";

/** The device that it runs on. */
interface Machine extends Stamping {
  readonly id: string;
  readonly talk: DeviceTalk;
  readonly world: Stamping["world"] & { readonly random: Random; readonly scenario: Scenario };
}

export class ChannelDevice {
  /** The values of its channels. */
  readonly values = new Map<string, unknown>();
  #queue: string[] = [];
  #late: string[] = []; // answers that it sends later
  #toSay: number; // reports and events still to send

  constructor(readonly device: Machine, readonly books: ThingBooks) {
    this.#toSay = device.talk.messages;
  }

  /** It boots, and has lost its values. */
  start(): void {
    this.values.clear();
    this.#queue = [];
    this.#late = [];
    this.device.talk.messages = this.#toSay;
    this.books.deviceStarts();
    this.#push(`@sim ${this.device.boot + 1}`);
    if (!this.device.world.scenario.mqtt?.hasOwnTopics) return;
    for (const line of ownStart(this.device.world.random, this.books)) this.#push(line);
  }

  /** It wakes: some applications keep their values over a sleep, others start as after a reset. */
  wake(): void {
    if (this.device.world.random.chance(0.5)) return;
    this.values.clear();
    this.books.deviceStarts();
    this.#push(`@sim ${this.device.boot + 1}`);
  }

  /** Whether it still has to send an answer or its start. */
  get owes(): boolean {
    return this.#queue.length + this.#late.length > 0;
  }

  #push(line: string, queue = this.#queue): void {
    queue.push(this.books.unique(line));
    this.device.talk.messages++;
  }

  /** The next line of its application. */
  draft() {
    const { random } = this.device.world;
    const isLate = this.#late.length > 0 && (this.#toSay === 0 || random.chance(0.3));
    const text = this.#queue.shift() ?? (isLate ? this.#late.shift()! : this.#speak());
    this.books.says(text);
    return { text, qos: true, wait: random.chance(this.device.talk.waits), expires: Infinity };
  }

  /** Reports something, or sends an event or request. */
  #speak(): string {
    const { random, scenario } = this.device.world;
    this.#toSay = Math.max(0, this.#toSay - 1);
    if (scenario.mqtt?.hasOwnTopics && random.chance(0.3)) return ownMessage(random, this.books);
    switch (random.pick(["change", "change", "change", "read", "event", "ask", "time", "else"])) {
      case "change":
        return this.#change();
      case "read":
        return this.#report(READING);
      case "event":
        return this.books.unique(`!button ${this.books.count()}`);
      case "ask":
        return `?config.${this.books.count()} interval`;
      case "time":
        return `?time.${this.books.count()}`;
      default:
        return this.#saySomethingElse();
    }
  }

  /** A line about an unknown channel, or about no channel. */
  #saySomethingElse(): string {
    const name = `x${this.books.count()}`;
    if (this.device.world.random.chance(0.5)) return `${name} 1`;
    this.books.changedThere(name, 1);
    return `=${name} 1`;
  }

  /** Somebody turns a knob at the device, and it reports that. */
  turnKnob(): void {
    this.#push(this.#change());
  }

  #change(): string {
    return this.#report(this.device.world.random.pick(Object.keys(RULES)));
  }

  #report(name: string): string {
    const { device, books, books: { readings } } = this;
    const { random } = device.world;
    let value;
    do value = valueFrom(books.count(), random); while (!takes(value));
    this.values.set(name, value);
    books.changedThere(name, value);
    const stamp = readings.stamp(device);
    const line = formatMarked({ mark: "set", name, ...stamp, value: textOf(value) });
    readings.says(line, device);
    return line;
  }

  /** Takes a message. */
  take(text: string): void {
    const marked = parseMarked(text);
    const { random } = this.device.world;
    if (random.chance(0.05)) this.turnKnob();
    switch (marked?.mark) {
      case "set":
        return this.#set(marked);
      case "ask":
        return this.#answer(marked);
      case "event":
        if (marked.name === DOOR || marked.name === OWN) return;
        break;
      case "answer":
      case "fault":
        return this.books.deviceAnswered(marked);
    }
    throw new Violation(`${this.device.id} is sent ${JSON.stringify(text)}`);
  }

  #set({ name, tag, value: text }: Extract<Marked, { mark: "set" }>): void {
    const value = valueOf(text);
    this.books.settingSeen(name, value);
    const verdict = verdictOf(value);
    if (verdict === "bad_value") {
      // Each line is different, for the books.
      return this.#push(`~${name}.${tag} bad_value ${text}`);
    }
    this.values.set(name, verdict.value);
    this.#push(this.#taken(`:${name}.${tag}`, verdict.value, text));
  }

  #taken(head: string, value: unknown, text: string): string {
    const { random, scenario: { faults } } = this.device.world;
    const isMute = textOf(value) === text && !faults.includes("operator forgets a device") &&
      random.chance(0.2) && !this.books.hasSaid(head);
    if (isMute) return head;
    const inOtherWords = Number.isInteger(value) && random.chance(0.2) ? ".0" : "";
    return `${head} ${textOf(value)}${inOtherWords}`;
  }

  #answer({ name, tag, value }: Extract<Marked, { mark: "ask" }>): void {
    const { random } = this.device.world;
    const way = random.pick(["at once", "at once", "late", "never", "fault"]);
    const request = this.books.requestSeen(name, tag, valueOf(value));
    if (name !== ASKED) throw new Violation(`${this.device.id} is asked for ${name}`);
    if (way === "never") return;
    if (way === "fault") {
      request.faults.add("busy");
      return this.#push(`~${name}.${tag} busy`);
    }
    const answer = this.books.count();
    request.answers.add(answer);
    this.#push(`:${name}.${tag} ${answer}`, way === "late" ? this.#late : this.#queue);
  }
}
