/**
 * Connects a server's devices with an MQTT broker, over one connection for all.
 *
 * Long because all parts meet here.
 */
import type {
  HandlerContext,
  Observer,
  Server,
  ServerEvent,
  Transaction,
  Value,
} from "../../server/mod.ts";
import { textOf } from "../../server/protocol/channel_lines.ts";
import { type HoldfastError, LocalError } from "../../server/protocol/errors.ts";
import { joinAddress } from "../../server/transport/address.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { LONGEST_TIMER, type Platform } from "../../server/transport/platform.ts";
import { type Access, access, type MqttCredentials } from "./access.ts";
import { AgeBound } from "./age.ts";
import { Announcer, checkHomeAssistant, type HomeAssistantOptions } from "./announcer.ts";
import { type PerDevice, timesIn } from "./availability.ts";
import { Broker } from "./broker.ts";
import { perform } from "./commands.ts";
import { Lease, type Seen } from "./lease.ts";
import { OWN_CHANNEL, OwnTopics } from "./own_topics.ts";
import { Requests } from "./requests.ts";
import { Room } from "./room.ts";
import { remember } from "./retained.ts";
import { beginRound, bytesOf, count, knownFilters, type Message, publish } from "./rows.ts";
import { createTables, type Schema } from "./schema.ts";
import { Counters, type MqttState } from "./state.ts";
import { hereOf, States } from "./states.ts";
import type { Delivery, RefusedFilter } from "./tasks.ts";
import { Topics } from "./topics.ts";
import { Wills } from "./wills.ts";

/** Most publications under way at once, if the broker has no limit. */
const WINDOW = 100;

/** The same in MQTT 3.1.1: a broker cannot tell its limit, and mosquitto disconnects clients with more under way. */
const SAFE_WINDOW = 20;

/**
 * Most QoS 2 messages that the broker may have under way at once. Through a restart mosquitto remembers the state of
 * 20 (its `max_inflight_messages`), and sends any beyond them again.
 */
const RECEIVE_MAXIMUM = 20;

/** Keepalive in s. */
const KEEPALIVE = 30;

/** Most requests under way at once. */
const MOST_REQUESTS = 1000;

/** Default deadline of a request or a `do`, in ms. */
const DEADLINE = 10_000;

/** Silence after which another server takes over the connection to the broker, in ms. */
const LEASE = 5000;

/** Interval for counting what other servers have added, in ms. */
const RECOUNT = 1000;

/** Options of the bridge. */
export interface MqttOptions extends MqttCredentials {
  /** The broker's name or address. */
  hostname: string;
  /** The broker's port. Default 1883; with TLS 8883. */
  port?: number;
  /** User name at the broker. Default: none. */
  username?: string;
  /** Prefix of all topics. Default "holdfast". */
  prefix?: string;
  /** Whether devices with a description appear in Home Assistant. Default: no. */
  homeAssistant?: boolean | HomeAssistantOptions;
  /** Version of MQTT: 5, or 4 for 3.1.1. Default 5. */
  version?: 4 | 5;
  /** Most publications under way at once. Default 20 in MQTT 3.1.1; 100 in 5, where the broker's limit applies, too. */
  window?: number;
  /** How long a device without a connection still counts as online, in ms. Default 30,000. */
  offlineAfter?: PerDevice;
  /**
   * How long a device may sleep, in ms: until then it counts as sleeping, and only afterwards as offline. Default:
   * `sleep=` seconds in the metadata of its hello; otherwise it does not sleep.
   */
  sleeping?: PerDevice;
  /** Most publications that wait for the broker; while there are more, devices' messages wait. Default 10,000. */
  mostRows?: number;
  /** The same in bytes of topics and payloads. Default 16 MB. */
  mostBytes?: number;
  /** How long an event waits for the broker before it is dropped, in ms. Default: for ever. */
  maxAge?: number;
  /** Most requests that wait for devices' answers at once; more are answered with TOO_MANY_REQUESTS. Default 1,000. */
  mostRequests?: number;
  /**
   * How long a request waits for its answer, and a `do` for its device, if the message has no expiry, in ms. Default
   * 10,000.
   */
  deadline?: number;
  /**
   * Topics that devices may publish and subscribe to themselves, as topic filters; `{id}` stands for the device's
   * id. Wildcards match nothing below `prefix`. Default: none.
   */
  ownTopics?: readonly string[];
  /**
   * If several servers share a store in PostgreSQL: the silence of the server with the connection to the broker after
   * which another one connects, in ms, 500 to 600,000. Default 5000.
   */
  lease?: number;
}

