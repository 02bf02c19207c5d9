import { Access, type AccessOptions } from "./admission/access.ts";
import type { Admitted, Host } from "./admission/admission.ts";
import type { Device } from "./device.ts";
import { defaultLimits, type Limits } from "./link/limits.ts";
import type { DeviceRecord } from "./link/record.ts";
import { Session } from "./link/session.ts";
import { Events } from "./observe/events.ts";
import { type Log, logFrom, printable } from "./observe/log.ts";
import { Reports } from "./observe/reports.ts";
import { LocalError, PeerError } from "./protocol/errors.ts";
import type { Connection } from "./runtime/connection.ts";
import { Application, type ApplicationHost } from "./runtime/application.ts";
import { DeviceDriver, type DeviceHost } from "./runtime/device_driver.ts";
import { Pace } from "./runtime/pace.ts";
import { Reception, type ReceptionHost } from "./runtime/reception.ts";
import { caller } from "./runtime/run.ts";
import { transact, type TransactionHost } from "./runtime/transactions.ts";
import { Turn } from "./runtime/turn.ts";
import { Ledger } from "./store/ledger.ts";
import { MemoryStore } from "./store/memory.ts";
import { SqliteStore } from "./store/sqlite/sqlite.ts";
import type { FencedError, Store } from "./store/store.ts";
import type { Transaction } from "./store/transaction.ts";
import { nodePlatform } from "./transport/node.ts";
import type { Clock, Listener, Platform, Tls } from "./transport/platform.ts";

/**
 * Run for every device, from its first connection on. One that throws, or whose promise rejects, is begun again: after
 * 1 s, then after twice as long each time, up to 60 s. The message that it had comes again. What is left of it by then,
 * such as a loop that it has not awaited, is told CLOSED by every device. One that returns is not begun again; its
 * device's messages are kept.
 */
export type App = (device: Device, server: Server) => Promise<void>;

/** What `Server.listen` can be told. */
export interface ServerOptions extends AccessOptions {
  /** TCP port, 0 to 65535; 0: any free one, see `server.port`. Default 8123. */
  port?: number;
  /** Address to listen on. Default "0.0.0.0": every IPv4 interface. */
  hostname?: string;
  /** Silence that is taken for an outage, in ms; the same at both ends. 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** Path of an SQLite file, ":memory:" (forgotten with the process), or a store of your own, which
   * outlives the server. Default ":memory:". */
  store?: string | Store;
  /** What a message on a store's disk has survived when it is acknowledged: with "full" a loss of power,
   * with "normal" the end of the process, at several times the speed. Default "full". */
  durability?: "full" | "normal";
  /** Serves the same protocol over TLS: certificate and key in PEM. */
  tls?: Tls;
  /** Run for every device. */
  app?: App;
  /** Gives up a message with which the application has failed `limits.attempts` times: it goes to `device.deadLetters`,
   * in the commit in which it leaves the inbox. Otherwise it stays the next one for ever. Default false. */
  deadLetters?: boolean;
  /** Bounds on what others can make grow. */
  limits?: Partial<Limits>;
  /** Takes a line's worth of each event, without floods; `server.events` has all of them. */
  log?: Log;
}

/** A device that is not here, as long as a connection greets in its name. */
interface Stranger {
  greetings: number;
  acquired: Promise<Ledger>;
  ledger: Ledger | undefined;
}

/**
 * Connections that wait in the system to be accepted. A thousand boards come back at once after a power cut. Of ten
 * thousand the others try again, which costs nothing here; in a longer queue they would have given up when it is
 * their turn, after the server has worked for them.
 */
const BACKLOG = 1024;

