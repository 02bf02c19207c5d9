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
import { decodeTask, type Delivery, type InFlight, type Publication, type Task } from "./tasks.ts";
import { Decoder, encode, type Packet, type Version } from "./codec.ts";
import { BrokerError } from "./errors.ts";
import { checkConnack, refusal } from "./reasons.ts";

/** For the answer to CONNECT and to PINGREQ, in ms. */
const PATIENCE = 10_000;

/** Between connections, in ms: twice as long after each failure. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** The broker keeps the session for as long as it can. */
const FOR_EVER = 0xffff_ffff;

/** Ids of publications are 1 to this one. */
const MOST_ID = 0xfffe;

/** Id of the only SUBSCRIBE. */
const SUBSCRIBE_ID = 0xffff;

/** "Packet Identifier not found". */
const NOT_FOUND = 0x92;

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
  /** Topic filters. */
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
}

interface Outgoing extends InFlight {
  /** It was sent on some connection. */
  isAgain: boolean;
  /** It has not gone out on this connection. */
  isDue: boolean;
  /** What follows is a task. */
  isPending: boolean;
}

type Phase = "offline" | "connecting" | "greeting" | "resuming" | "ready";

export class MqttSession {
  readonly #options: SessionOptions;
  #phase: Phase = "offline";
  #decoder: Decoder;
  #output: Uint8Array[] = [];
  #tasks: Task[] = [];
  readonly #out = new Map<number, Outgoing>(); // by packet id, in order
  readonly #in = new Map<number, "pending" | "taken" | "going">();
  #window: number;
  #longest = Infinity; // packet that the broker takes, in bytes
  #keepalive: number; // ms
  #retryAt: number | undefined;
  #failures = 0;
  #answerBy: number | undefined; // CONNACK or PINGRESP
  #pingAt: number | undefined;

  constructor(options: SessionOptions, { inFlight, taken }: Kept) {
    this.#options = options;
    this.#window = options.window;
    this.#keepalive = options.keepalive * 1000;
    this.#decoder = new Decoder(options.version);
    for (const one of inFlight) this.#add(one, true);
    for (const id of taken) this.#in.set(id, "taken");
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

  /** Nothing was sent on this connection yet that the broker could answer. */
  get #isResuming(): boolean {
    return this.#phase === "resuming";
  }

  /** How many more publications it takes. */
  get free(): number {
    return this.isReady ? Math.max(0, this.#window - this.#out.size) : 0;
  }

  /** Publications from this one on have no id yet: one of those under way has it. */
  get end(): number {
    const [oldest] = this.#out.values();
    return oldest ? oldest.seq + MOST_ID : Infinity;
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
    for (const one of publications) this.#add({ ...one, isReleased: false }, false);
    this.#fill();
  }

  /** A task is safe. */
  safe(task: Task, now: number): void {
    switch (task.does) {
      case "resume":
        return this.#resume(task.isPresent, now);
      case "deliver":
        if (task.qos === 0) return;
        if (task.qos === 2) this.#in.set(task.packet, "taken");
        return this.#answer(task.qos === 2 ? "pubrec" : "puback", task.packet);
      case "forget":
        this.#in.delete(task.packet);
        return this.#answer("pubcomp", task.packet);
      case "release": {
        const out = this.#out.get(task.packet)!;
        Object.assign(out, { isReleased: true, isPending: false });
        return this.#answer("pubrel", task.packet);
      }
      case "complete":
        this.#out.delete(task.packet);
        return this.#fill();
    }
  }

  #add(one: InFlight, isAgain: boolean): void {
    const packet = packetId(one.seq);
    this.#out.set(packet, { ...one, isAgain, isDue: true, isPending: false });
  }

  #take(packet: Packet, isCut: boolean, now: number): void {
    if (this.#phase === "greeting") return this.#greeted(packet, now);
    switch (packet.cmd) {
      case "publish":
        return this.#deliver(decodeTask(packet, isCut));
      case "pubrel":
        return this.#released(packet.messageId!);
      case "pubrec":
        return this.#received(packet.messageId!, refusal(packet));
      case "pubcomp":
        return this.#completed(packet.messageId!);
      case "suback":
        return this.#subscribed(packet);
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
    this.#tasks.push({ does: "resume", isPresent: packet.sessionPresent });
  }

  /** When to ask the broker whether it is there. */
  #plan(now: number): void {
    this.#pingAt = this.#keepalive > 0 ? now + this.#keepalive : undefined;
  }

