import { Access, type AccessOptions } from "./admission/access.ts";
import { Admission, type Admitted, type Host } from "./admission/admission.ts";
import { Connection } from "./runtime/connection.ts";
import { Device } from "./device.ts";
import { LocalError, PeerError } from "./protocol/errors.ts";
import { defaultLimits, type Limits } from "./link/limits.ts";
import { calm, type Log, printable } from "./observe/log.ts";
import { Session } from "./link/session.ts";
import { type DeviceRecord, MemoryStore, type Store } from "./store/store.ts";
import { SqliteStore } from "./store/sqlite/sqlite.ts";
import { Turn } from "./runtime/turn.ts";

/** Started once for every device, at its first connection. */
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
  tls?: { cert: string; key: string };
  app?: App;
  limits?: Partial<Limits>;
  log?: Log;
}

/** One refusal of a kind is logged in so many ms. */
const REFUSAL_LOG_INTERVAL = 1000;

/** So many ms pass before the next attempt, when the system could not accept a connection. */
const ACCEPT_PAUSE = 100;

/** Listens for devices. */
export class Server implements AsyncDisposable {
  readonly timeout: number;
  #listener: Deno.Listener<Deno.Conn<Deno.NetAddr>, Deno.NetAddr>;
  #turn: Turn;
  #app: App | undefined;
  #limits: Limits;
  #log: Log;
  #host: Host;
  #devices = new Map<string, Device>();
  #arrivals = new Map<string, PromiseWithResolvers<Device>>();
  #connections = new Map<Connection, Promise<void>>();
  #strangers = new Set<Connection>(); // of them, those whose greeting is not complete; oldest first
  #evicted = 0; // of them, those that were, and are about to end
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;
  #accepting: Promise<void>;
  #ownsStore: boolean;

