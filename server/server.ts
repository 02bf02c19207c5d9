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
import type { Transaction } from "./store/transaction.ts";
import { nodePlatform } from "./transport/node.ts";
import type { Platform, Tls } from "./transport/platform.ts";
import { Workings } from "./workings.ts";

/**
 * Run for every device, from its first connection on. One that throws, or whose promise rejects, is begun again: after
 * 1 s, then after twice as long each time, up to 60 s. The message that it had comes again. What is left of it by then,
 * such as a loop that it has not awaited, is told CLOSED by every device. One that returns is not begun again; its
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
  /** Silence that is taken for an outage, in ms. */
  readonly timeout: number;
  /** Tells what happens. */
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
   * Takes over other keys in place of all that there were. Devices whose key has changed are cut off, and
   * may come back with the new one.
   *
   * @throws {LocalError} BAD_ARGUMENT; nothing has changed then
   */
  setKeys(keys: NonNullable<AccessOptions["keys"]>): void {
    const reason = new PeerError("NOT_ADMITTED", "its key was changed or removed");
    for (const id of this.#access.setKeys(keys)) this.#it.devices.get(id)?.cut(reason);
    const crowded = new PeerError(
      "TOO_MANY_CONNECTIONS",
      "devices that have a key now need the room",
    );
    for (const device of this.#it.places.regroup(this.#it.devices)) device.cut(crowded);
  }

  /** Takes over other descriptions in place of all that there were. @throws {LocalError} BAD_ARGUMENT; the old ones stay */
  setDescriptions(descriptions: DescriptionsByName): void {
    this.#it.things.descriptions.replace(descriptions);
    this.events.emit({ event: "described" });
  }

  /**
   * Forgets a device: what waits for it or for its application, and how far both ends are. Its `Device` ends with
   * FORGOTTEN. If it is still admitted and comes back, it is a new device.
   *
   * @returns how many messages were dropped, when that is safe; while the store fails, that takes until it works again
   * @throws {LocalError} UNKNOWN_DEVICE; CLOSED. Of a device that another server has also FORGOTTEN: somebody else has had
   * it forgotten meanwhile; STORE_FAILED and OUTBOX_FULL: that server was not told
   */
  async forget(id: string): Promise<Cleared> {
    if (this.#it.closed) throw this.#it.closed;
    const distant = this.#it.devices.get(id) ? undefined : this.#it.member?.overview.get(id);
    if (distant) return await distant.forget();
    return await this.#it.devices.forget(this.#it.devices.find(id));
  }

  /**
   * Takes over another certificate, for connections from now on.
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

  /** What `Device.server` says of a device that this server has; undefined: no other server has the store. */
  get name(): string | undefined {
    return this.#it.name;
  }

  /**
   * The dead letters of all devices that the store knows; those of devices that other servers have are read in the store.
   *
   * @returns only devices that have some
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
   * A device: at once if the store knows it, else when it has connected for the first time. Where several servers share
   * the store, a device that this server has comes to its end here (FENCED) when another one takes it: ask for it again.
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
   * What a device's channels are and should be; it comes as `device` does. Of a device that another server has, its
   * channels are read in the store now: call it again to see what has changed.
   *
   * @throws {LocalError} CLOSED; STORE_FAILED: the store cannot be read
   */
  async thing(id: string): Promise<Thing> {
    const device = await this.device(id);
    if (device instanceof DeviceDriver) return this.#it.things.of(device);
    return await this.#it.distantThing(device as DistantDevice);
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
    if (this.#it.member) {
      const alone = "links need a store that no other server can use";
      return Promise.reject(new LocalError("BAD_ARGUMENT", alone));
    }
    return this.#it.linking.connect(from, to, options);
  }

  /** Ends what `connect` has begun; the channel stays as it is. @throws {LocalError} BAD_ARGUMENT: there is no such link */
  disconnect(from: string, to: string): Promise<void> {
    return this.#it.linking.disconnect(from, to);
  }

  /** All links between channels. */
  get links(): ChannelLink[] {
    return this.#it.things.links.all;
  }

  /**
   * Gives a group of devices another application, some at once: each as `Device.deploy` does, in the order of their ids
   * if they have a link, and else when they come. As soon as one refuses it, falls back, or knows nothing of deploys, no
   * further one is begun. One that is not heard of again once it was begun holds up the others until it is given up
   * (`Device.giveUp`) or forgotten. All that is in the store, so it goes on through restarts of the server.
   *
   * Where several servers share the store, each gives it to the devices that it has, and sees what the others do a second
   * or two later: for so long there may be `step` under way at each of them, and one may be begun after another one has
   * failed.
   *
   * @param ids Of devices that the server knows. If all are in a group that is given the same bytes, it is that group.
   * @param wasm The module, 20,384 bytes at most.
   * @returns when it is safe; see `rollouts`, and `rollout` and `deploy` in `events`
   * @throws {LocalError} and nothing was begun: BAD_ARGUMENT; UNKNOWN_DEVICE; UNSUPPORTED: one that has a link knows
   * nothing of deploys; DEPLOY_REFUSED: one has gone back from these bytes; OUTBOX_FULL; STORE_FAILED; CLOSED. If it is a
   * device of another server that cannot be given it, or FENCED: another server has taken one just now, what was begun by
   * then is given up
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

  /** The groups that were given an application, as long as it is the last one of any of their devices; oldest first. */
  get rollouts(): Rollout[] {
    return this.#it.deploys.rollouts;
  }

  /**
   * Gives up what is not decided in a group: as `Device.giveUp` for each.
   *
   * @param id The group's, as `Rollout` has it.
   * @throws {LocalError} BAD_ARGUMENT: there is no such group; CLOSED; FENCED, FORGOTTEN: one is here no longer. The
   * others are given up, and if another server has taken it, it may be given the application there
   */
  giveUpRollout(id: number): Promise<void> {
    return paceOf(this.#it.pace).keep(this.#it.deploys.giveUpRollout(id));
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
    return paceOf(this.#it.pace).keep(transact(this.#it.transactions, use));
  }

  /**
   * Accepts no connections any more: for a server that is about to be closed. Those that there are go on.
   *
   * @returns when what has arrived by now is safe, and acknowledged; while the store fails, that takes until it works again
   * @throws {LocalError} CLOSED
   */
  async drain(): Promise<void> {
    void this.#it.stopListening();
    // It is told in the same commit, and so are the acks: they are sent before those who await this go on.
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
    if (this.#it.closed) throw this.#it.closed;
    await this.#it.sendAway(over);
  }

  /** How much waits for the store: at most one for each connection and device, however long that fails. */
  get waiting(): number {
    return this.#it.turn.waiting;
  }

  /** Copies the store's file while the server goes on. @throws {LocalError} as `SqliteStore.backup`; CLOSED */
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