/** The state of a server without the connection, instead of an error. */
const STANDBY = { code: "STANDBY", message: "another server has the connection to the broker" };

/**
 * Publishes what a server's devices report at a broker, and passes messages from there to the
 * devices.
 *
 * ```ts ignore
 * const mqtt = new MqttBridge({ hostname: "broker.lan" });
 * const server = await Server.listen({ store: "server.db", observe: mqtt.observe });
 * await mqtt.start(server);
 * ```
 */
export class MqttBridge {
  /** For `Server.listen`: turns what devices report into publications. They wait until `start`. */
  readonly observe: Observer;
  readonly #options: MqttOptions;
  readonly #port: number;
  readonly #platform: Platform;
  readonly #topics: Topics;
  readonly #homeAssistant: Required<HomeAssistantOptions> | undefined;
  readonly #room: Room;
  readonly #own: OwnTopics;
  readonly #wills: Wills;
  readonly #patience: number;
  readonly #ready = Promise.withResolvers<void>();
  readonly #counters = new Counters();
  #access: Access;
  #server: Server | undefined;
  #schema!: Schema; // set by `start`, like those below
  #lease: Lease | undefined;
  #round: number | undefined; // the last round in which this server announced its devices
  #recounted = -Infinity;
  #broker: Broker | undefined;
  #requests: Requests | undefined;
  #unsubscribe: (() => void) | undefined;
  #states: States | undefined;
  #announcer: Announcer | undefined;
  #age: AgeBound | undefined;
  #closed: LocalError | undefined;

