import { Access, type AccessOptions } from "./admission/access.ts";
import type { DescriptionsByName } from "./channels/descriptions.ts";
import type { Thing } from "./channels/thing.ts";
import { LINKED } from "./channels/linking.ts";
import type { ChannelLink, LinkOptions } from "./channels/links.ts";
import type { Device } from "./device.ts";
import type { Rollout, RolloutOptions } from "./firmware/deploy.ts";
import type { DeadLetter } from "./link/record.ts";
import { checkLimits, checkNumber } from "./link/limits.ts";
import type { Cleared } from "./link/session.ts";
import type { Events } from "./observe/events.ts";
import { LocalError, PeerError } from "./protocol/errors.ts";
import { DeviceDriver } from "./runtime/device_driver.ts";
import type { DistantDevice } from "./runtime/distant_device.ts";
import { caller, paceOf } from "./runtime/run.ts";
import { transact } from "./runtime/transactions.ts";
import type { ServerSettings } from "./server_options.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import type { Transaction, TransactionOptions } from "./store/transaction.ts";
import { nodePlatform } from "./transport/node.ts";
import type { Platform, Tls } from "./transport/platform.ts";
import { Workings } from "./workings.ts";

/**
 * Run for every device, from its first connection on. If it throws or its promise rejects, it is restarted after 1 s,
 * then after twice as long each time, up to 60 s; its unfinished message comes again. What is left of the failed run,
 * such as a loop that it has not awaited, gets CLOSED from every device. If it returns, it is not restarted; its
 * device's messages are kept.
 */
export type App = (device: Device, server: Server) => Promise<void>;

/** Options of `Server.listen`. */
export interface ServerOptions extends ServerSettings {
  /** Run for every device. */
  app?: App;
}

/** Listens for devices, and keeps a link to each that outlives its connections. */
export class Server implements AsyncDisposable {
  /** Silence that counts as an outage, in ms. */
  readonly timeout: number;
  /** Reports what happens. */
  readonly events: Events;
  readonly #it: Workings;
  readonly #access: Access;
  readonly #store: Store;
  #closing: Promise<void> | undefined;