  private constructor(
    listener: Deno.Listener<Deno.Conn<Deno.NetAddr>, Deno.NetAddr>,
    access: Access,
    store: Store,
    timeout: number,
    { app, limits, log = () => {}, store: ownStore }: ServerOptions,
  ) {
    this.#listener = listener;
    this.timeout = timeout;
    this.#app = app;
    this.#ownsStore = typeof ownStore === "string" || ownStore === undefined;
    this.#limits = { ...defaultLimits, ...limits };
    this.#log = calm(log, REFUSAL_LOG_INTERVAL, now);
    this.#turn = new Turn(store, (error) => {
      this.#log({ event: "store", ...(error ? { code: error.code, message: error.message } : {}) });
    });
    this.#host = {
      access,
      limits: this.#limits,
      now,
      record: (id) => this.#record(id),
    };
    // What came before a restart is processed now; other devices are met when they connect.
    for (const id of store.ids) if (store.get(id)!.safe > 0) this.#run(this.#meet(id));
    this.#accepting = this.#accept();
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
   * @throws {LocalError} BAD_ARGUMENT; NOT_OPEN if it is not said who may connect
   * @throws {Deno.errors.AddrInUse} and others of the operating system
   */
  // deno-lint-ignore require-await -- a caller awaits a server that listens, whatever that takes
  static async listen(options: ServerOptions = {}): Promise<Server> {
    const { port = 8123, hostname = "0.0.0.0", timeout = 2000 } = options;
    checkNumber("port", port, 0, 65535);
    checkNumber("timeout", timeout, 100, 3_600_000);
    for (const [name, value] of Object.entries(options.limits ?? {})) {
      checkNumber(`limits.${name}`, value, 1, 2 ** 31);
    }
    const access = new Access(options);
    const store = openStore(options);
    // The system's queue of new connections: a thousand boards come back at once after a power cut.
    const tcpBacklog = options.limits?.connections ?? defaultLimits.connections;
    let listener;
    try {
      listener = options.tls
        ? Deno.listenTls({ hostname, port, tcpBacklog, ...options.tls })
        : Deno.listen({ hostname, port, tcpBacklog });
    } catch (error) {
      if (store !== options.store) store.close();
      throw error;
    }
    const server = new Server(listener, access, store, timeout, options);
    server.#log({ event: "listening", address: `${hostname}:${server.port}` });
    return server;
  }

  /**
   * Takes over other keys in place of all that there were. Devices whose key has changed are cut off, and
   * may come back with the new one.
   *
   * @throws {LocalError} BAD_ARGUMENT; nothing has changed then
   */
  setKeys(keys: NonNullable<AccessOptions["keys"]>): void {
    const reason = new PeerError("NOT_ADMITTED", "its key was changed or removed");
    for (const id of this.#host.access.setKeys(keys)) this.#devices.get(id)?.cut(reason);
  }

  /** The port in use. */
  get port(): number {
    return this.#listener.addr.port;
  }

  /** All devices that have connected since the start. */
  get devices(): Device[] {
    return [...this.#devices.values()];
  }

  /** A device, once it has connected for the first time. @throws {LocalError} CLOSED */
  device(id: string): Promise<Device> {
    const device = this.#devices.get(id);
    if (device) return Promise.resolve(device);
    if (this.#closed) return Promise.reject(this.#closed);
    let arrival = this.#arrivals.get(id);
    if (!arrival) this.#arrivals.set(id, arrival = Promise.withResolvers<Device>());
    return arrival.promise;
  }

  /** Several devices, once all of them have connected for the first time. @throws {LocalError} CLOSED */
  waitAll(ids: Iterable<string>): Promise<Device[]> {
    return Promise.all(Array.from(ids, (id) => this.device(id)));
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      let conn;
      try {
        conn = await this.#listener.accept();
      } catch (error) {
        if (this.#closed) break;
        if (error instanceof Deno.errors.NotConnected) continue; // it was reset before it was accepted
        // No more files, most likely. Those who knock meanwhile wait in the system's queue.
        this.#log({ event: "refused", code: "NOT_ACCEPTED", message: String(error) });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_PAUSE));
        continue;
      }
      if (this.#closed) { // it came in the turn of the event loop that closed the listener
        conn.close();
        break;
      }
      const connection = new Connection(conn, this.#limits, now);
      if (this.#connections.size - this.#evicted >= this.#limits.connections && !this.#evict()) {
        const most = this.#limits.connections;
        this.#refuse(
          connection,
          new PeerError("TOO_MANY_CONNECTIONS", `${most} connections are the most (limit)`),
        );
        continue;
      }
      this.#strangers.add(connection);
      const served = this.#serve(connection).finally(() => this.#connections.delete(connection));
      this.#connections.set(connection, served);
    }
  }

  /**
   * Ends the oldest connection whose greeting is not complete: strangers who say nothing must not keep out
   * devices, which greet at once. Returns false if there is none.
   */
  #evict(): boolean {
    const [oldest] = this.#strangers;
    if (!oldest) return false;
    this.#strangers.delete(oldest);
    this.#evicted++;
    this.#connections.get(oldest)!.finally(() => this.#evicted--);
    oldest.close(
      new PeerError("TOO_MANY_CONNECTIONS", "no greeting was complete when others needed the room"),
    );
    return true;
  }

  async #serve(connection: Connection): Promise<void> {
    let admitted: Admitted;
    let known: Device | undefined;
    let device: Device;
    try {
      const admission = new Admission(this.#host, connection.hostname);
      admitted = await connection.admit(admission, this.timeout, () => this.#turn.settled());
      if (this.#closed) return; // and so is the connection
      admitted.check();
      known = this.#devices.get(admitted.id);
      device = known ?? this.#meet(admitted.id);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (!this.#closed) this.#refuse(connection, error);
      return;
    } finally {
      this.#strangers.delete(connection);
    }
    const { ahead, dialect, metadata } = admitted;
    const entry = { device: device.id, address: connection.address };
    if (device.connected) this.#log({ event: "replaced", ...entry });
    const served = device.serve(connection, admitted);
    this.#log({
      event: "connected",
      ...entry,
      connects: device.connects,
      dialect,
      ...(metadata === "" ? {} : { metadata }),
    });
    if (ahead) {
      const message = "the device has messages that this store never sent: is it an old copy?";
      this.#log({ event: "warning", ...entry, code: "STORE_IS_OLD", message });
    }
    if (!known) this.#run(device);
    const reason = await served;
    if (reason) {
      const { code, message } = this.#closed ?? reason;
      this.#log({ event: "disconnected", ...entry, code, message });
    }
  }

  #refuse(connection: Connection, { code, message }: PeerError): void {
    connection.close();
    this.#log({ event: "refused", address: connection.address, code, message });
  }

  /** Undefined: a device without a record, for which there is room. @throws {PeerError} TOO_MANY_DEVICES */
  #record(id: string): DeviceRecord | undefined {
    const { store } = this.#turn;
    const known = store.get(id);
    if (!known && store.size >= this.#limits.devices && !this.#host.access.names(id)) {
      throw new PeerError(
        "TOO_MANY_DEVICES",
        `${this.#limits.devices} devices are the most (limit)`,
      );
    }
    return known;
  }

  /** A device that was not here since the start. */
  #meet(id: string): Device {
    const record = this.#record(id) ?? this.#turn.store.create(id);
    const session = new Session(record, this.timeout, this.#limits, (line) => {
      this.#log({ event: "log", device: id, message: printable(line) });
    });
    const device = new Device(id, session, this.#turn, now);
    this.#devices.set(id, device);
    this.#arrivals.get(id)?.resolve(device);
    this.#arrivals.delete(id);
    return device;
  }

  async #run(device: Device): Promise<void> {
    try {
      await this.#app?.(device, this);
    } catch (error) {
      if (error === this.#closed) return;
      const message = error instanceof Error && error.stack || String(error);
      this.#log({ event: "app_failed", device: device.id, message });
    }
  }

  /** Ends all connections. Whoever waits for a message, an ack or a device is rejected with CLOSED. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#closed = new LocalError("CLOSED", "the server was closed");
    this.#listener.close();
    for (const arrival of this.#arrivals.values()) arrival.reject(this.#closed);
    for (const device of this.#devices.values()) device.close(this.#closed);
    for (const connection of this.#connections.keys()) connection.close();
    await Promise.all([this.#accepting, ...this.#connections.values()]);
    try {
      this.#turn.close();
    } finally {
      if (this.#ownsStore) this.#turn.store.close();
    }
    this.#log({ event: "closed" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function openStore({ store = ":memory:", durability }: ServerOptions): Store {
  if (typeof store !== "string") return store;
  if (store === ":memory:") return new MemoryStore();
  return new SqliteStore(store, durability ? { durability } : {});
}

function now(): number {
  return performance.now();
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new LocalError("BAD_ARGUMENT", `${name} must be ${least} to ${most}, not ${value}`);
  }
}
