/**
 * A broker's session for its one client, by the rules of MQTT 3.1.1 and 5. It shares no code with the bridge's session.
 * If the client breaks a rule of MQTT, that is a violation.
 */
import { Buffer } from "node:buffer";
import type { Packet } from "../../bridge/mqtt/codec.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** "Packet Identifier not found". */
const NOT_FOUND = 0x92;

export interface Message {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** When it expires, in ms. */
  readonly expiresAt?: number;
  /** Topic of the answer, and its correlation data. */
  readonly responseTopic?: string;
  readonly correlation?: string;
}

type Published = Extract<Packet, { cmd: "publish" }>;

/** The session's surroundings. `M` is what other clients publish. */
export interface SessionHost<M extends Message> {
  /** When a message from the client goes to subscribers: when it arrives, or when it is released. */
  readonly routesAt: "publish" | "pubrel";
  /** Messages from the client that it takes at once (receive maximum). */
  readonly takes: number;
  /** Messages to the client that are under way at once. */
  readonly sends: number;
  /** It has gone back to an earlier state, and does not know what it has sent since. */
  readonly isConfused: boolean;
  /** The time, in ms. */
  readonly now: number;
  say(packet: Packet): void;
  /** A message from the client goes to its subscribers. */
  route(message: Message): void;
  /** A message goes to the client, for the first time. */
  goes(message: M, id: number): void;
  /** The client has it. */
  taken(message: M): void;
  /** An id of a message with QoS 2 is free. */
  freed(id: number): void;
}

/** A message that is under way to the client. */
interface Flight<M> {
  readonly id: number;
  readonly message: M;
  isReleased: boolean;
}

export class BrokerSession<M extends Message> {
  readonly filters = new Set<string>();
  /** Ids of messages that have arrived, and were not released. */
  readonly #arrived = new Map<number, Message>();
  /** Ids of all that ever arrived, with their place in the order. */
  readonly #orders = new Map<number, number>();
  #count = 0;
  #flights: Flight<M>[] = [];
  #queue: M[] = [];
  // Of the current connection:
  readonly #underWay = new Set<number>();
  #lastAgain = 0;

  constructor(readonly host: SessionHost<M>) {}

