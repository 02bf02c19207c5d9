/**
 * The model of an MQTT broker, on a machine of its own: the real `MqttBridge` talks to it. It can be stopped, be
 * killed, and forget; it can be slow, refuse, or fall silent.
 */
import { Decoder, encode, type Packet } from "../../bridge/mqtt/codec.ts";
import { type MqttOptions } from "../../bridge/mqtt/mod.ts";
import type { Limits } from "../../server/link/limits.ts";
import type { SocketEvents } from "../../server/transport/platform.ts";
import { BrokerFaults } from "./broker_faults.ts";
import { BrokerSession, type Message, type SessionHost } from "./broker_session.ts";
import type { ChannelBooks } from "./channel_books.ts";
import { MqttBooks, type Publication, type ServerView } from "./mqtt_books.ts";
import { type MqttPlan, NEWS, OWN, PREFIX } from "./mqtt_plan.ts";
import { Circuit, type End, type Host, Path } from "../../bridge/testing/network.ts";
import { type BrokerWorld, People } from "./people.ts";
import { Process } from "../../bridge/testing/process.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { SimSocket } from "../../bridge/testing/socket.ts";

/** Silence, in multiples of the client's keepalive, after which the broker drops a client. */
const PATIENCE = 1.5;

/** "No subscription existed". */
const NO_SUBSCRIPTION = 0x11;

/** A world that may have a broker. */
interface Place extends BrokerWorld {
  readonly scenario: BrokerWorld["scenario"] & {
    readonly mqtt?: MqttPlan;
    readonly limits: Limits;
  };
  readonly channels: ChannelBooks | undefined;
  readonly server: ServerView;
}

export function makeBroker(world: Place): ModelBroker | undefined {
  const { channels, server, scenario: { mqtt, limits } } = world;
  if (!channels || !mqtt) return undefined;
  const now = () => world.clock.now;
  const books = channels.mqtt = new MqttBooks(channels.things, server, mqtt, now, limits);
  return new ModelBroker(world, mqtt, books);
}

type Connect = Extract<Packet, { cmd: "connect" }>;

/** The state that survives a kill. */
interface Saved {
  readonly session: BrokerSession<Publication> | undefined;
  readonly retained: ReadonlyMap<string, Message>;
}

const NOTHING: Saved = { session: undefined, retained: new Map() };

/** One connection. */
interface Guest {
  readonly socket: SimSocket;
  readonly decoder: Decoder;
  heardAt: number;
  /** Set when it is accepted as a client. */
  client: Connect | undefined;
}

export class ModelBroker implements Host, SessionHost<Publication> {
  readonly process: Process;
  readonly path: Path;
  isConfused = false;
  /** The process that connected last. */
  lastClient: Process | undefined;
  #isUp = true;
  #refusesUntil = 0;
  #session: BrokerSession<Publication> | undefined;
  #clientId: string | undefined;
  /** It once had a session of the bridge, and has forgotten it. */
  #hasForgotten = false;
  #retained = new Map<string, Message>();
  #saved = NOTHING;
  readonly #connections = new Set<Guest>();
  #current: Guest | undefined;
  readonly #people: People;
  readonly faults: BrokerFaults;
  #takes: number;

  constructor(readonly world: BrokerWorld, readonly plan: MqttPlan, readonly books: MqttBooks) {
    this.process = new Process(world);
    this.path = new Path(world.clock, world.random, plan.conditions, "10.0.2.1");
    this.#people = new People(this);
    this.faults = new BrokerFaults(this);
    books.answered = () => this.faults.answered();
    this.#takes = plan.takes;
  }

  get routesAt() {
    return this.plan.routesAt;
  }

  get takes(): number {
    return this.#takes;
  }

  get sends(): number {
    return this.plan.sends;
  }

  /** The bridge's options. */
  get options(): MqttOptions {
    const { version, mostRows, offlineAfter, deadline, isDescribed: homeAssistant } = this.plan;
    const { hasOwnTopics, lease } = this.plan;
    const ownTopics = hasOwnTopics ? [NEWS, `${OWN}/{id}/+`] : [];
    const shared = lease === undefined ? {} : { lease };
    const more = { mostRows, offlineAfter, deadline, ownTopics, homeAssistant, ...shared };
    return { hostname: "broker.lan", version, prefix: PREFIX, ...more };
  }

  /** Starts the publishers and the faults. */
  start(): void {
    this.#people.start();
    this.faults.start();
  }

  // The way to it.

  /** The server connects to it. */
  connect(process: Process, events: SocketEvents & { opened(): void }): SimSocket {
    this.world.log?.("the bridge connects");
    this.lastClient = process;
    return new SimSocket(process, new Circuit(this.path, this).client, "10.0.2.1:1883", events);
  }

  get listens(): boolean {
    return this.#isUp;
  }

