/**
 * A session with a broker, MQTT 3.1.1 or 5: bytes, the time and publications go in; bytes, tasks and the next deadline
 * come out. No socket, no clock, no disk.
 *
 * What must be safe before the broker may know it comes out as a task. The owner makes that safe in the store, and then
 * calls `safe`; only then the answer is sent. So packet ids and their meaning always agree: a publication is `sent` in
 * the store before PUBLISH, `released` before PUBREL, and deleted after PUBCOMP; the id of a message is in the store
 * before PUBREC, in one transaction with the message's effects, and deleted before PUBCOMP.
 */
import { Buffer } from "node:buffer";
import { checkNoAlias } from "./aliases.ts";
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
import { Timing } from "./timing.ts";

/** Session expiry: the broker keeps the session for ever. */
const FOR_EVER = 0xffff_ffff;

/** Options of a session. */
export interface SessionOptions {
  version: Version;
  clientId: string;
  username?: string;
  /** Keepalive in s. */
  keepalive: number;
  /** Retained topic of the bridge's status: online or offline. */
  status: string;
  /** The bridge's own topic filters. */
  subscribe: readonly string[];
  /** Most publications under way at once. */
  window: number;
  /** Most QoS 2 messages that the broker may have under way at once. */
  receiveMaximum: number;
}

/** A session as it is stored. */
export interface Kept {
  /** Publications under way, in the order in which they were first sent. */
  readonly inFlight: readonly InFlight[];
  /** Ids of messages that were accepted and that the broker has not released. */
  readonly taken: readonly number[];
  /** Subscriptions that the broker may have, the bridge's own among them. */
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
  #isForgotten = false; // whether the broker has forgotten the session, which is not safe yet
  #window: number;
  #longest = Infinity; // longest packet that the broker accepts, in bytes
  readonly #timing: Timing;