  /** A copy of the current state. */
  copy(): BrokerSession<M> {
    const copy = new BrokerSession<M>(this.host);
    for (const filter of this.filters) copy.filters.add(filter);
    for (const [id, message] of this.#arrived) copy.#arrived.set(id, message);
    for (const [id, order] of this.#orders) copy.#orders.set(id, order);
    copy.#count = this.#count;
    copy.#flights = this.#flights.map((flight) => ({ ...flight }));
    copy.#queue = [...this.#queue];
    return copy;
  }

  /** Ids and messages that are under way to the client. */
  get flights(): readonly Readonly<Flight<M>>[] {
    return this.#flights;
  }

  /** All messages for the client. */
  get publications(): M[] {
    return [...this.#flights.map(({ message }) => message), ...this.#queue];
  }

  /** What is left to do. */
  unfinished(): string | undefined {
    if (this.#flights.length + this.#queue.length > 0) return "the broker has settings left";
    // The client may have finished what the restored session still holds.
    if (this.#arrived.size > 0 && !this.host.isConfused) return "the broker waits for a PUBREL";
    return undefined;
  }

  /** The client is back: sends again what was under way. */
  resumes(): void {
    this.#underWay.clear();
    this.#lastAgain = 0;
    for (const { id, message, isReleased } of this.#flights) {
      if (isReleased) this.host.say({ cmd: "pubrel", messageId: id });
      else this.#publish(message, id, true);
    }
  }

  /** Somebody has published something. */
  publish(message: M): void {
    this.#queue.push(message);
  }

  /** Sends what may be sent. */
  fill(): void {
    while (this.#queue.length > 0 && this.#flights.length < this.host.sends) {
      const message = this.#queue.shift()!;
      if ((message.expiresAt ?? Infinity) <= this.host.now) continue;
      const id = message.qos > 0 ? this.#freeId() : 0;
      this.host.goes(message, id);
      if (message.qos > 0) this.#flights.push({ id, message, isReleased: false });
      this.#publish(message, id, false);
    }
  }

  /** The lowest free id, so that each is soon used again. */
  #freeId(): number {
    let id = 1;
    while (this.#flights.some((flight) => flight.id === id)) id++;
    return id;
  }

  #publish(message: M, messageId: number, dup: boolean): void {
    const { topic, payload, qos, retain, expiresAt, responseTopic, correlation } = message;
    const left = Math.ceil(Math.max(0, (expiresAt ?? 0) - this.host.now) / 1000);
    const properties = {
      ...(expiresAt !== undefined && { messageExpiryInterval: left }),
      ...(responseTopic !== undefined && { responseTopic }),
      ...(correlation !== undefined && { correlationData: Buffer.from(correlation) }),
    };
    this.host.say({
      ...(Object.keys(properties).length > 0 && { properties }),
      cmd: "publish",
      topic,
      payload: Buffer.from(payload as string),
      qos,
      retain,
      dup,
      ...(qos > 0 && { messageId }),
    });
  }

  /** Takes a client's packet about a message. */
  take(packet: Packet): void {
    const { messageId: id = 0 } = packet;
    switch (packet.cmd) {
      case "publish":
        this.#arrives(packet, id);
        break;
      case "pubrel":
        this.#released(id);
        break;
      case "puback":
      case "pubrec":
        this.#taken(id, packet.cmd === "puback" ? 1 : 2);
        break;
      case "pubcomp":
        this.#completed(id);
        break;
      default:
        throw new Violation(`the bridge sends ${packet.cmd}`);
    }
    this.fill();
  }

  #arrives({ topic, payload, qos, retain, dup, properties }: Published, id: number): void {
    const { correlationData } = properties ?? {};
    const correlation = correlationData && { correlation: String(correlationData) };
    const message = { topic, payload: String(payload), qos, retain, ...correlation };
    if (/[+#]/.test(topic)) throw new Violation(`${topic} is no topic`);
    if (qos === 0) return this.host.route(message);
    if (qos === 1) throw new Violation(`${topic} is published with QoS 1`);
    const known = this.#arrived.get(id);
    if (known) {
      if (!dup) throw new Violation(`${topic} comes as a new message under an id that is in use`);
      const isSame = known.topic === topic && known.payload === message.payload;
      if (!isSame) throw new Violation(`${topic} comes under the id of ${known.topic}`);
      this.#checkOrder(id);
    }
    this.#underWay.add(id);
    if (this.#underWay.size > this.host.takes) {
      throw new Violation(`${this.#underWay.size} are under way, and it takes ${this.host.takes}`);
    }
    if (!known) {
      this.#arrived.set(id, message);
      this.#orders.set(id, ++this.#count);
      if (this.host.routesAt === "publish") this.host.route(message);
    }
    this.host.say({ cmd: "pubrec", messageId: id });
  }

  /** Repeated messages must come in the order in which they came first. */
  #checkOrder(id: number): void {
    const order = this.#orders.get(id)!;
    if (order < this.#lastAgain) {
      throw new Violation(`message ${id} comes again behind a later one`);
    }
    this.#lastAgain = order;
  }

  #released(id: number): void {
    const message = this.#arrived.get(id);
    if (!message && !this.#orders.has(id) && !this.host.isConfused) {
      throw new Violation(`message ${id} is released, and never came`);
    }
    this.#arrived.delete(id);
    this.#underWay.delete(id);
    if (message && this.host.routesAt === "pubrel") this.host.route(message);
    this.host.say({ cmd: "pubcomp", messageId: id, ...(!message && { reasonCode: NOT_FOUND }) });
  }

  #taken(id: number, qos: 1 | 2): void {
    const flight = this.#flights.find((flight) => flight.id === id);
    if (!flight || flight.message.qos !== qos) {
      if (this.host.isConfused) return;
      throw new Violation(`message ${id} is acknowledged, and was not sent`);
    }
    if (!flight.isReleased) this.host.taken(flight.message);
    if (qos === 1) return void (this.#flights = this.#without(id));
    flight.isReleased = true;
    this.host.say({ cmd: "pubrel", messageId: id });
  }

  #completed(id: number): void {
    const flight = this.#flights.find((flight) => flight.id === id);
    // A client that got PUBREL twice answers twice; by then the id may belong to another message.
    if (!flight?.isReleased) return;
    this.#flights = this.#without(id);
    this.host.freed(id);
  }

  #without(id: number): Flight<M>[] {
    return this.#flights.filter((flight) => flight.id !== id);
  }
}