  accept(end: End): void {
    const socket = new SimSocket(this.process, end, "the bridge");
    const decoder = new Decoder(this.plan.version);
    const connection: Guest = { socket, decoder, heardAt: this.now, client: undefined };
    this.#connections.add(connection);
    this.process.arrive(() =>
      socket.start({
        data: (bytes) => this.#read(connection, bytes),
        drained() {},
        ended: () => this.#ended(connection),
      })
    );
  }

  get now(): number {
    return this.world.clock.now;
  }

  #read(connection: Guest, bytes: Uint8Array): void {
    connection.heardAt = this.now;
    for (const { packet } of connection.decoder.take(bytes)) {
      this.world.log?.(`broker takes ${describe(packet)}`);
      this.#take(connection, packet);
      if (!this.#connections.has(connection)) return;
    }
  }

  #take(connection: Guest, packet: Packet): void {
    this.faults.packet();
    if (!connection.client) {
      if (packet.cmd !== "connect") throw new Violation(`the bridge begins with ${packet.cmd}`);
      return this.faults.greet(() => {
        if (this.#connections.has(connection)) this.#greet(connection, packet);
      });
    }
    switch (packet.cmd) {
      case "subscribe":
        return this.#subscribe(packet);
      case "unsubscribe":
        return this.#unsubscribe(packet);
      case "pingreq":
        return this.say({ cmd: "pingresp" });
      default:
        this.#session!.take(packet);
    }
  }

  #greet(connection: Guest, connect: Connect): void {
    const { version, keepalive } = this.plan;
    const takes = version === 5 && this.world.random.chance(0.3) ? 1 : this.plan.takes;
    if (this.now < this.#refusesUntil) {
      this.#send(connection, { cmd: "connack", sessionPresent: false, ...refusal(version) });
      return this.#close(connection);
    }
    if (this.#current) this.#leaves(this.#current);
    this.#check(connect);
    connection.client = connect;
    this.#takes = takes;
    this.#current = connection;
    const sessionPresent = this.#session !== undefined;
    if (!sessionPresent && this.#hasForgotten) this.books.metAgain();
    if (sessionPresent && this.#hasForgotten && this.#session!.filters.size === 0) {
      this.isConfused = true;
      this.books.mistaken();
    }
    const session = this.#session ??= new BrokerSession<Publication>(this);
    const properties = {
      ...(takes < 65_535 && { receiveMaximum: takes }),
      ...(keepalive !== undefined && { serverKeepAlive: keepalive }),
    };
    const granted = version === 5 ? { reasonCode: 0, properties } : { returnCode: 0 };
    this.say({ cmd: "connack", sessionPresent, ...granted } as Packet);
    this.#watch(connection, keepalive ?? connect.keepalive!);
    session.resumes();
    session.fill();
  }

  #check({ clean, clientId, will, properties }: Connect): void {
    if (clean) throw new Violation("the bridge asks for a clean session");
    if ((this.#clientId ??= clientId) !== clientId) {
      throw new Violation(`the bridge was ${this.#clientId}, and is ${clientId}`);
    }
    if (will?.topic !== `${PREFIX}/status`) throw new Violation("the bridge has no will");
    if (this.plan.version === 5 && properties?.sessionExpiryInterval !== 0xffff_ffff) {
      throw new Violation("the bridge wants its session to end");
    }
  }

  /** Drops a silent client. */
  #watch(connection: Guest, keepalive: number): void {
    const patience = PATIENCE * keepalive * 1000;
    const look = () => {
      if (!this.#connections.has(connection)) return;
      const left = connection.heardAt + patience - this.now;
      if (left > 0) this.process.after(left, look);
      else this.#leaves(connection);
    };
    this.process.after(patience, look);
  }

  #subscribe(packet: Extract<Packet, { cmd: "subscribe" }>): void {
    const { subscriptions, messageId } = packet;
    const session = this.#session!;
    const isSent = subscriptions.filter(({ topic, rh }) => rh !== 1 || !session.filters.has(topic));
    for (const { topic, qos } of subscriptions) {
      if (qos !== 2) throw new Violation(`${topic} is wanted with QoS ${qos}`);
      session.filters.add(topic);
    }
    if (this.#hasForgotten) this.#people.sayMore();
    this.#hasForgotten = false;
    this.books.subscribed();
    this.say({ cmd: "suback", messageId: messageId!, granted: subscriptions.map(() => 2) });
    for (const message of this.#retained.values()) {
      if (!isSent.some(({ topic }) => matches(topic, message.topic))) continue;
      this.offer({ ...message, retain: true });
    }
    session.fill();
  }

  #unsubscribe({ unsubscriptions, messageId }: Extract<Packet, { cmd: "unsubscribe" }>): void {
    const granted = unsubscriptions.map((filter) =>
      this.#session!.filters.delete(filter) ? 0 : NO_SUBSCRIPTION
    );
    this.say({ cmd: "unsuback", messageId: messageId!, granted });
  }