  constructor(options: SessionOptions, { inFlight, taken, filters }: Kept) {
    this.#options = options;
    this.#window = options.window;
    this.#timing = new Timing(options.keepalive);
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

  /** Starts to connect. */
  start(now: number): void {
    this.#timing.start(now);
  }

  /** When to call `timeout`, or to connect. */
  get deadline(): number | undefined {
    return this.#timing.deadline;
  }

  wantsConnection(now: number): boolean {
    return this.#timing.wantsConnection(now);
  }

  /** How long until the next connection, in ms. */
  pause(now: number): number {
    return this.#timing.pause(now);
  }

  /** Whether there is no connection, and none is being made. */
  get isOffline(): boolean {
    return this.#phase === "offline";
  }

  /** Whether CONNECT was sent and not answered. */
  get isGreeting(): boolean {
    return this.#phase === "greeting";
  }

  /** Whether the broker has the session, and accepts publications. */
  get isReady(): boolean {
    return this.#phase === "ready";
  }

  /** How many more publications the broker accepts. */
  get free(): number {
    return this.isReady ? Math.max(0, this.#window - this.#out.size) : 0;
  }

  /** How many publications the broker accepts at once. */
  get window(): number {
    return this.#window;
  }

  /** The first publication whose id is still in use by one under way; it and later ones must wait. */
  get end(): number {
    return this.#out.end;
  }

  /** Sets the topic filters that are wanted besides the bridge's own. */
  want(filters: ReadonlySet<string>): void {
    this.#subscriptions.want(filters);
  }

  /** A connection is being made. */
  connecting(now: number): void {
    this.#phase = "connecting";
    this.#timing.connecting(now);
  }

  /** The connection was made. */
  opened(now: number, password?: Uint8Array): void {
    const { version, clientId, username, keepalive, status, receiveMaximum } = this.#options;
    this.#phase = "greeting";
    this.#decoder = new Decoder(version);
    this.#timing.opened(now);
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

  /** The connection has ended. Tasks that were not started come again. */
  closed(now: number): void {
    this.#phase = "offline";
    this.#output = [];
    this.#subscriptions.closed();
    for (const task of this.#tasks.splice(0)) this.#forget(task);
    this.#timing.closed(now);
  }

  /** @throws {BrokerError} the connection must be closed */
  timeout(now: number): void {
    if (this.#timing.timeout(now)) this.#send({ cmd: "pingreq" });
  }

  /** @throws {BrokerError} the connection must be closed */
  received(bytes: Uint8Array, now: number): void {
    for (const { packet, isCut } of this.#decoder.take(bytes)) this.#take(packet, isCut, now);
  }

  /** Tasks to make safe, in this order. */
  tasks(): Task[] {
    return this.#tasks.splice(0);
  }

  /** How many messages wait to be made safe. */
  get waiting(): number {
    return this.#tasks.length;
  }

  /** Bytes for the broker. */
  output(): Uint8Array[] {
    return this.#output.splice(0);
  }

  /** Sends publications that are `sent` in the store: at most `free`. */
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
      case "unsubscribe":
      case "unsubscribed":
        return this.#subscriptions.safe(task);
    }
  }

  #take(packet: Packet, isCut: boolean, now: number): void {
    if (this.#phase === "greeting") return this.#greeted(packet, now);
    switch (packet.cmd) {
      case "publish":
        checkNoAlias(packet);
        return this.#in.deliver(decodeTask(packet, isCut, now));
      case "pubrel":
        return this.#in.released(packet.messageId!);
      case "pubrec":
      case "pubcomp":
        if (this.#phase === "resuming") return; // nothing was sent yet: the tasks will come again
        this.#timing.progressed();
        if (packet.cmd === "pubcomp") return this.#out.completed(packet.messageId!);
        return this.#out.received(packet.messageId!, refusal(packet));
      case "suback":
      case "unsuback":
        this.#timing.progressed();
        return this.#subscriptions.answered(packet);
      case "pingresp":
        if (!this.#timing.answered(now)) break;
        return this.#timing.check(this.#subscriptions.owed ?? this.#out.owed, now);
      case "disconnect":
        if (this.#options.version !== 5) break;
        throw new BrokerError("REFUSED", `the broker has ended the connection: ${refusal(packet)}`);
    }
    throw unexpected(packet);
  }

  #greeted(packet: Packet, now: number): void {
    if (packet.cmd !== "connack") throw unexpected(packet);
    const { version, window } = this.#options;
    const granted = checkConnack(packet, version);
    this.#window = Math.min(window, granted.receiveMaximum);
    this.#longest = granted.maximumPacketSize;
    this.#out.greeted(granted.topicAliasMaximum);
    this.#timing.greeted(granted.serverKeepAlive, now);
    this.#phase = "resuming";
    if (!packet.sessionPresent) {
      this.#isForgotten = true;
      this.#in.clear();
    }
    this.#tasks.push({ does: "resume", isPresent: !this.#isForgotten });
  }

  /** The broker is still reading: its answers cannot have come yet. */
  taken(now: number): void {
    this.#timing.taken(now);
  }

  #resume(isPresent: boolean, now: number): void {
    if (!isPresent) this.#isForgotten = false;
    this.#out.resume(isPresent);
    if (this.#phase !== "resuming") return;
    this.#phase = "ready";
    this.#timing.resumed(now);
    const topic = this.#options.status;
    const [qos, dup, retain] = [0 as const, false, true];
    this.#send({ cmd: "publish", topic, payload: "online", qos, dup, retain });
    this.#subscriptions.begin(isPresent, this.#longest);
    this.#fill();
  }

  /** Sends what is due, as far as the broker accepts it. */
  #fill(): void {
    if (this.isReady) this.#out.fill({ window: this.#window, longest: this.#longest });
  }

  /** Drops a task that was not started. */
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
  return new BrokerError("UNEXPECTED", `${cmd.toUpperCase()}${which} is not allowed now`);
}
