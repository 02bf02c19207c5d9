/** Between a server's devices and an MQTT broker: one connection for all of them. */
import type { Observer, Server, Told, Transaction, Value } from "../../server/mod.ts";
import { isName, NAME_RULE, textOf, valueOf } from "../../server/protocol/channel_lines.ts";
import { HoldfastError, LocalError } from "../../server/protocol/errors.ts";
import { joinAddress } from "../../server/transport/address.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform } from "../../server/transport/platform.ts";
import { type Access, access, type MqttCredentials } from "./access.ts";
import { AgeBound } from "./age.ts";
import { Availability } from "./availability.ts";
import { Broker } from "./broker.ts";
import { Room } from "./room.ts";
import { bytesOf, count, createTables, publish } from "./rows.ts";
import { Counters, type MqttState } from "./state.ts";
import type { Delivery } from "./tasks.ts";
import { Topics } from "./topics.ts";

/** Publications that are under way at once, if the broker has no bound of its own. */
const WINDOW = 100;

/** The same in MQTT 3.1.1: a broker cannot say what it takes, and mosquitto cuts off whoever has more under way. */
const SAFE_WINDOW = 20;

/** Messages with QoS 2 that the broker may have under way at once. */
const RECEIVE_MAXIMUM = 100;

/** In s. */
const KEEPALIVE = 30;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Where the broker is, and what it is told. */
export interface MqttOptions extends MqttCredentials {
  /** Name or address. */
  hostname: string;
  /** Default 1883; with TLS 8883. */
  port?: number;
  /** At the broker. Default: none. */
  username?: string;
  /** Topics begin with it. Default "holdfast". */
  prefix?: string;
  /** Of MQTT: 4 is 3.1.1. Default 5. */
  version?: 4 | 5;
  /** Publications that are under way at once. Default 20 in MQTT 3.1.1; 100 in 5, where the broker's bound counts too. */
  window?: number;
  /** For how long a device without a connection is said to be online still, in ms. Default 30,000. */
  offlineAfter?: number;
  /** Publications that wait for the broker; as long as there are more, devices' messages wait. Default 10,000. */
  mostRows?: number;
  /** The same in bytes of topics and payloads. Default 16 MB. */
  mostBytes?: number;
  /** For how long an event waits for the broker before it is given up, in ms. Default: for ever. */
  maxAge?: number;
}

/** A retained topic. */
interface State {
  readonly topic: string;
  /** What it should say now; undefined: nothing. */
  readonly read: () => string | undefined;
}

/** What a message wants cannot be done. */
class Refusal extends HoldfastError<"BAD_VALUE" | "RETAINED_SET" | "UNKNOWN_TOPIC"> {}

/**
 * Brings what a server's devices tell to a broker, and what is said there to the devices.
 *
 * ```ts ignore
 * const mqtt = new MqttBridge({ hostname: "broker.lan" });
 * const server = await Server.listen({ store: "server.db", observe: mqtt.observe });
 * await mqtt.start(server);
 * ```
 */
export class MqttBridge {
  /** For `Server.listen`: what devices tell becomes publications. It waits until `start`. */
  readonly observe: Observer;
  readonly #options: MqttOptions;
  readonly #port: number;
  readonly #platform: Platform;
  readonly #topics: Topics;
  readonly #room: Room;
  readonly #ready = Promise.withResolvers<void>();
  #access: Access;
  #server: Server | undefined;
  #broker: Broker | undefined;
  #availability: Availability | undefined;
  #age: AgeBound | undefined;
  readonly #counters = new Counters();
  #closed: LocalError | undefined;

  /** Checks the options; nothing else happens before `start`. @throws {LocalError} BAD_ARGUMENT */
  constructor(options: MqttOptions, platform: Platform = nodePlatform) {
    const { hostname, port = options.tls ? 8883 : 1883, prefix = "holdfast" } = options;
    const { mostRows: rows = 10_000, mostBytes: bytes = 16 * 1024 * 1024 } = options;
    checkWhole("port", port, 1, 65_535);
    checkWhole("window", options.window ?? 1, 1, 10_000);
    checkWhole("mostRows", rows, 1, 1_000_000);
    checkWhole("mostBytes", bytes, 1, 2 ** 40);
    checkWhole("offlineAfter", options.offlineAfter ?? 0, 0, 2 ** 31 - 1);
    checkWhole("maxAge", options.maxAge ?? 1, 1, 2 ** 40);
    this.#options = options;
    this.#port = port;
    this.#access = access(hostname, port, options);
    this.#platform = platform;
    this.#topics = new Topics(prefix);
    this.#ready.promise.catch(() => {});
    this.#room = new Room({ rows, bytes }, () => this.#count(), (isFull) => this.#toldFull(isFull));
    this.observe = {
      report: (value, told) => this.#report(value!, told),
      event: (value, told) => this.#event(value, told),
    };
  }

