// Long because each method of `Server` is documented here, where programs look.
import { Access, type AccessOptions } from "./admission/access.ts";
import type { Admitted, Host } from "./admission/admission.ts";
import type { DescriptionsByName } from "./channels/descriptions.ts";
import type { Thing } from "./channels/thing.ts";
import { LINKED, Linking } from "./channels/linking.ts";
import type { ChannelLink, LinkOptions } from "./channels/links.ts";
import { Things } from "./channels/things.ts";
import type { Device } from "./device.ts";
import { checkLimits, checkNumber, defaultLimits, type Limits } from "./link/limits.ts";
import { Pool, PoolShare } from "./link/pool.ts";
import { type Cleared, Session } from "./link/session.ts";
import type { Rollout, RolloutOptions } from "./firmware/deploy.ts";
import { Deploys } from "./firmware/deploys.ts";
import { Firmware } from "./firmware/firmware.ts";
import { Sleepers } from "./firmware/sleepers.ts";
import { Advice } from "./observe/advice.ts";
import { logFrom } from "./observe/calm.ts";
import { Events } from "./observe/events.ts";
import { Reports } from "./observe/reports.ts";
import { LocalError, PeerError } from "./protocol/errors.ts";
import { Application, type ApplicationHost } from "./runtime/application.ts";
import type { Connection } from "./runtime/connection.ts";
import { DeviceDriver } from "./runtime/device_driver.ts";
import type { DeviceHost } from "./runtime/device_host.ts";
import { checkErrand } from "./runtime/errands.ts";
import { FleetMember } from "./runtime/fleet_member.ts";
import { Pace } from "./runtime/pace.ts";
import { Parting } from "./runtime/parting.ts";
import { Places } from "./runtime/places.ts";
import { Reception, type ReceptionHost } from "./runtime/reception.ts";
import { Roster } from "./runtime/roster.ts";
import { caller, paceOf } from "./runtime/run.ts";
import { deedOf, transact, type TransactionHost } from "./runtime/transactions.ts";
import { Turn } from "./runtime/turn.ts";
import { Ledger } from "./store/ledger.ts";
import type { ServerSettings } from "./server_options.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import type { Transaction } from "./store/transaction.ts";
import { joinAddress } from "./transport/address.ts";
import { nodePlatform } from "./transport/node.ts";
import type { Listener, Platform, Tls } from "./transport/platform.ts";

/**
 * Run for every device, from its first connection on. One that throws, or whose promise rejects, is begun again: after
 * 1 s, then after twice as long each time, up to 60 s. The message that it had comes again. What is left of it by then,
 * such as a loop that it has not awaited, is told CLOSED by every device. One that returns is not begun again; its
 * device's messages are kept.
 */
export type App = (device: Device, server: Server) => Promise<void>;

/** What `Server.listen` can be told. */
export interface ServerOptions extends ServerSettings {
  /** Run for every device. */
  app?: App;
}