  /** Checks the options; nothing else happens before `start`. @throws {LocalError} BAD_ARGUMENT */
  constructor(options: MqttOptions, platform: Platform = nodePlatform) {
    const { hostname, port = options.tls ? 8883 : 1883, prefix = "holdfast" } = options;
    const { mostRows: rows = 10_000, mostBytes: bytes = 16 * 1024 * 1024 } = options;
    checkWhole("port", port, 1, 65_535);
    checkWhole("window", options.window ?? 1, 1, 10_000);
    checkWhole("mostRows", rows, 1, 1_000_000);
    checkWhole("mostBytes", bytes, 1, 2 ** 40);
    for (const name of ["offlineAfter", "sleeping"] as const) {
      for (const value of timesIn(options[name])) checkWhole(name, value, 0, LONGEST_TIMER);
    }
    checkWhole("maxAge", options.maxAge ?? 1, 1, 2 ** 40);
    checkWhole("mostRequests", options.mostRequests ?? 1, 1, 1_000_000);
    checkWhole("deadline", options.deadline ?? 1, 1, LONGEST_TIMER);
    checkWhole("lease", options.lease ?? LEASE, 500, 600_000);
    this.#options = options;
    this.#patience = options.deadline ?? DEADLINE;
    this.#port = port;
    this.#access = access(hostname, port, options);
    this.#platform = platform;
    this.#topics = new Topics(prefix);
    const { homeAssistant: shown = false } = options;
    if (shown) this.#homeAssistant = checkHomeAssistant(shown === true ? {} : shown, this.#topics);
    this.#ready.promise.catch(() => {});
    this.#room = new Room(
      { rows, bytes },
      () => this.#count(),
      (isFull) => this.#toldFull(isFull),
      () => this.#broker?.window ?? 0,
    );
    this.#own = new OwnTopics({
      topics: this.#topics,
      now: () => platform.now(),
      wantsOthers: () => this.#broker?.wantsOthers(),
      warn: (device, code, message, topic) => {
        const more = topic === undefined ? {} : { topic };
        this.#server?.events.emit({ event: "warning", device, code, message, ...more });
      },
    }, options.ownTopics ?? []);
    this.#wills = new Wills({
      own: this.#own,
      date: () => platform.date(),
      tell: (tx, id, state, sleep) => {
        tx.run(this.#schema.tellDevice, id, state, sleep, ...this.#sayer);
      },
      forget: (tx, id) => tx.run(this.#schema.forgetDevice, id, ...this.#sayer),
      added: (...args) => this.#adds(...args),
    });
    this.observe = {
      report: (value, context) => this.#report(value!, context),
      event: (value, context) => this.#event(value, context),
      shares: () => this.#room.isHalfEmpty,
    };
  }

  /**
   * Starts to pass messages to and from the broker.
   *
   * @param server The server that was given `observe`.
   * @throws {LocalError} BAD_ARGUMENT: its store has no database; STORE_FAILED: the database has refused a
   * statement
   */
  async start(server: Server): Promise<void> {
    const gone = new Set<string>(); // until another listener exists
    this.#unsubscribe = server.events.subscribe((event) => {
      this.#own.take(event);
      if (event.event === "forgotten") gone.add(event.device);
      else if (event.event !== "elsewhere" || server.known(event.device)) return;
      if (!this.#server) return; // there may be no tables yet: see below
      server.transaction((tx) => this.#wills.forget(tx, event.device)).catch(() => {}); // it was closed
    });
    try {
      await server.transaction(async (tx) => {
        this.#schema = await createTables(tx, newClientId(), this.#platform.date());
      });
      if (this.#schema.isShared) this.#lease = this.#share(server);
      this.#server = server;
      await server.transaction(async (tx) => {
        for (const id of gone) this.#wills.forget(tx, id);
        await this.#own.start(server, await knownFilters(tx, this.#schema));
        await this.#wills.start(tx, server);
      });
    } catch (cause) {
      const error = cause instanceof LocalError ? cause : refusedStart(cause);
      this.#ready.reject(error);
      throw error;
    }
    await this.#room.count();
    if (!this.#lease) await this.#lead(server);
    if (this.#closed) throw this.#closed;
    const { offlineAfter, sleeping } = this.#options;
    const last = (id: string) => this.#wills.last(id);
    const states = this.#states = new States({
      server,
      platform: this.#platform,
      topics: this.#topics,
      wills: this.#wills,
      own: this.#lease?.server,
      put: (tx, message) => this.#put(tx, message),
      again: (device) => this.#announcer!.again(device),
    }, { offlineAfter, sleeping, last });
    this.#announcer = new Announcer(
      {
        server: hereOf(server),
        clock: this.#platform,
        topics: this.#topics,
        isAlone: !this.#lease,
        put: (tx, message, device) => {
          if (device === undefined) this.#put(tx, message);
          else states.putAgain(tx, message, device);
        },
        restate: (id) => states.restate(id),
        warn: (code, message) => this.#emit({ event: "warning", code, message }),
      },
      this.#homeAssistant,
      gone,
    );
    this.#ready.resolve();
    this.#lease?.start();
  }

  /** Called if other servers may have a bridge on the same tables. @throws {LocalError} BAD_ARGUMENT */
  #share(server: Server): Lease {
    if (this.#own.isOn) {
      const message =
        "topics of a device's own need a store in SQLite: give `store` a file, not PostgreSQL";
      throw new LocalError("BAD_ARGUMENT", message);
    }
    this.#counters.tell(this.#platform.date(), STANDBY);
    return new Lease({
      clock: this.#platform,
      transaction: (use, order) => server.transaction(use, order && { order }),
      begins: () => {
        const leading = this.#lead(server);
        const age = this.#age; // unlike this one if it has lost the lead by then, even if it has it again
        leading.catch((error) => this.#age === age && this.#cannotLead(error));
      },
      ends: () => this.#follow(),
      saw: (seen) => this.#saw(server, seen),
      fails: (error) => {
        const message = `this server can neither renew nor take the lease of the broker: ${error}`;
        this.#emit({ event: "warning", code: "LEASE_FAILED", message });
      },
    }, this.#options.lease ?? LEASE);
  }

  /** This server has the connection to the broker from now on. */
  async #lead(server: Server): Promise<void> {
    const requests = this.#requests = this.#askThrough(server);
    const host = this.#host(server, requests);
    const age = this.#age = new AgeBound(this.#platform, this.#options.maxAge ?? Infinity, host);
    await host.transaction((tx) => requests.start(tx));
    await age.start();
    if (this.#closed || this.#age !== age) return;
    const { version = 5, username } = this.#options;
    this.#broker = new Broker(host, {
      version,
      ...(username !== undefined && { username }),
      keepalive: KEEPALIVE,
      status: this.#topics.status,
      subscribe: [...this.#topics.commands, ...Announcer.filters(this.#homeAssistant)],
      window: this.#options.window ?? (version === 5 ? WINDOW : SAFE_WINDOW),
      receiveMaximum: RECEIVE_MAXIMUM,
    });
  }

  /**
   * Taking the lead has failed: the server was closed, another one has the lease already, or the store has refused
   * something.
   */
  #cannotLead(error: unknown): void {
    if (this.#closed) return;
    this.#emit({ event: "warning", code: "MQTT_FAILED", message: `will be tried again: ${error}` });
    this.#lease!.drop();
  }

  /** This server has lost the connection to the broker. */
  #follow(): void {
    this.#age?.over();
    this.#age?.close();
    this.#requests?.close();
    this.#broker?.close();
    this.#age = this.#requests = this.#broker = undefined;
    if (!this.#closed) this.#told(STANDBY);
  }

  /** Reacts to what other servers have done. */
  #saw(server: Server, { waits, round }: Seen): void {
    if (waits) this.#broker?.added(0);
    if (round !== this.#round) {
      this.#round = round;
      if (!this.#broker) { // otherwise it has begun the round, or does so when the broker is there
        this.#states!.announceAll();
        this.#announcer!.all(true);
      }
    }
    const now = this.#platform.now();
    if (now < this.#recounted + RECOUNT) return;
    this.#recounted = now;
    server.transaction(async (tx) => {
      this.#room.moves();
      this.#room.settle(await count(tx));
    }).catch(() => {}); // it was closed
    if (this.#broker) this.#states!.markLeft();
    this.#states!.announceMissed();
  }

  /**
   * Uses other credentials from the next connection on; connects at once if there is none. TLS cannot be turned on
   * or off, as its port differs.
   *
   * @throws {LocalError} BAD_ARGUMENT: they cannot be used; the old ones stay then
   */
  setCredentials(credentials: MqttCredentials): void {
    if (!credentials.tls !== !this.#options.tls) {
      throw new LocalError(
        "BAD_ARGUMENT",
        "TLS to a broker cannot be turned on or off while the bridge runs",
      );
    }
    this.#access = access(this.#options.hostname, this.#port, credentials);
    this.#broker?.retry();
  }

  /** The bridge's state. This does not use the store. */
  get state(): MqttState {
    return this.#counters.state(this.#room.amount, this.#broker?.inFlight);
  }

  /**
   * Closes the bridge, before the server is closed. Messages for the broker stay in the store, and what devices still
   * report is added to them if there is room; if not, it waits in their inboxes.
   */
  close(): void {
    this.#age?.over();
    this.#closed = new LocalError("CLOSED", "the MQTT bridge was closed");
    this.#lease?.close();
    this.#unsubscribe?.();
    this.#states?.close();
    this.#requests?.close();
    this.#announcer?.close();
    this.#age?.close();
    this.#broker?.close();
  }

  /** The same as `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** This server's name, for statements about devices in a shared schema; otherwise nothing. */
  get #sayer(): string[] {
    return this.#lease ? [this.#lease.server] : [];
  }

  async #report(value: Value, context: HandlerContext): Promise<void> {
    const { thing, channel, tx } = context;
    await this.#ready.promise;
    if (this.#own.isOn && channel === OWN_CHANNEL) this.#own.report(value, context);
    const topic = this.#topics.state(thing.id, channel);
    await this.#add(tx, { topic, payload: textOf(value), retain: true });
    this.#wills.report(value, context);
  }

  async #event(value: Value | undefined, context: HandlerContext): Promise<void> {
    const { thing, channel, tx } = context;
    await this.#ready.promise;
    if (this.#own.isOn && channel === OWN_CHANNEL) {
      const message = this.#own.message(value, context);
      return message && await this.#add(tx, message);
    }
    const payload = value === undefined ? "" : textOf(value);
    const topic = this.#topics.event(thing.id, channel);
    await this.#add(tx, { topic, payload, retain: false });
  }

  /** Adds a publication to a device's transaction; waits until there is room. */
  async #add(tx: Transaction, message: Message): Promise<void> {
    this.#publish(tx, message, await this.#room.take(...sizeOf(message)));
  }

  /** Adds a publication of a kind that the number of devices, channels and requests bounds. */
  #put(tx: Transaction, message: Message): void {
    this.#publish(tx, message, this.#room.add(...sizeOf(message)));
  }

  /** The same as `#put`, if the caller adds the statement. */
  #adds(tx: Transaction, message: Message): void {
    this.#room.add(...sizeOf(message));
    this.#added(tx, message, { since: this.#platform.date(), window: 0 });
  }

  #publish(tx: Transaction, message: Message, window: number): void {
    const when = { since: this.#platform.date(), window };
    publish(tx, this.#schema, message, when);
    this.#added(tx, message, when);
  }

  /** A transaction has added a publication. */
  #added(
    tx: Transaction,
    message: Message,
    { since, window }: Parameters<typeof publish>[3],
  ): void {
    const { topic, payload, retain } = message;
    const device = retain && payload !== "" ? this.#topics.deviceOf(topic) : undefined;
    if (device !== undefined) remember(tx, topic, device);
    tx.afterCommit(() => {
      this.#counters.added(since);
      this.#broker?.added(window);
    });
  }

  #askThrough(server: Server): Requests {
    const host = {
      topics: this.#topics,
      now: () => this.#platform.now(),
      knows: (id: string) => server.known(id) !== undefined,
      thing: (id: string) => server.thing(id),
      transaction: (use: (tx: Transaction) => void) => this.#transact(server, use),
      put: (tx: Transaction, message: Message) => this.#put(tx, message),
      hasRoom: (bytes: number) => this.#room.has(bytes),
    };
    const { mostRequests = MOST_REQUESTS } = this.#options;
    return new Requests(host, mostRequests, this.#patience);
  }

  /** Runs a transaction that requires the connection to the broker. */
  #transact(server: Server, use: (tx: Transaction) => Promise<void> | void): Promise<void> {
    return this.#lease ? this.#lease.transact(use) : server.transaction(use);
  }

  #host(server: Server, requests: Requests) {
    const address = joinAddress(this.#options.hostname, this.#port);
    const own = this.#own;
    const commands = {
      topics: this.#topics,
      requests,
      own,
      now: () => this.#platform.now(),
      patience: this.#patience,
    };
    return {
      platform: this.#platform,
      access: () => this.#access,
      room: this.#room,
      counters: this.#counters,
      schema: this.#schema,
      transaction: (use: (tx: Transaction) => Promise<void> | void) => this.#transact(server, use),
      get filters() {
        return own.filters;
      },
      notGranted: (filter: RefusedFilter) => own.notGranted(filter),
      deliver: (
        delivery: Delivery,
        tx: Transaction,
        without: ReadonlyMap<string, LocalError>,
      ) => {
        if (this.#announcer!.hears(delivery.topic, delivery.payload, tx)) {
          return this.#alsoOthers(tx);
        }
        perform(delivery, tx, without, commands);
      },
      announce: async (tx: Transaction) => {
        this.#alsoOthers(tx);
        await this.#states!.announce(tx);
        tx.afterCommit(() => this.#announcer!.all(true));
      },
      completed: (one: Message) => {
        this.#room.free(bytesOf(one));
        this.#announcer!.completed(one.topic, one.payload);
      },
      tell: (error?: HoldfastError) => {
        if (!error) this.#age?.over();
        this.#told(error && { code: error.code, message: error.message });
      },
      warn: (code: string, message: string, topic?: string) => {
        const more = topic === undefined ? {} : { topic };
        this.#emit({ event: "warning", address, code, message, ...more });
      },
    };
  }

  /** Makes other servers announce their devices, too. */
  #alsoOthers(tx: Transaction): void {
    if (this.#lease) beginRound(tx);
  }

  async #count() {
    let amount = { rows: 0, bytes: 0 };
    await this.#server!.transaction(async (tx) => void (amount = await count(tx)));
    return amount;
  }

  /** The broker is connected; or, with a reason, is not. */
  #told(why?: { code: string; message: string }): void {
    this.#counters.tell(this.#platform.date(), why);
    const address = joinAddress(this.#options.hostname, this.#port);
    this.#emit({ event: "broker", address, ...why });
  }

  #toldFull(isFull: boolean): void {
    if (!isFull) return;
    const message = "the queue to the broker is full: devices' messages wait too";
    this.#emit({ event: "warning", code: "BROKER_BEHIND", message });
  }

  #emit(event: ServerEvent): void {
    if (!this.#closed) this.#server!.events.emit(event);
  }
}

/** What the room counts: the bytes, and the topic of a state. */
function sizeOf(message: Message): [bytes: number, state: string | undefined] {
  return [bytesOf(message), message.retain ? message.topic : undefined];
}

/** @param cause The database's error. */
function refusedStart(cause: unknown): LocalError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new LocalError("STORE_FAILED", `MQTT cannot be started: the database says: ${why}`, {
    cause,
  });
}

/** @throws {LocalError} BAD_ARGUMENT */
function checkWhole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const rule = `a whole number from ${least} to ${most}`;
  throw new LocalError("BAD_ARGUMENT", `${name} of MQTT must be ${rule}, not ${value}`);
}

/** Every broker accepts 23 letters and digits. */
function newClientId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(7));
  return `holdfast${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