  /**
   * Begins to bring messages to the broker and from it.
   *
   * @param server That was given `observe`.
   * @throws {LocalError} BAD_ARGUMENT: its store has no database
   */
  async start(server: Server): Promise<void> {
    try {
      await server.transaction((tx) => createTables(tx, newClientId(), this.#platform.date()));
    } catch (error) {
      this.#ready.reject(error);
      throw error;
    }
    this.#server = server;
    await this.#room.count();
    this.#age = this.#ageBound(server);
    await this.#age.start();
    const { version = 5, username, offlineAfter = 30_000 } = this.#options;
    this.#broker = new Broker(this.#host(server), {
      version,
      ...(username !== undefined && { username }),
      keepalive: KEEPALIVE,
      status: this.#topics.status,
      subscribe: [this.#topics.settings],
      window: this.#options.window ?? (version === 5 ? WINDOW : SAFE_WINDOW),
      receiveMaximum: RECEIVE_MAXIMUM,
    });
    this.#availability = new Availability(server, this.#platform, offlineAfter, (id, state) => {
      server.transaction((tx) => this.#put(tx, this.#topics.availability(id), state, true))
        .catch(() => {}); // the server was closed
    });
    this.#ready.resolve();
  }

  /**
   * Uses other credentials from the next connection on, which is made at once if there is none. TLS is on or off for
   * good, as the port is another one.
   *
   * @throws {LocalError} BAD_ARGUMENT: they cannot be used; the old ones stay then
   */
  setCredentials(credentials: MqttCredentials): void {
    if (!credentials.tls !== !this.#options.tls) {
      throw new LocalError("BAD_ARGUMENT", "TLS to a broker is not turned on or off while it runs");
    }
    this.#access = access(this.#options.hostname, this.#port, credentials);
    this.#broker?.retry();
  }

  /** Ends it, before the server is closed. What is due to the broker stays in the store. */
  close(): void {
    this.#closed = new LocalError("CLOSED", "the MQTT bridge was closed");
    this.#ready.reject(this.#closed);
    this.#room.close(this.#closed);
    this.#availability?.close();
    this.#age?.close();
    this.#broker?.close();
  }

  /** How it is. Nothing is asked of the store for it. */
  get state(): MqttState {
    const { connectedSince, oldest, problem, connects, published, received, givenUp } =
      this.#counters;
    const inFlight = this.#broker?.inFlight ?? { rows: 0, bytes: 0 };
    const { rows, bytes } = this.#room.amount;
    const waiting = Math.max(0, rows - inFlight.rows);
    return {
      ...{ problem, connects, published, received, givenUp, inFlight: inFlight.rows },
      connectedSince: connectedSince === undefined ? undefined : new Date(connectedSince),
      waiting: {
        rows: waiting,
        bytes: waiting === 0 ? 0 : Math.max(0, bytes - inFlight.bytes),
        ...(oldest !== undefined && waiting > 0 && { since: new Date(oldest) }),
      },
    };
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  async #report(value: Value, { thing, channel, tx }: Told): Promise<void> {
    await this.#add(tx, this.#topics.state(thing.id, channel), textOf(value), true);
  }

