/**
 * A session with a broker, MQTT 3.1.1 or 5: bytes, the time and publications go in; bytes, tasks and the next deadline
 * come out. No socket, no clock, no disk.
 *
 * What must be safe before the broker may know of it comes out as a task. Its owner makes that safe in the store, and
 * says so by `safe`; only then the answer goes out. So packet ids and what they stand for are never apart: a publication
 * is `sent` in the store before PUBLISH, `released` before PUBREL, and gone after PUBCOMP; the id of a message is in the
 * store before PUBREC, in one transaction with what the message does, and gone before PUBCOMP.
 */
import { Buffer } from "node:buffer";
import {
  type AnswerCommand,
  decodeTask,
  type Filter,
  type InFlight,
  type Outlet,
  type Publication,
  type Task,
} from "./tasks.ts";
import { Decoder, encode, type Packet, type Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import { Incoming } from "./incoming.ts";
import { Outgoing } from "./outgoing.ts";
import { checkConnack, refusal } from "./reasons.ts";
import { Subscriptions } from "./subscriptions.ts";

/** For the answer to CONNECT and to PINGREQ, in ms. */
const PATIENCE = 10_000;

/** Between connections, in ms: twice as long after each failure. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** The broker keeps the session for as long as it can. */
const FOR_EVER = 0xffff_ffff;

/** What a session is told when it begins. */
export interface SessionOptions {
  version: Version;
  clientId: string;
  username?: string;
  password?: Uint8Array;
  /** In s. */
  keepalive: number;
  /** A retained topic that says whether the bridge is there: online or offline. */
  status: string;
  /** The bridge's own topic filters. */
  subscribe: readonly string[];
  /** Publications that are under way at once. */
  window: number;
  /** Messages with QoS 2 that the broker may have under way at once. */
  receiveMaximum: number;
}

/** What the store has of a session. */
export interface Kept {
  /** In the order in which they were sent first. */
  readonly inFlight: readonly InFlight[];
  /** Ids of messages that were taken, and not released by the broker. */
  readonly taken: readonly number[];
  /** What the broker may have, the bridge's own among them. */
  readonly filters: readonly Filter[];
}

type Phase = "offline" | "connecting" | "greeting" | "resuming" | "ready";

export class MqttSession {
  readonly #options: SessionOptions;
  #phase: Phase = "offline";
  #decoder: Decoder;
  #output: Uint8Array[] = [];
  #tasks: Task[] = [];
  readonly #out: Outgoing;
  readonly #in: Incoming;
  readonly #subscriptions: Subscriptions;
  #isForgotten = false; // by the broker, and that is not safe
  #window: number;
  #longest = Infinity; // packet that the broker takes, in bytes
  #keepalive: number; // ms
  #retryAt: number | undefined;
  #failures = 0;
  #answerBy: number | undefined; // CONNACK or PINGRESP
  #pingAt: number | undefined;

  constructor(options: SessionOptions, { inFlight, taken, filters }: Kept) {
    this.#options = options;
    this.#window = options.window;
    this.#keepalive = options.keepalive * 1000;
    this.#decoder = new Decoder(options.version);
    const outlet: Outlet = {
      send: (packet) => this.#send(packet),
      answer: (...answer) => this.#answer(...answer),
      write: (bytes) => void this.#output.push(bytes),
      ask: (task) => void this.#tasks.push(task),
    };
    this.#out = new Outgoing(outlet, options.version, inFlight);
    this.#in = new Incoming(outlet, taken);
    const { version, subscribe } = options;
    this.#subscriptions = new Subscriptions(outlet, version, subscribe, filters);
  }

  /** Begins to want a connection. */
  start(now: number): void {
    this.#retryAt = now;
  }

  /** When `timeout` is to be called, or a connection to be made. */
  get deadline(): number | undefined {
    const times = [this.#retryAt, this.#answerBy, this.#pingAt].filter((time) =>
      time !== undefined
    );
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  wantsConnection(now: number): boolean {
    return this.#retryAt !== undefined && now >= this.#retryAt;
  }

  /** How long until the next connection, in ms. */
  pause(now: number): number {
    return Math.max(0, (this.#retryAt ?? now) - now);
  }

  /** The broker has the session, and takes publications. */
  get isReady(): boolean {
    return this.#phase === "ready";
  }

  /** How many more publications it takes. */
  get free(): number {
    return this.isReady ? Math.max(0, this.#window - this.#out.size) : 0;
  }

  /** Publications from this one on have no id yet: one of those under way has it. */
  get end(): number {
    return this.#out.end;
  }

  /** These topic filters are wanted from now on, beside the bridge's own. */
  want(filters: ReadonlySet<string>): void {
    this.#subscriptions.want(filters);
  }

  /** A connection is being made. */
  connecting(now: number): void {
    this.#phase = "connecting";
    this.#retryAt = undefined;
    this.#answerBy = now + PATIENCE;
  }

  /** The connection is there. */
  opened(now: number): void {
    const { version, clientId, username, password, keepalive, status, receiveMaximum } =
      this.#options;
    this.#phase = "greeting";
    this.#decoder = new Decoder(version);
    this.#answerBy = now + PATIENCE;
    this.#send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: version,
      clientId,
      clean: false,
      keepalive,
      ...(username !== undefined && { username }),
      ...(password && { password: Buffer.from(password) }),
      will: { topic: status, payload: "offline", qos: 1, retain: true },
      ...(version === 5 && { properties: { sessionExpiryInterval: FOR_EVER, receiveMaximum } }),
    });
  }

  /** The connection is gone. Tasks that nobody has taken come again. */
  closed(now: number): void {
    this.#phase = "offline";
    this.#output = [];
    this.#answerBy = this.#pingAt = undefined;
    this.#subscriptions.closed();
    for (const task of this.#tasks.splice(0)) this.#forget(task);
    this.#retryAt = now +
      Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#failures++, 16));
  }

  /** @throws {BrokerError} the connection is to be closed */
  timeout(now: number): void {
    if (this.#answerBy !== undefined && now >= this.#answerBy) {
      throw new BrokerError("SILENT", `the broker has said nothing for ${PATIENCE} ms`);
    }
    if (this.#pingAt === undefined || now < this.#pingAt) return;
    this.#send({ cmd: "pingreq" });
    this.#answerBy = now + PATIENCE;
    this.#pingAt = undefined; // until the answer
  }

  /** @throws {BrokerError} the connection is to be closed */
  received(bytes: Uint8Array, now: number): void {
    for (const { packet, isCut } of this.#decoder.take(bytes)) this.#take(packet, isCut, now);
  }

  /** What is to be made safe, in this order. */
  tasks(): Task[] {
    return this.#tasks.splice(0);
  }

  /** How much waits to be made safe. */
  get waiting(): number {
    return this.#tasks.length;
  }

  /** Bytes for the broker. */
  output(): Uint8Array[] {
    return this.#output.splice(0);
  }

  /** Takes publications that are `sent` in the store: no more than `free`. */
  publish(publications: readonly Publication[]): void {
    this.#out.add(publications);
    this.#fill();
  }

  /** A task is safe. */
  safe(task: Task, now: number): void {
    switch (task.does) {
      case "resume":
        return this.#resume(task.isPresent, now);
      case "deliver":
      case "forget":
        return this.#in.safe(task);
      case "release":
      case "complete":
        this.#out.safe(task);
        return this.#fill();
      case "subscribe":
      case "subscribed":
      case "unsubscribed":
        return this.#subscriptions.safe(task);
    }
  }

  #take(packet: Packet, isCut: boolean, now: number): void {
    if (this.#phase === "greeting") return this.#greeted(packet, now);
    switch (packet.cmd) {
      case "publish":
        return this.#in.deliver(decodeTask(packet, isCut, now));
      case "pubrel":
        return this.#in.released(packet.messageId!);
      case "pubrec":
      case "pubcomp":
        if (this.#phase === "resuming") return; // nothing was sent yet: they will be asked again
        if (packet.cmd === "pubcomp") return this.#out.completed(packet.messageId!);
        return this.#out.received(packet.messageId!, refusal(packet));
      case "suback":
      case "unsuback":
        return this.#subscriptions.answered(packet);
      case "pingresp":
        if (this.#answerBy === undefined) break;
        this.#answerBy = undefined;
        this.#plan(now);
        return;
      case "disconnect":
        if (this.#options.version !== 5) break;
        throw new BrokerError("REFUSED", `the broker ends the connection: ${refusal(packet)}`);
    }
    throw unexpected(packet);
  }

  #greeted(packet: Packet, now: number): void {
    if (packet.cmd !== "connack") throw unexpected(packet);
    const { version, window, keepalive } = this.#options;
    const granted = checkConnack(packet, version);
    this.#window = Math.min(window, granted.receiveMaximum);
    this.#longest = granted.maximumPacketSize;
    this.#keepalive = (granted.serverKeepAlive ?? keepalive) * 1000;
    this.#answerBy = undefined;
    this.#plan(now);
    this.#phase = "resuming";
    if (!packet.sessionPresent) {
      this.#isForgotten = true;
      this.#in.clear();
    }
    this.#tasks.push({ does: "resume", isPresent: !this.#isForgotten });
  }

  /** When to ask the broker whether it is there. */
  #plan(now: number): void {
    this.#pingAt = this.#keepalive > 0 ? now + this.#keepalive : undefined;
  }

  #resume(isPresent: boolean, now: number): void {
    if (!isPresent) this.#isForgotten = false;
    this.#out.resume(isPresent);
    if (this.#phase !== "resuming") return;
    this.#phase = "ready";
    this.#failures = 0;
    this.#plan(now);
    const topic = this.#options.status;
    const [qos, dup, retain] = [0 as const, false, true];
    this.#send({ cmd: "publish", topic, payload: "online", qos, dup, retain });
    this.#subscriptions.begin(isPresent, this.#longest);
    this.#fill();
  }

  /** Sends what is due, as far as the broker takes it. */
  #fill(): void {
    if (this.isReady) this.#out.fill({ window: this.#window, longest: this.#longest });
  }

  /** A task that nobody has taken is none any more. */
  #forget(task: Task): void {
    switch (task.does) {
      case "deliver":
      case "forget":
        return this.#in.forget(task);
      case "release":
      case "complete":
        return this.#out.forget(task);
    }
  }

  #answer(cmd: AnswerCommand, packet: number, reason = 0): void {
    if (this.#phase !== "ready" && this.#phase !== "resuming") return;
    const why = this.#options.version === 5 && reason > 0 ? { reasonCode: reason } : {};
    this.#send({ cmd, messageId: packet, ...why } as Packet);
  }

  #send(packet: Packet): void {
    this.#output.push(encode(packet, this.#options.version));
  }
}

function unexpected({ cmd, messageId }: Packet): BrokerError {
  const which = messageId === undefined ? "" : ` for ${messageId}`;
  return new BrokerError("UNEXPECTED", `${cmd.toUpperCase()}${which} cannot come now`);
}