/** Listens for devices, and keeps a link to each that outlives its connections. */
export class Server implements AsyncDisposable {
  /** Silence that is taken for an outage, in ms. */
  readonly timeout: number;
  /** Tells what happens. */
  readonly events = new Events();
  readonly #platform: Platform;
  readonly #store: Store;
  readonly #ownsStore: boolean;
  readonly #access: Access;
  readonly #app: App | undefined;
  readonly #limits: Limits;
  readonly #turn: Turn;
  readonly #reception: Reception;
  readonly #deviceHost: DeviceHost;
  readonly #applicationHost: ApplicationHost<DeviceDriver>;
  readonly #pace: Pace;
  readonly #reports: Reports;
  #listener: Listener | undefined;
  #devices = new Map<string, DeviceDriver>();
  #strangers = new Map<string, Stranger>();
  #arrivals = new Map<string, PromiseWithResolvers<Device>>();
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    access: Access,
    store: Store,
    timeout: number,
    { app, deadLetters, limits, log, store: ownStore }: ServerOptions,
    platform: Platform,
  ) {
    this.timeout = timeout;
    this.#platform = platform;
    this.#access = access;
    this.#store = store;
    this.#ownsStore = store !== ownStore;
    this.#app = app;
    this.#limits = { ...defaultLimits, ...limits };
    if (log) this.events.subscribe(logFrom(log, () => platform.now()));
    this.#turn = new Turn(store, platform, {
      storeFails: (error) => {
        const why = error ? { code: error.code, message: error.message } : {};
        this.events.emit({ event: "store", ...why });
      },
      fenced: (error) => this.#lose(error),
    });
    this.#reception = new Reception(this.#receptionHost());
    this.#pace = new Pace(platform);
    this.#reports = new Reports(this.events, platform);
    this.#deviceHost = this.#hostDevices(deadLetters ? this.#limits.attempts : Infinity);
    this.#applicationHost = {
      reports: this.#reports,
      call: (device) => this.#app!(device, this),
      closed: () => this.#closed,
    };
  }

  /**
   * Starts a server.
   *
   * ```ts
   * import { Server } from "@holdfast/holdfast";
   * await using server = await Server.listen({ port: 0, open: true });
   * server.port; // what boards connect to
   * ```
   *
   * @param platform Clock and network; for tests, another one.
   * @throws {LocalError} BAD_ARGUMENT; NOT_OPEN if it is not said who may connect; STORE_UNUSABLE
   * @throws {Error} the operating system's, with a code such as EADDRINUSE
   */
  static async listen(
    options: ServerOptions = {},
    platform: Platform = nodePlatform,
  ): Promise<Server> {
    const { port = 8123, timeout = 2000 } = options;
    checkNumber("port", port, 0, 65535);
    checkNumber("timeout", timeout, 100, 3_600_000);
    for (const [name, value] of Object.entries(options.limits ?? {})) {
      checkNumber(`limits.${name}`, value, 1, 2 ** 31);
    }
    const access = new Access(options);
    const store = openStore(options, platform);
    const server = new Server(access, store, timeout, options, platform);
    try {
      await server.#start(options);
    } catch (error) {
      if (store !== options.store) await store.close();
      throw error;
    }
    return server;
  }

  async #start({ port = 8123, hostname = "0.0.0.0", tls }: ServerOptions): Promise<void> {
    for (const { id } of await this.#store.list()) this.#meet(await this.#acquire(id));
    this.#listener = await this.#platform.listen(
      { hostname, port, tls, backlog: Math.min(this.#limits.connections, BACKLOG) },
      (socket) => this.#reception.accept(socket),
      (error) => {
        // No more files, most likely. Those who knock meanwhile wait in the system's queue.
        this.events.emit({ event: "refused", code: "NOT_ACCEPTED", message: String(error) });
      },
    );
    this.events.emit({ event: "listening", address: `${hostname}:${this.port}` });
    // What came before a restart is processed now; the application of others begins when they connect.
    for (const device of this.#devices.values()) if (device.inbox > 0) this.#begin(device);
  }

  /**
   * Takes over other keys in place of all that there were. Devices whose key has changed are cut off, and
   * may come back with the new one.
   *
   * @throws {LocalError} BAD_ARGUMENT; nothing has changed then
   */
  setKeys(keys: NonNullable<AccessOptions["keys"]>): void {
    const reason = new PeerError("NOT_ADMITTED", "its key was changed or removed");
    for (const id of this.#access.setKeys(keys)) this.#devices.get(id)?.cut(reason);
  }

  /**
   * Takes over another certificate, for connections from now on.
   *
   * @throws {LocalError} BAD_ARGUMENT if certificate and key cannot be used; the old ones stay then
   */
  setTls(tls: Tls): void {
    this.#listener!.setTls(tls);
  }

  /** The port in use. */
  get port(): number {
    return this.#listener!.port;
  }

  /** All devices that the store knows: those that have ever connected. */
  get devices(): Device[] {
    return [...this.#devices.values()];
  }

  /** A device: at once if the store knows it, else when it has connected for the first time. @throws {LocalError} CLOSED */
  device(id: string): Promise<Device> {
    const device = this.#devices.get(id);
    if (device) return Promise.resolve(device);
    const reason = this.#closed ?? caller()?.over;
    if (reason) return this.#callersPace.refused().then(() => Promise.reject(reason));
    let arrival = this.#arrivals.get(id);
    if (!arrival) this.#arrivals.set(id, arrival = Promise.withResolvers<Device>());
    return arrival.promise;
  }

  /** Several devices, as `device` gives each of them. @throws {LocalError} CLOSED */
  waitAll(ids: Iterable<string>): Promise<Device[]> {
    return Promise.all(Array.from(ids, (id) => this.device(id)));
  }

  /**
   * Makes several things safe in one step, or none of them: statements in the store's database, messages to devices.
   *
   * @returns when it is safe; while the store fails, that takes until it works again
   * @throws what `use` throws, or the database's error if a statement has failed: nothing has happened then
   * @throws {LocalError} BAD_ARGUMENT, OUTBOX_FULL: see `Transaction`; CLOSED
   */
  async transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void> {
    const pace = this.#callersPace;
    try {
      await transact(this.#transactionHost, use);
    } catch (error) {
      await pace.refused();
      throw error;
    }
    await pace.done();
  }

  get #callersPace(): Pace {
    return caller()?.pace ?? this.#pace;
  }

  get #transactionHost(): TransactionHost {
    return {
      turn: this.#turn,
      database: this.#store.database,
      closed: () => this.#closed,
      find: (id) => this.#devices.get(id),
    };
  }

  #receptionHost(): ReceptionHost {
    const admission: Host = {
      access: this.#access,
      limits: this.#limits,
      record: (id) => {
        const known = this.#devices.get(id)?.session.record;
        if (!known) this.#checkRoom(id);
        return known;
      },
    };
    return {
      turn: this.#turn,
      clock: this.#platform,
      admission,
      timeout: this.timeout,
      record: (id) => this.#ask(id),
      release: (id) => this.#release(id),
      admit: (...args) => this.#admit(...args),
      refused: (address, { code, message }) => {
        this.events.emit({ event: "refused", address, code, message });
      },
    };
  }

  /** @throws {PeerError} TOO_MANY_DEVICES */
  #checkRoom(id: string): void {
    const most = this.#limits.devices;
    if (this.#devices.size < most || this.#access.names(id)) return;
    throw new PeerError("TOO_MANY_DEVICES", `${most} devices are the most (limit)`);
  }

  async #acquire(id: string): Promise<Ledger> {
    return new Ledger(id, await this.#store.acquire(id), this.#turn.changed);
  }

  /** The record of a device that is not here. Whoever asks meanwhile is given the same. */
  async #ask(id: string): Promise<DeviceRecord> {
    const known = this.#devices.get(id);
    if (known) return known.session.record;
    let stranger = this.#strangers.get(id);
    if (!stranger) {
      stranger = { greetings: 0, acquired: this.#acquire(id), ledger: undefined };
      this.#strangers.set(id, stranger);
    }
    stranger.greetings++;
    return (stranger.ledger = await stranger.acquired).record;
  }

  #release(id: string): void {
    const stranger = this.#strangers.get(id);
    if (!stranger || --stranger.greetings > 0) return;
    // Who comes before the store has answered waits for the same answer: asked twice, it would answer twice, and
    // whoever had the earlier answer would be fenced out.
    const forget = () => {
      if (stranger.greetings === 0 && this.#strangers.get(id) === stranger) {
        this.#strangers.delete(id);
      }
    };
    stranger.acquired.then(forget, forget);
  }

  #admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    if (this.#closed) throw new PeerError("LOST", this.#closed.message);
    admitted.check();
    const { id, dialect, metadata } = admitted;
    const { address } = connection;
    let device = this.#devices.get(id);
    if (!device) {
      this.#checkRoom(id);
      device = this.#meet(this.#strangers.get(id)!.ledger!);
    }
    if (device.connected) this.events.emit({ event: "replaced", device: id, address });
    device.serve(connection, admitted, ahead);
    this.events.emit({
      event: "connected",
      device: id,
      address,
      connects: device.connects,
      dialect,
      ...(metadata === "" ? {} : { metadata }),
    });
    if (admitted.ahead) {
      const message = "the device has messages that this store never sent: is it an old copy?";
      this.events.emit({ event: "warning", device: id, address, code: "STORE_IS_OLD", message });
    }
    this.#arrivals.get(id)?.resolve(device);
    this.#arrivals.delete(id);
    this.#begin(device);
  }

  /** Another server has a device now. If it comes back to this one, it is asked for anew. */
  #lose(error: FencedError): void {
    const { device: id, code, message } = error;
    const device = this.#devices.get(id)!;
    this.#devices.delete(id);
    device.close(error);
    device.drop();
    this.#reception.cut(id, new PeerError("STALE_GREETING", message));
    this.events.emit({ event: "warning", device: id, code, message });
  }

  /** A device that is here from now on. */
  #meet(ledger: Ledger): DeviceDriver {
    const { id, record } = ledger;
    const session = new Session(
      record,
      this.timeout,
      this.#limits,
      (line) => this.events.emit({ event: "log", device: id, message: printable(line) }),
      () => this.events.emit({ event: "booted", device: id }),
    );
    const device = new DeviceDriver(ledger, session, this.#deviceHost);
    this.#devices.set(id, device);
    return device;
  }

  #hostDevices(attempts: number): DeviceHost {
    return {
      turn: this.#turn,
      clock: this.#platform,
      pace: this.#pace,
      attempts,
      reports: this.#reports,
      transact: (use, consumer) => transact(this.#transactionHost, use, consumer),
      disconnected: (device, address, reason) => {
        const { code, message } = this.#closed ?? reason;
        this.events.emit({ event: "disconnected", device: device.id, address, code, message });
      },
    };
  }

  /** Runs the application for a device. */
  #begin(device: DeviceDriver): void {
    if (!this.#app) return;
    device.application ??= new Application(device, this.#applicationHost);
    device.application.begin();
  }

  /** Ends all connections. Whoever waits for a message, an ack or a device is rejected with CLOSED. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const closed = this.#closed = new LocalError("CLOSED", "the server was closed");
    const listening = this.#listener?.close();
    for (const arrival of this.#arrivals.values()) arrival.reject(closed);
    this.#reception.close();
    for (const device of this.#devices.values()) {
      device.close(closed);
      device.cut(new PeerError("LOST", closed.message));
    }
    await listening;
    try {
      await this.#turn.close();
    } finally {
      this.#reports.close();
      if (this.#ownsStore) await this.#store.close();
    }
    this.events.emit({ event: "closed" });
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function openStore({ store = ":memory:", durability }: ServerOptions, clock: Clock): Store {
  if (typeof store !== "string") return store;
  if (store === ":memory:") return new MemoryStore();
  return new SqliteStore(store, { clock, ...(durability ? { durability } : {}) });
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new LocalError("BAD_ARGUMENT", `${name} must be ${least} to ${most}, not ${value}`);
  }
}
