import { Connection } from "./connection.ts";
import { Device } from "./device.ts";
import { LocalError, PeerError } from "./errors.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import { calm, type Log } from "./log.ts";
import { Session } from "./session.ts";
import { MemoryStore, type Store } from "./store/mod.ts";

/** Started once for every device, at its first connection. */
export type App = (device: Device, server: Server) => Promise<void>;

/** What `Server.listen` can be told. */
export interface ServerOptions {
  /** TCP port, 0 to 65535; 0: any free one, see `server.port`. Default 8123. */
  port?: number;
  /** Address to listen on. Default "0.0.0.0": every IPv4 interface. */
  hostname?: string;
  /** Silence that is taken for an outage, in ms; the same at both ends. 100 to 3,600,000. Default 2000. */
  timeout?: number;
  /** ":memory:", or a store of your own. Default ":memory:". */
  store?: ":memory:" | Store;
  /** Admits anybody who can reach the port. There is no other way in yet, so it must be true. */
  open?: boolean;
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
  #listener: Deno.TcpListener;
  #store: Store;
  #app: App | undefined;
  #limits: Limits;
  #log: Log;
  #devices = new Map<string, Device>();
  #arrivals = new Map<string, PromiseWithResolvers<Device>>();
  #connections = new Map<Connection, Promise<void>>();
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;
  #accepting: Promise<void>;

  private constructor(listener: Deno.TcpListener, options: Required<Omit<ServerOptions, "app">>) {
    this.#listener = listener;
    this.timeout = options.timeout;
    this.#store = options.store === ":memory:" ? new MemoryStore() : options.store;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#log = calm(options.log, REFUSAL_LOG_INTERVAL, now);
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
  // deno-lint-ignore require-await -- a store on disk will have to be opened
  static async listen(options: ServerOptions = {}): Promise<Server> {
    const { port = 8123, hostname = "0.0.0.0", timeout = 2000, store = ":memory:", open = false } =
      options;
    checkNumber("port", port, 0, 65535);
    checkNumber("timeout", timeout, 100, 3_600_000);
    for (const [name, value] of Object.entries(options.limits ?? {})) {
      checkNumber(`limits.${name}`, value, 1, 2 ** 31);
    }
    if (!open) {
      throw new LocalError(
        "NOT_OPEN",
        "nobody could connect: say `open: true` (--open) to admit every device that can reach the port",
      );
    }
    // The system's queue of new connections: a thousand boards come back at once after a power cut.
    const tcpBacklog = options.limits?.connections ?? defaultLimits.connections;
    const listener = Deno.listen({ hostname, port, tcpBacklog });
    const { limits = {}, log = () => {} } = options;
    const server = new Server(listener, { port, hostname, timeout, store, open, limits, log });
    server.#app = options.app;
    server.#log({ event: "listening", address: `${hostname}:${server.port}` });
    return server;
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
      if (this.#connections.size >= this.#limits.connections) {
        const most = this.#limits.connections;
        this.#refuse(
          connection,
          new PeerError("TOO_MANY_CONNECTIONS", `${most} connections are the most (limit)`),
        );
        continue;
      }
      const served = this.#serve(connection).finally(() => this.#connections.delete(connection));
      this.#connections.set(connection, served);
    }
  }

  async #serve(connection: Connection): Promise<void> {
    let known: Device | undefined;
    let device: Device;
    let rest: Uint8Array;
    try {
      const hello = await connection.hello(this.timeout);
      if (this.#closed) return; // and so is the connection
      known = this.#devices.get(hello.id);
      device = known ?? this.#admit(hello.id);
      rest = hello.rest;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (!this.#closed) this.#refuse(connection, error);
      return;
    }
    const entry = { device: device.id, address: connection.address };
    if (device.connected) this.#log({ event: "replaced", ...entry });
    const served = device.serve(connection, rest);
    this.#log({ event: "connected", ...entry, connects: device.connects });
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

  #admit(id: string): Device {
    const known = this.#store.get(id);
    if (!known && this.#store.size >= this.#limits.devices) {
      throw new PeerError(
        "TOO_MANY_DEVICES",
        `${this.#limits.devices} devices are the most (limit)`,
      );
    }
    const record = known ?? this.#store.create(id);
    const device = new Device(id, new Session(record, this.timeout, this.#limits), now);
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
    this.#log({ event: "closed" });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function now(): number {
  return performance.now();
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new LocalError("BAD_ARGUMENT", `${name} must be ${least} to ${most}, not ${value}`);
  }
}