/** Listens for devices, and keeps a link to each that outlives its connections. */
export class Server implements AsyncDisposable {
  /** Silence that is taken for an outage, in ms. */
  readonly timeout: number;
  /** Tells what happens. */
  readonly events = new Events();
  readonly #advice = new Advice(this.events);
  readonly #platform: Platform;
  readonly #store: Store;
  readonly #ownsStore: boolean;
  readonly #access: Access;
  readonly #limits: Limits;
  readonly #turn: Turn;
  readonly #reception: Reception;
  readonly #deviceHost: DeviceHost<DeviceDriver>;
  readonly #applicationHost: ApplicationHost<DeviceDriver>;
  readonly #app: App | undefined;
  readonly #linking: Linking;
  readonly #pace: Pace;
  readonly #reports: Reports;
  readonly #firmware: Firmware;
  readonly #sleepers: Sleepers;
  readonly #deploys: Deploys;
  readonly #things: Things;
  #listener: Listener | undefined;
  #unlistened: Promise<void> | undefined;
  #parting: Parting | undefined;
  /** Where other processes use the store, too. */
  readonly #member: FleetMember | undefined;
  readonly #devices: Roster;
  readonly #places: Places;
  readonly #pool: Pool;
  #closed: LocalError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    access: Access,
    store: Store,
    timeout: number,
    { app, deadLetters, descriptions, limits, log, observe, store: ownStore }: ServerOptions,
    platform: Platform,
  ) {
    this.timeout = timeout;
    this.#platform = platform;
    this.#access = access;
    this.#store = store;
    this.#ownsStore = store !== ownStore;
    this.#limits = { ...defaultLimits, ...limits };
    this.#places = new Places(access, this.#limits, platform, platform.freeFiles?.());
    this.#pool = new Pool(this.#limits.totalText, () => this.#places.hasNamed);
    if (log) this.events.subscribe(logFrom(log, platform));
    this.#reports = new Reports(this.events, platform);
    const find = (id: string) => this.#devices.get(id);
    this.#sleepers = new Sleepers(this.events, platform, (look) => this.#turn.enter(look), find);
    this.#deploys = new Deploys({ events: this.events, find, keyOf: (id) => access.keyOf(id) });
    const handlers = { ...this.#deploys.handlers, s: this.#sleepers.told };
    this.#firmware = new Firmware(this.#reports, handlers);
    this.#things = new Things(this.events, platform, find, { descriptions, observe });
    this.#turn = new Turn(store, platform, {
      storeFails: (error) => this.#reports.store(error),
      fenced: (error) => {
        this.#devices.lose(error);
        this.#reports.warn(error.code, error.message, { device: error.device });
      },
    });
    this.#devices = this.#keepRoster();
    const { fleet } = store;
    this.#member = fleet && new FleetMember({
      fleet,
      turn: this.#turn,
      clock: platform,
      devices: this.#devices,
      connections: this.#places.connections,
      acquire: (id) => store.acquire(id),
      begin: (device) => this.#begin(device),
      fails: (error) => {
        const why = error instanceof Error ? error.message : String(error);
        const message = `the other servers may think that this one is dead: ${why}`;
        this.#reports.warn("LEASE_FAILED", message);
      },
      deed: (device, errand) => deedOf(this.#transactionHost, device, errand),
      refused: (device, errand, error) => {
        const text = errand && "write" in errand ? errand.write : undefined;
        this.#reports.mailRefused(device, text, error);
      },
    });
    this.#reception = new Reception(this.#receptionHost());
    this.#pace = new Pace(platform);
    this.#deviceHost = this.#hostDevices(deadLetters ?? false);
    this.#app = app;
    this.#applicationHost = {
      reports: this.#reports,
      call: (device) => (app ?? LINKED)(device, this),
    };
    this.#linking = new Linking({
      app,
      events: this.events,
      things: this.#things,
      know: (id) => this.#devices.know(id),
      transaction: (use) => this.transaction(use),
      begin: (device) => this.#begin(device),
    });
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
    checkLimits(options.limits ?? {});
    const access = new Access(options);
    const store = openStore(options.store ?? ":memory:", options.durability, platform);
    try {
      const server = new Server(access, store, timeout, options, platform);
      try {
        await server.#start(options);
      } catch (error) {
        await server.#member?.close();
        throw error;
      }
      return server;
    } catch (error) {
      if (store !== options.store) await store.close();
      throw error;
    }
  }

  async #start({ port = 8123, hostname = "0.0.0.0", tls }: ServerOptions): Promise<void> {
    if (this.#member) await this.#member.start();
    else {
      for (const { id } of await this.#store.list()) this.#devices.meet(await this.#acquire(id));
    }
    this.#sleepers.start(this.#devices);
    await this.#linking.start();
    this.#listener = await this.#platform.listen(
      { hostname, port, tls, backlog: this.#places.backlog },
      (socket) => this.#reception.accept(socket),
      (error) => {
        // No more files, most likely. Those who knock meanwhile wait in the system's queue.
        this.events.emit({ event: "refused", code: "NOT_ACCEPTED", message: String(error) });
        this.#reception.makeRoom();
      },
    );
    this.events.emit({ event: "listening", address: joinAddress(hostname, this.port) });
    if (this.#store.older) this.#reports.warn("STORE_IS_OLD", `the store: ${this.#store.older}`);
    for (const message of this.#places.shortages()) {
      this.#reports.warn("TOO_FEW_CONNECTIONS", message);
    }
    // What came before a restart is processed now; the application of others begins when they connect.
    for (const device of this.#devices) if (device.inbox > 0) this.#begin(device);
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
    const crowded = new PeerError(
      "TOO_MANY_CONNECTIONS",
      "devices that have a key now need the room",
    );
    for (const device of this.#places.regroup(this.#devices)) device.cut(crowded);
  }

  /** Takes over other descriptions in place of all that there were. @throws {LocalError} BAD_ARGUMENT; the old ones stay */
  setDescriptions(descriptions: DescriptionsByName): void {
    this.#things.descriptions.replace(descriptions);
    this.events.emit({ event: "described" });
  }

  /**
   * Forgets a device: what waits for it or for its application, and how far both ends are. Its `Device` ends with
   * FORGOTTEN. If it is still admitted and comes back, it is a new device.
   *
   * @returns how many messages were dropped, when that is safe; while the store fails, that takes until it works again
   * @throws {LocalError} UNKNOWN_DEVICE; CLOSED
   */
  async forget(id: string): Promise<Cleared> {
    if (this.#closed) throw this.#closed;
    return await this.#devices.forget(this.#devices.find(id));
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
    return [...this.#devices];
  }

  /** A device, if the store knows it. */
  known(id: string): Device | undefined {
    return this.#devices.get(id);
  }

  /** A device: at once if the store knows it, else when it has connected for the first time. @throws {LocalError} CLOSED */
  device(id: string): Promise<Device> {
    const device = this.#devices.get(id);
    if (device) return Promise.resolve(device);
    const reason = this.#closed ?? caller()?.over;
    if (reason) return paceOf(this.#pace).refused().then(() => Promise.reject(reason));
    return this.#devices.arrival(id);
  }

  /** What a device's channels are and should be; it comes as `device` does. @throws {LocalError} CLOSED */
  async thing(id: string): Promise<Thing> {
    const device = await this.device(id) as DeviceDriver;
    return this.#things.of(device);
  }

  /**
   * Has a channel of one device follow a channel of another, from now on and until `disconnect`, through restarts:
   *
   * ```ts ignore
   * await server.connect("tx/button", "rx/led"); // the ancestor's remote control
   * await server.connect("door/lock", "hall/lamp", { map: { open: 1, "*": 0 } });
   * ```
   *
   * What the first device reports unasked or tells as an event is what the other one's channel should be, in the
   * transaction of that message. What it has reported already counts at once. The devices need not have connected yet.
   *
   * @param from Id of a device, a slash, and its channel.
   * @param to The same. It is set by "link " and `from`.
   * @returns when it is safe
   * @throws {LocalError} BAD_ARGUMENT; CLOSED; STORE_FAILED
   */
  connect(from: string, to: string, options: LinkOptions = {}): Promise<void> {
    if (this.#member) {
      const alone = "links need a store that no other server can use";
      return Promise.reject(new LocalError("BAD_ARGUMENT", alone));
    }
    return this.#linking.connect(from, to, options);
  }

  /** Ends what `connect` has begun; the channel stays as it is. @throws {LocalError} BAD_ARGUMENT: there is no such link */
  disconnect(from: string, to: string): Promise<void> {
    return this.#linking.disconnect(from, to);
  }

  /** All links between channels. */
  get links(): ChannelLink[] {
    return this.#things.links.all;
  }

  /**
   * Gives a group of devices another application, some at once: each as `Device.deploy` does, in the order of their ids
   * if they have a link, and else when they come. As soon as one refuses it, falls back, or knows nothing of deploys, no
   * further one is begun. One that is not heard of again once it was begun holds up the others until it is given up
   * (`Device.giveUp`) or forgotten. All that is in the store, so it goes on through restarts of the server.
   *
   * @param ids Of devices that the server knows. If all are in a group that is given the same bytes, it is that group.
   * @param wasm The module, 20,384 bytes at most.
   * @returns when it is safe; see `rollouts`, and `rollout` and `deploy` in `events`
   * @throws {LocalError} and nothing was begun: BAD_ARGUMENT; UNKNOWN_DEVICE; UNSUPPORTED: one that has a link knows
   * nothing of deploys; DEPLOY_REFUSED: one has gone back from these bytes; OUTBOX_FULL; STORE_FAILED; CLOSED
   */
  rollOut(ids: Iterable<string>, wasm: Uint8Array, options: RolloutOptions): Promise<Rollout> {
    return paceOf(this.#pace).keep(this.#rollOut(ids, wasm, options));
  }

  async #rollOut(ids: Iterable<string>, wasm: Uint8Array, options: RolloutOptions) {
    if (this.#closed) throw this.#closed;
    const devices = Array.from(ids, (id) => this.#devices.find(id));
    if (devices.length === 0) {
      throw new LocalError("BAD_ARGUMENT", "a group must have at least one device");
    }
    return await this.#deploys.rollOut(devices, wasm, options);
  }

  /** The groups that were given an application, as long as it is the last one of any of their devices; oldest first. */
  get rollouts(): Rollout[] {
    return this.#deploys.rollouts;
  }

  /**
   * Gives up what is not decided in a group: as `Device.giveUp` for each.
   *
   * @param id The group's, as `Rollout` has it.
   * @throws {LocalError} BAD_ARGUMENT: there is no such group; CLOSED
   */
  giveUpRollout(id: number): Promise<void> {
    return paceOf(this.#pace).keep(this.#deploys.giveUpRollout(id));
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
  transaction(use: (tx: Transaction) => Promise<void> | void): Promise<void> {
    return paceOf(this.#pace).keep(transact(this.#transactionHost, use));
  }

  /**
   * Accepts no connections any more: for a server that is about to be closed. Those that there are go on.
   *
   * @returns when what has arrived by now is safe, and acknowledged; while the store fails, that takes until it works again
   * @throws {LocalError} CLOSED
   */
  async drain(): Promise<void> {
    void this.#stopListening();
    // It is told in the same commit, and so are the acks: these go out before whoever waits for this goes on.
    await this.transaction(() => {});
  }

  /**
   * Accepts no connections any more, and sends the devices that are here to their next address, one after the other: for
   * a server that is about to be closed, where others have the same store. A device that knows no other address, or
   * whose client is older than this, comes back after 2 to 4 times the timeout.
   *
   * @param over How long that takes, in ms, 0 to 3,600,000: so that the others do not get all of them at once.
   * @returns when the last one was told
   * @throws {LocalError} BAD_ARGUMENT; CLOSED
   */
  async sendAway(over: number): Promise<void> {
    checkNumber("over", over, 0, 3_600_000);
    if (this.#closed) throw this.#closed;
    void this.#stopListening();
    this.#parting ??= new Parting(this.#devices, over, this.#platform);
    await this.#parting.done;
  }

  #stopListening(): Promise<void> | undefined {
    return this.#unlistened ??= this.#listener?.close();
  }

  /** How much waits for the store: at most one for each connection and device, however long that fails. */
  get waiting(): number {
    return this.#turn.waiting;
  }

  /** Copies the store's file while the server goes on. @throws {LocalError} as `SqliteStore.backup`; CLOSED */
  async backup(path: string): Promise<void> {
    if (this.#closed) throw this.#closed;
    const none =
      "this store cannot make backups: use one in an SQLite file, or the database's own tools";
    if (!this.#store.backup) throw new LocalError("BAD_ARGUMENT", none);
    await this.#store.backup(path);
  }

  get #transactionHost(): TransactionHost {
    return {
      turn: this.#turn,
      database: this.#store.database,
      closed: () => this.#closed,
      find: (id) => this.#devices.find(id),
      post: (id, errand) => {
        if (!this.#member || this.#devices.get(id)) return undefined;
        checkErrand(errand, this.#limits.lineBytes);
        return this.#member.posting(id, errand);
      },
      set: (device, ...setting) => this.#things.of(device).setting(...setting),
    };
  }

  #receptionHost(): ReceptionHost {
    const admission: Host = {
      access: this.#access,
      limits: this.#limits,
      record: (id) => this.#devices.record(id),
      isShared: this.#member !== undefined,
    };
    const callers = this.#member?.callers;
    return {
      turn: this.#turn,
      clock: this.#platform,
      admission,
      connections: this.#places.connections,
      timeout: this.timeout,
      record: (...args) => (callers ?? this.#devices.callers).ask(...args),
      take: callers && ((...args) => callers.take(...args)),
      admit: (...args) => this.#admit(...args),
      refused: (...args) => this.#advice.refused(...args),
    };
  }

  async #acquire(id: string): Promise<Ledger> {
    return new Ledger(id, await this.#store.acquire(id), this.#turn.changed);
  }

  #admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    if (this.#closed) throw new PeerError("LOST", this.#closed.message);
    admitted.check();
    const { id, dialect, older } = admitted;
    const { address } = connection;
    let device = this.#devices.get(id);
    this.#places.check(id, device);
    const leaves = this.#places.makeRoom(id, device);
    if (leaves) this.#devices.forgetForRoom(leaves);
    device ??= this.#devices.meet((this.#member ?? this.#devices).callers.ledger(id)!);
    if (device.connected) this.events.emit({ event: "replaced", device: id, address });
    this.#sleepers.connected(device);
    device.serve(connection, admitted, ahead);
    this.#places.moved(device);
    if (older) this.#reports.warn("STORE_IS_OLD", older, { device: id, address });
    this.#reports.connected(device, address, dialect);
    this.#advice.give(address, admitted.advice);
    this.#devices.arrived(device);
    this.#begin(device);
    this.#parting?.add(device);
  }

  #keepRoster(): Roster {
    return new Roster({
      turn: this.#turn,
      places: this.#places,
      acquire: (id) => this.#acquire(id),
      make: (ledger) => this.#make(ledger),
      met: (device) => {
        this.#things.met(device);
        this.#deploys.met(device);
      },
      lost: (device, why) => {
        this.#things.lost(device);
        this.#reports.forget(device);
        this.#reception.cut(device.id, new PeerError("STALE_GREETING", why.message));
      },
      forgotten: (device, why) => this.#reports.forgotten(device, why),
    });
  }

  #make(ledger: Ledger): DeviceDriver {
    const { id, record } = ledger;
    const session = new Session(
      record,
      this.timeout,
      this.#limits,
      this.#firmware,
      new PoolShare(this.#pool, !this.#access.names(id)),
    );
    return new DeviceDriver(ledger, session, this.#deviceHost);
  }

  #hostDevices(deadLetters: boolean): DeviceHost<DeviceDriver> {
    const member = this.#member;
    return {
      get isHeld() {
        return member?.isHeld ?? true;
      },
      turn: this.#turn,
      clock: this.#platform,
      pace: this.#pace,
      attempts: this.#limits.attempts,
      deadLetters,
      reports: this.#reports,
      deploys: this.#deploys,
      transact: (use, consumer) => transact(this.#transactionHost, use, consumer),
      connected: (device, ago) => {
        this.#things.connected(device, ago);
        this.#deploys.connected(device);
      },
      revived: (device, number) => this.#things.revived(device, number),
      disconnected: (device, address, reason) => {
        this.#places.moved(device);
        const sleeps = this.#sleepers.ended(device, address);
        if (!sleeps) this.#reports.disconnected(device, address, this.#closed ?? reason);
        this.#advice.give(address, reason.advice);
      },
    };
  }

  /** Runs the application for a device. */
  #begin(device: DeviceDriver): void {
    if (!this.#app && !this.#things.concern(device)) return;
    device.application ??= new Application(device, this.#applicationHost);
    device.application.begin();
  }

  /** Ends all connections. Whoever waits for a message, an ack or a device is rejected with CLOSED. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    const closed = this.#closed = new LocalError("CLOSED", "the server was closed");
    const listening = this.#stopListening();
    this.#parting?.giveUp();
    this.#devices.close(closed);
    this.#reception.close();
    this.#member?.stop();
    for (const device of this.#devices) {
      device.close(closed);
      device.cut(new PeerError("LOST", closed.message));
    }
    await listening;
    try {
      await this.#turn.close();
      await this.#member?.close();
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