  private constructor(
    access: Access,
    store: Store,
    timeout: number,
    options: ServerOptions,
    platform: Platform,
  ) {
    this.timeout = timeout;
    this.#access = access;
    this.#store = store;
    const { app } = options;
    const means = { access, store, ownsStore: store !== options.store, timeout, platform, app };
    this.#it = new Workings(means, options, (device) => (app ?? LINKED)(device, this));
    this.events = this.#it.events;
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
   * @throws {LocalError} BAD_ARGUMENT; NOT_OPEN if no option says who may connect; STORE_UNUSABLE
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
        await server.#it.start(options);
      } catch (error) {
        await server.#it.member?.close();
        throw error;
      }
      return server;
    } catch (error) {
      if (store !== options.store) await store.close();
      throw error;
    }
  }

  /**
   * Replaces all keys. Devices whose key has changed are disconnected, and may come back with the new
   * one.
   *
   * @throws {LocalError} BAD_ARGUMENT; nothing has changed then
   */
  setKeys(keys: NonNullable<AccessOptions["keys"]>): void {
    const reason = new PeerError("NOT_ADMITTED", "its key was changed or removed");
    for (const id of this.#access.setKeys(keys)) this.#it.devices.get(id)?.cut(reason);
    const crowded = new PeerError(
      "TOO_MANY_CONNECTIONS",
      "devices that now have a key need its place",
    );
    for (const device of this.#it.places.regroup(this.#it.devices)) device.cut(crowded);
  }

  /** Replaces all descriptions. @throws {LocalError} BAD_ARGUMENT; the old ones stay */
  setDescriptions(descriptions: DescriptionsByName): void {
    this.#it.things.descriptions.replace(descriptions);
    this.events.emit({ event: "described" });
  }

  /**
   * Forgets a device: its queued messages in both directions, and the positions of both ends. Its `Device` ends with
   * FORGOTTEN. If it is still admitted and comes back, it is a new device.
   *
   * @returns how many messages were dropped, when that is safe; while the store fails, that takes until it works again
   * @throws {LocalError} UNKNOWN_DEVICE; CLOSED. For a device that another server has, also FORGOTTEN: another caller
   * has forgotten it meanwhile; STORE_FAILED and OUTBOX_FULL: that server did not get the request
   */
  async forget(id: string): Promise<Cleared> {
    if (this.#it.closed) throw this.#it.closed;
    const distant = this.#it.devices.get(id) ? undefined : this.#it.member?.overview.get(id);
    if (distant) return await distant.forget();
    return await this.#it.devices.forget(this.#it.devices.find(id));
  }

  /**
   * Replaces the certificate, for new connections.
   *
   * @throws {LocalError} BAD_ARGUMENT if certificate and key cannot be used; the old ones stay then
   */
  setTls(tls: Tls): void {
    this.#it.listener!.setTls(tls);
  }

  /** The port in use. */
  get port(): number {
    return this.#it.listener!.port;
  }

  /** The value of `Device.server` for this server's devices; undefined: no other server uses the store. */
  get name(): string | undefined {
    return this.#it.name;
  }

  /**
   * The dead letters of all devices that the store knows; those of other servers' devices are read from the store.
   *
   * @returns the devices that have dead letters
   * @throws {LocalError} CLOSED; STORE_FAILED: the store cannot be read
   */
  async deadLetters(): Promise<{ device: string; letters: readonly DeadLetter[] }[]> {
    const all = this.devices.map(async (device) => ({
      device: device.id,
      letters: device instanceof DeviceDriver
        ? device.deadLetters
        : await (device as DistantDevice).letters(),
    }));
    return (await Promise.all(all)).filter(({ letters }) => letters.length > 0);
  }

  /** All devices that the store knows: those that have ever connected, here or to another server (`Device.server`). */
  get devices(): Device[] {
    return [...this.#it.devices, ...this.#it.member?.overview ?? []];
  }

  /** A device, if the store knows it. */
  known(id: string): Device | undefined {
    return this.#it.devices.get(id) ?? this.#it.member?.overview.get(id);
  }

  /**
   * A device: at once if the store knows it, otherwise when it has connected for the first time. If several servers
   * share the store, the `Device` of this server ends with FENCED when another one takes over the device: ask for it
   * again.
   *
   * @throws {LocalError} CLOSED
   */
  device(id: string): Promise<Device> {
    const device = this.known(id);
    if (device) return Promise.resolve(device);
    const reason = this.#it.closed ?? caller()?.over;
    if (reason) return paceOf(this.#it.pace).refused().then(() => Promise.reject(reason));
    return this.#it.devices.arrival(id);
  }

  /**
   * The reported and desired state of a device's channels; resolves when `device` would. For another server's
   * device this is a snapshot from the store: call it again to see changes.
   *
   * @throws {LocalError} CLOSED; STORE_FAILED: the store cannot be read
   */
  async thing(id: string): Promise<Thing> {
    const device = await this.device(id);
    if (device instanceof DeviceDriver) return this.#it.things.of(device);
    return await this.#it.distantThing(device as DistantDevice);
  }

  /**
   * Links two channels: one follows the other until `disconnect`, through restarts:
   *
   * ```ts ignore
   * await server.connect("tx/button", "rx/led"); // the ancestor's remote control
   * await server.connect("door/lock", "hall/lamp", { map: { open: 1, "*": 0 } });
   * ```
   *
   * What the first device reports unasked or sends as an event becomes the setting of the second channel, in the
   * transaction of that message. What it has already reported applies at once. The devices need not have connected
   * yet.
   *
   * @param from Id of a device, a slash, and its channel.
   * @param to The same. The setting's author is "link " and `from`.
   * @returns when it is safe
   * @throws {LocalError} BAD_ARGUMENT; CLOSED; STORE_FAILED
   */
  connect(from: string, to: string, options: LinkOptions = {}): Promise<void> {
    if (this.#it.member) {
      const alone = "links need a store that no other server can use";
      return Promise.reject(new LocalError("BAD_ARGUMENT", alone));
    }
    return this.#it.linking.connect(from, to, options);
  }

  /**
   * Removes a link of `connect`; the channel keeps its setting. @throws {LocalError} BAD_ARGUMENT: there is no such
   * link
   */
  disconnect(from: string, to: string): Promise<void> {
    return this.#it.linking.disconnect(from, to);
  }

  /** All links between channels. */
  get links(): ChannelLink[] {
    return this.#it.things.links.all;
  }

  /**
   * Deploys an application to a group of devices, `step` at a time, each as `Device.deploy` does: in the order of their
   * ids if they have a link, otherwise when they connect. As soon as one refuses it, falls back, or does not support
   * deploys, no further deploy is started. A device that is not heard from after its deploy has started holds up the
   * others until it is given up (`Device.giveUp`) or forgotten. A rollout is in the store, so it continues through
   * restarts of the server.
   *
   * If several servers share the store, each deploys to the devices that it has, and sees the others' progress a second
   * or two later: meanwhile each may have `step` deploys under way, and may start one after another has failed.
   *
   * @param ids Ids of devices that the server knows. If they already form a group with the same bytes, that group is
   * returned.
   * @param wasm The module, 20,384 bytes at most.
   * @returns when it is safe; see `rollouts`, and `rollout` and `deploy` in `events`
   * @throws {LocalError} and nothing was started: BAD_ARGUMENT; UNKNOWN_DEVICE; UNSUPPORTED: a device with a link does
   * not support deploys; DEPLOY_REFUSED: a device fell back from these bytes before; OUTBOX_FULL; STORE_FAILED; CLOSED.
   * If a device of another server is the cause, or FENCED: another server has taken a device just now, what was started
   * by then is given up
   */
  rollOut(ids: Iterable<string>, wasm: Uint8Array, options: RolloutOptions): Promise<Rollout> {
    return paceOf(this.#it.pace).keep(this.#rollOut(ids, wasm, options));
  }

  async #rollOut(ids: Iterable<string>, wasm: Uint8Array, options: RolloutOptions) {
    if (this.#it.closed) throw this.#it.closed;
    const devices = Array.from(ids, (id) => this.#it.find(id));
    if (devices.length === 0) {
      throw new LocalError("BAD_ARGUMENT", "a group must have at least one device");
    }
    return await this.#it.deploys.rollOut(devices, wasm, options);
  }

  /** All rollouts that are still the last deploy of at least one device; oldest first. */
  get rollouts(): Rollout[] {
    return this.#it.deploys.rollouts;
  }

  /**
   * Gives up all undecided deploys of a group, as `Device.giveUp` does.
   *
   * @param id The id of the `Rollout`.
   * @throws {LocalError} BAD_ARGUMENT: there is no such group; CLOSED; FENCED, FORGOTTEN: a device has left memory. The
   * others are given up; if another server has taken that device, it may still get the application there
   */
  giveUpRollout(id: number): Promise<void> {
    return paceOf(this.#it.pace).keep(this.#it.deploys.giveUpRollout(id));
  }

  /** Waits for several devices, as `device` does for one. @throws {LocalError} CLOSED */
  waitAll(ids: Iterable<string>): Promise<Device[]> {
    return Promise.all(Array.from(ids, (id) => this.device(id)));
  }

  /**
   * Makes several things safe in one step, or none of them: statements in the store's database, messages to devices.
   *
   * @returns when it is safe; while the store fails, that takes until it works again
   * @throws what `use` throws, or the database's error if a statement has failed; then nothing has changed
   * @throws {LocalError} BAD_ARGUMENT, OUTBOX_FULL: see `Transaction`; CLOSED
   */
  transaction(
    use: (tx: Transaction) => Promise<void> | void,
    { order }: TransactionOptions = {},
  ): Promise<void> {
    const { pace, transactions } = this.#it;
    return paceOf(pace).keep(transact(transactions, use, undefined, order));
  }

  /**
   * Stops accepting connections, for a server that is about to be closed. Existing ones continue.
   *
   * @returns when what has arrived by now is safe, and acknowledged; while the store fails, that takes until it works again
   * @throws {LocalError} CLOSED
   */
  async drain(): Promise<void> {
    void this.#it.stopListening();
    // The same commit releases the acks: they are sent before the callers that await this continue.
    await this.transaction(() => {});
  }

  /**
   * Stops accepting connections, and sends the connected devices to their next address, one after the other: for a
   * server that is about to be closed while others share its store. A device that knows no other address, or whose
   * client is too old to obey, comes back after 2 to 4 times the timeout.
   *
   * @param over Duration in ms, 0 to 3,600,000, so that the other servers do not get all devices at once.
   * @returns when the last one was told
   * @throws {LocalError} BAD_ARGUMENT; CLOSED
   */
  async sendAway(over: number): Promise<void> {
    checkNumber("over", over, 0, 3_600_000);
    if (this.#it.closed) throw this.#it.closed;
    await this.#it.sendAway(over);
  }

  /**
   * Number of operations that wait for the store: at most one for each connection and device, however long it fails.
   */
  get waiting(): number {
    return this.#it.turn.waiting;
  }

  /** Copies the store's file while the server runs. @throws {LocalError} as `SqliteStore.backup`; CLOSED */
  async backup(path: string): Promise<void> {
    if (this.#it.closed) throw this.#it.closed;
    const none =
      "this store cannot make backups: use one in an SQLite file, or the database's own tools";
    if (!this.#store.backup) throw new LocalError("BAD_ARGUMENT", none);
    await this.#store.backup(path);
  }

  /** Ends all connections. Everything that waits for a message, an ack or a device is rejected with CLOSED. */
  close(): Promise<void> {
    return this.#closing ??= this.#it.close();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