  async #event(value: Value | undefined, { thing, channel, tx }: Told): Promise<void> {
    const text = value === undefined ? "" : textOf(value);
    await this.#add(tx, this.#topics.event(thing.id, channel), text, false);
  }

  /** Adds a publication to a device's transaction, which waits until there is room. */
  async #add(tx: Transaction, topic: string, payload: string, retain: boolean): Promise<void> {
    await this.#ready.promise;
    if (this.#closed) throw this.#closed;
    await this.#room.take(bytesOf({ topic, payload }), retain ? topic : undefined);
    this.#publish(tx, topic, payload, retain);
  }

  /** Adds one that is bounded by the number of devices and channels. */
  #put(tx: Transaction, topic: string, payload: string, retain: boolean): void {
    this.#room.add(bytesOf({ topic, payload }), retain ? topic : undefined);
    this.#publish(tx, topic, payload, retain);
  }

  #publish(tx: Transaction, topic: string, payload: string, retain: boolean): void {
    const since = this.#platform.date();
    publish(tx, { topic, payload, retain, since });
    tx.afterCommit(() => {
      this.#counters.added(since);
      this.#broker!.added();
    });
  }

  #ageBound(server: Server): AgeBound {
    const { transaction, warn } = this.#host(server);
    return new AgeBound(this.#platform, this.#options.maxAge ?? Infinity, {
      transaction,
      warn,
      gaveUp: ({ rows, bytes, oldest }) => {
        this.#room.free(bytes, rows);
        this.#counters.givenUp += rows;
        this.#counters.oldest = oldest;
        this.#broker?.gaveUp();
      },
    });
  }

  #host(server: Server) {
    const address = joinAddress(this.#options.hostname, this.#port);
    return {
      platform: this.#platform,
      access: () => this.#access,
      transaction: (use: (tx: Transaction) => Promise<void> | void) => server.transaction(use),
      deliver: (delivery: Delivery, tx: Transaction) => this.#deliver(delivery, tx),
      announce: (tx: Transaction) => this.#announce(server, tx),
      room: this.#room,
      counters: this.#counters,
      tell: (error?: HoldfastError) => {
        const why = error && { code: error.code, message: error.message };
        this.#counters.tell(this.#platform.date(), why);
        if (!error) this.#age!.over();
        server.events.emit({ event: "broker", address, ...why });
      },
      warn: (code: string, message: string) =>
        server.events.emit({ event: "warning", address, code, message }),
    };
  }

  /** @throws {HoldfastError} */
  #deliver({ topic, payload, isRetained, isCut }: Delivery, tx: Transaction): void {
    const target = this.#topics.parse(topic);
    if (!target) throw new Refusal("UNKNOWN_TOPIC", "it is no topic of the bridge");
    if (isRetained) {
      const why = "a setting must not be retained: it would come again with every connection";
      throw new Refusal("RETAINED_SET", why);
    }
    if (isCut) throw new Refusal("BAD_VALUE", "the payload is too long");
    if (payload.length === 0) throw new Refusal("BAD_VALUE", "the payload is empty");
    const { device, channel } = target;
    if (!isName(channel)) throw new Refusal("BAD_VALUE", `this is no channel: ${NAME_RULE}`);
    tx.set(device, channel, valueOf(decode(payload)), { by: "mqtt" });
  }

  /** Publishes what all devices are. */
  async #announce(server: Server, tx: Transaction): Promise<void> {
    const states: State[] = [];
    for (const { id } of server.devices) {
      const thing = await server.thing(id);
      for (const channel of thing.channels) {
        const read = () => {
          const reported = thing.reported(channel);
          return reported && textOf(reported.value);
        };
        states.push({ topic: this.#topics.state(id, channel), read });
      }
      const read = () => this.#availability?.get(id);
      states.push({ topic: this.#topics.availability(id), read });
    }
    this.#putStates(server, tx, states);
  }

  /** What becomes safe while this waits for its commit comes out before it, though it is newer: then it comes again. */
  #putStates(server: Server, tx: Transaction, states: readonly State[]): void {
    const said = states.map(({ read }) => read());
    for (const [i, { topic }] of states.entries()) {
      const text = said[i];
      if (text !== undefined) this.#put(tx, topic, text, true);
    }
    tx.afterCommit(() => {
      const newer = states.filter(({ read }, i) => read() !== said[i]);
      if (newer.length === 0) return;
      server.transaction((tx) => this.#putStates(server, tx, newer)).catch(() => {}); // it was closed
    });
  }

  async #count() {
    let amount = { rows: 0, bytes: 0 };
    await this.#server!.transaction(async (tx) => void (amount = await count(tx)));
    return amount;
  }

  #toldFull(isFull: boolean): void {
    if (!isFull) return;
    const message = "so much waits for the broker that devices' messages wait, too";
    this.#server!.events.emit({ event: "warning", code: "BROKER_BEHIND", message });
  }
}

/** @throws {LocalError} BAD_ARGUMENT */
function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const rule = `a whole number from ${least} to ${most}`;
  throw new LocalError("BAD_ARGUMENT", `${name} of MQTT is ${rule}, not ${value}`);
}

/** @throws {Refusal} */
function decode(payload: Uint8Array): string {
  try {
    return decoder.decode(payload);
  } catch (cause) {
    throw new Refusal("BAD_VALUE", "the payload is no UTF-8", { cause });
  }
}

/** Any broker takes 23 letters and digits. */
function newClientId(): string {
  return `holdfast${crypto.randomUUID().replaceAll("-", "").slice(0, 15)}`;
}