  /** A connection is lost without a DISCONNECT. */
  #leaves(connection: Guest): void {
    this.#close(connection);
    this.#ended(connection);
  }

  #ended(connection: Guest): void {
    this.#connections.delete(connection);
    if (this.#current !== connection) return;
    this.#current = undefined;
    const { topic, payload, retain } = connection.client!.will!;
    this.route({ topic, payload: String(payload), qos: 1, retain: retain! });
  }

  #close(connection: Guest): void {
    this.#connections.delete(connection);
    connection.socket.close();
  }

  #send(connection: Guest, packet: Packet): void {
    this.faults.packet();
    this.world.log?.(`broker says ${describe(packet)}`);
    connection.socket.write(encode(packet, this.plan.version));
    if (packet.cmd === "publish" && packet.qos > 0) this.faults.sends();
  }

  // The session's host.

  say(packet: Packet): void {
    if (this.#current) this.#send(this.#current, packet);
  }

  route(message: Message): void {
    this.world.log?.(`broker tells ${message.topic} ${message.payload}`);
    if (message.retain && message.payload.length === 0) this.#retained.delete(message.topic);
    else if (message.retain) this.#retained.set(message.topic, message);
    this.books.routed(message);
  }

  goes(message: Publication, id: number): void {
    if (!message.retain) this.books.goes(message, id);
  }

  taken(message: Publication): void {
    this.books.taken(message);
  }

  freed(id: number): void {
    this.books.freed(id);
  }

  // People.

  /** Users send requests to devices again and again. @param ms For how long */
  ask(ms: number): void {
    this.#people.askFor(ms);
  }

  /** Whether somebody can publish. */
  get takesPublications(): boolean {
    return this.#isUp && !this.process.isFrozen;
  }

  keep(message: Message): void {
    this.#retained.set(message.topic, message);
  }

  /** Publishes something, which goes to the bridge if that has subscribed to it. */
  offer(message: Publication): void {
    const session = this.#session;
    if (!session || ![...session.filters].some((filter) => matches(filter, message.topic))) return;
    if (message.qos === 0 && !this.#current) return;
    session.publish(message);
    if (this.#current) session.fill();
  }

  // What goes wrong.

  /** Saves its state to its disk. */
  save(): void {
    this.#saved = { session: this.#session?.copy(), retained: new Map(this.#retained) };
  }

  /** Refuses all connections until then. */
  refuses(until: number): void {
    this.#refusesUntil = until;
  }

  /** Ends, and comes back. */
  stop(time: number): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.process.end();
    const tells = this.world.random.chance(0.8);
    for (const { socket } of this.#connections) socket.die(tells);
    this.#connections.clear();
    this.#current = undefined;
    this.world.clock.after(time, () => {
      this.world.log?.("the broker is back");
      this.#isUp = true;
    });
  }

  /** Loses everything that is not on its disk. */
  forget(way: "nothing" | "all" | "what is new"): void {
    if (!this.#isUp) return;
    this.world.log?.(`the broker forgets ${way}`);
    if (way === "nothing") return;
    const ids = this.#session?.flights.map(({ id }) => id) ?? [];
    const before = this.#session;
    const { session, retained } = way === "all" ? NOTHING : this.#saved;
    this.#session = session?.copy();
    this.#retained = new Map(retained);
    if (this.#session) {
      this.isConfused = true;
      this.books.wentBack(this.#session.publications, ids);
    } else if (before) {
      this.#hasForgotten = true;
      this.books.forgot(ids, before.filters.size > 0);
    }
  }

  // The end.

  /** What is left to do, or wrong; undefined: nothing. */
  unfinished(): string | undefined {
    if (!this.#isUp) return "the broker is away";
    if (!this.#current) return "the bridge has no connection to the broker";
    if (this.#people.toPublish > 0) return "somebody has something to publish";
    const left = this.#session!.unfinished();
    if (left) return left;
    const texts = [...this.#retained].map(([topic, { payload }]) =>
      [topic, String(payload)] as const
    );
    return this.books.unfinished(new Map(texts), this.#session!.filters);
  }
}

/** Whether a topic matches a filter. */
function matches(filter: string, topic: string): boolean {
  const [wanted, levels] = [filter.split("/"), topic.split("/")];
  return wanted.length === levels.length &&
    wanted.every((level, i) => level === "+" || level === levels[i]);
}

/** "It is not available", in either version. */
function refusal(version: 4 | 5): { reasonCode: number } | { returnCode: number } {
  return version === 5 ? { reasonCode: 0x88 } : { returnCode: 3 };
}

function describe(packet: Packet): string {
  const { cmd, messageId, topic, payload, dup } = packet as unknown as Record<string, unknown>;
  const words = [cmd, messageId, topic, payload, dup && "again"];
  return words.filter((word) => word !== undefined && word !== false).join(" ");
}