  #resume(isPresent: boolean, now: number): void {
    if (!isPresent) this.#in.clear();
    for (const out of this.#out.values()) {
      out.isDue = true;
      out.isPending = false;
      if (!isPresent) Object.assign(out, { isReleased: false, isAgain: false });
    }
    if (this.#phase !== "resuming") return;
    this.#phase = "ready";
    this.#failures = 0;
    this.#plan(now);
    const { status, subscribe, version } = this.#options;
    this.#send({
      cmd: "publish",
      topic: status,
      payload: "online",
      qos: 0,
      dup: false,
      retain: true,
    });
    this.#send({
      cmd: "subscribe",
      messageId: SUBSCRIBE_ID,
      // Version 5 says of each message whether it was published as a retained one.
      subscriptions: subscribe.map((topic) => ({
        topic,
        qos: 2 as const,
        ...(version === 5 && { rap: true, nl: false, rh: 0 }),
      })),
    });
    this.#fill();
  }

  /** Sends what is due, as far as the broker takes it. */
  #fill(): void {
    if (!this.isReady) return;
    let underWay = 0;
    for (const { isDue, isReleased } of this.#out.values()) if (!isDue || isReleased) underWay++;
    for (const [packet, out] of this.#out) {
      if (!out.isDue) continue;
      if (out.isReleased) {
        out.isDue = false;
        this.#answer("pubrel", packet);
        continue;
      }
      if (underWay >= this.#window) return;
      out.isDue = false;
      const { topic, payload, retain } = out;
      const bytes = encode({
        cmd: "publish",
        messageId: packet,
        qos: 2,
        dup: out.isAgain,
        topic,
        payload,
        retain,
      }, this.#options.version);
      if (bytes.length > this.#longest) {
        const why = `it has ${bytes.length} bytes, and the broker takes ${this.#longest}`;
        out.isPending = true;
        this.#tasks.push({ does: "complete", packet, seq: out.seq, topic, refused: why });
        continue;
      }
      underWay++;
      out.isAgain = true;
      this.#output.push(bytes);
    }
  }

  #deliver(task: Delivery): void {
    const { packet, qos } = task;
    if (qos < 2) return void this.#tasks.push(task);
    const known = this.#in.get(packet);
    if (known === "taken") return this.#answer("pubrec", packet);
    if (known) return; // its answer comes when it is safe
    // There may be more than the receive maximum: mosquitto 2.0.11 does not always keep it. Ids bound them.
    this.#in.set(packet, "pending");
    this.#tasks.push(task);
  }

  #released(packet: number): void {
    const known = this.#in.get(packet);
    if (known === "going") return;
    if (known === "pending") {
      throw new BrokerError("UNEXPECTED", `message ${packet} is released before it was taken`);
    }
    // It was forgotten already, and the broker does not know that.
    if (!known) return this.#answer("pubcomp", packet, NOT_FOUND);
    this.#in.set(packet, "going");
    this.#tasks.push({ does: "forget", packet });
  }

  #received(packet: number, refused: string | undefined): void {
    const out = this.#out.get(packet);
    if (out?.isPending || this.#isResuming) return;
    if (!out) {
      if (refused === undefined) this.#answer("pubrel", packet, NOT_FOUND);
      return;
    }
    if (out.isReleased) return this.#answer("pubrel", packet);
    if (out.isDue) throw new BrokerError("UNEXPECTED", `PUBREC for ${packet}, which was not sent`);
    out.isPending = true;
    const { seq, topic } = out;
    if (refused === undefined) this.#tasks.push({ does: "release", packet, seq });
    else this.#tasks.push({ does: "complete", packet, seq, topic, refused });
  }

  #completed(packet: number): void {
    const out = this.#out.get(packet);
    if (!out || this.#isResuming) return; // it was told before, or will be asked again
    if (!out.isReleased || out.isDue) {
      throw new BrokerError("UNEXPECTED", `PUBCOMP for ${packet}, which was not released`);
    }
    if (out.isPending) return;
    out.isPending = true;
    this.#tasks.push({ does: "complete", packet, seq: out.seq, topic: out.topic });
  }

  #subscribed(packet: Extract<Packet, { cmd: "suback" }>): void {
    if (packet.messageId !== SUBSCRIBE_ID) throw unexpected(packet);
    const granted = packet.granted.map(Number);
    const at = granted.findIndex((qos) => qos !== 2);
    if (at < 0 && granted.length === this.#options.subscribe.length) return;
    const topic = this.#options.subscribe[at] ?? "all topics";
    throw new BrokerError("REFUSED", `the broker does not grant ${topic} with QoS 2`);
  }

  /** A task that nobody has taken is none any more. */
  #forget(task: Task): void {
    switch (task.does) {
      case "deliver":
        if (task.qos === 2) this.#in.delete(task.packet);
        return;
      case "forget":
        return void this.#in.set(task.packet, "taken");
      case "release":
      case "complete":
        this.#out.get(task.packet)!.isPending = false;
    }
  }

  #answer(cmd: "puback" | "pubrec" | "pubrel" | "pubcomp", packet: number, reason = 0): void {
    if (this.#phase !== "ready" && this.#phase !== "resuming") return;
    const why = this.#options.version === 5 && reason > 0 ? { reasonCode: reason } : {};
    this.#send({ cmd, messageId: packet, ...why } as Packet);
  }

  #send(packet: Packet): void {
    this.#output.push(encode(packet, this.#options.version));
  }
}

/** The id of a publication. Those that are under way at once are less than `MOST_ID` apart. */
function packetId(seq: number): number {
  return (seq - 1) % MOST_ID + 1;
}

function unexpected({ cmd, messageId }: Packet): BrokerError {
  const which = messageId === undefined ? "" : ` for ${messageId}`;
  return new BrokerError("UNEXPECTED", `${cmd.toUpperCase()}${which} cannot come now`);
}
