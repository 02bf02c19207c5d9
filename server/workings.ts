/** Assembles a server from its parts. `Server` is its public face. */
import type { Access } from "./admission/access.ts";
import type { Admitted, Host } from "./admission/admission.ts";
import { Linking } from "./channels/linking.ts";
import { DistantThing } from "./channels/distant_thing.ts";
import type { Thing } from "./channels/thing.ts";
import { Things } from "./channels/things.ts";
import { Deploys } from "./firmware/deploys.ts";
import { Firmware } from "./firmware/firmware.ts";
import { act, wasmOf } from "./firmware/distant_acts.ts";
import { Sleepers } from "./firmware/sleepers.ts";
import { defaultLimits, type Limits } from "./link/limits.ts";
import { Pool, PoolShare } from "./link/pool.ts";
import { Session } from "./link/session.ts";
import { Advice } from "./observe/advice.ts";
import { logFrom } from "./observe/calm.ts";
import { Events } from "./observe/events.ts";
import { Reports } from "./observe/reports.ts";
import { LocalError, PeerError } from "./protocol/errors.ts";
import { Application, type ApplicationHost } from "./runtime/application.ts";
import type { Connection } from "./runtime/connection.ts";
import { DeviceDriver } from "./runtime/device_driver.ts";
import type { DeviceHost } from "./runtime/device_host.ts";
import type { DistantDevice } from "./runtime/distant_device.ts";
import { FleetMember } from "./runtime/fleet_member.ts";
import { Pace } from "./runtime/pace.ts";
import { Parting } from "./runtime/parting.ts";
import { Places } from "./runtime/places.ts";
import { Reception, type ReceptionHost } from "./runtime/reception.ts";
import { Roster } from "./runtime/roster.ts";
import { paceOf } from "./runtime/run.ts";
import { operationOf, transact, type TransactionHost } from "./runtime/transactions.ts";
import { Turn } from "./runtime/turn.ts";
import type { ServerSettings } from "./server_options.ts";
import { viewOf } from "./web/fleet.ts";
import type { Fleet } from "./store/fleet.ts";
import { Ledger } from "./store/ledger.ts";
import type { Store } from "./store/store.ts";
import { joinAddress } from "./transport/address.ts";
import type { Listener, Platform } from "./transport/platform.ts";

/** What the caller provides. */
export interface Means {
  readonly access: Access;
  readonly store: Store;
  /** Whether to close the store with the server. */
  readonly ownsStore: boolean;
  /** As `ServerSettings.timeout`. */
  readonly timeout: number;
  readonly platform: Platform;
  /** The application to run for every device, if any. */
  readonly app: object | undefined;
}

export class Workings {
  readonly events = new Events();
  readonly turn: Turn;
  readonly devices: Roster;
  readonly places: Places;
  readonly things: Things;
  readonly linking: Linking;
  readonly deploys: Deploys;
  readonly pace: Pace;
  /** Set if other processes may use the store, too. */
  readonly member: FleetMember | undefined;
  listener: Listener | undefined;
  /** Set when the server is closed: the error for later calls. */
  closed: LocalError | undefined;
  readonly #means: Means;
  readonly #advice = new Advice(this.events);
  readonly #limits: Limits;
  readonly #reports: Reports;
  readonly #firmware: Firmware;
  readonly #sleepers: Sleepers;
  readonly #pool: Pool;
  readonly #reception: Reception;
  readonly #deviceHost: DeviceHost<DeviceDriver>;
  readonly #applicationHost: ApplicationHost<DeviceDriver>;
  readonly #distantThings = new WeakMap<DistantDevice, DistantThing>();
  #unlistened: Promise<void> | undefined;
  #parting: Parting | undefined;
  /** The name of this server among others, once it listens. */
  #name = "";

  /** @param call Runs the application, or its replacement if there is none. */
  constructor(
    means: Means,
    { deadLetters = false, descriptions, limits, log, observe }: ServerSettings,
    call: ApplicationHost<DeviceDriver>["call"],
  ) {
    const { access, app, platform, store } = this.#means = means;
    this.#limits = { ...defaultLimits, ...limits };
    this.places = new Places(access, this.#limits, platform, platform.freeFiles?.());
    this.#pool = new Pool(this.#limits.totalText, () => this.places.hasNamed);
    if (log) this.events.subscribe(logFrom(log, platform));
    this.#reports = new Reports(this.events, platform);
    const find = (id: string) => this.devices.get(id);
    this.#sleepers = new Sleepers(this.events, platform, {
      enter: (look) => this.turn.enter(look),
      whenSafe: (run) => this.turn.whenSafe(run),
    }, find);
    const overview = () => this.member?.overview;
    this.deploys = new Deploys({
      events: this.events,
      find,
      keyOf: (id) => access.keyOf(id),
      distant: (id) => overview()?.get(id),
      date: () => platform.date(),
      *elsewhere() {
        for (const device of overview() ?? []) {
          if (device.rollout !== undefined) yield { id: device.id, deploy: device.deployment! };
        }
      },
      soon: (look) => platform.endOfTurn(() => this.turn.enter(() => this.closed || look())),
    });
    const handlers = { ...this.deploys.handlers, s: this.#sleepers.told };
    this.#firmware = new Firmware(this.#reports, handlers);
    this.things = new Things(this.events, platform, find, { descriptions, observe });
    this.turn = new Turn(store, platform, {
      storeFails: (error) => this.#reports.store(error),
      fenced: (error) => {
        const device = this.devices.get(error.device)!;
        this.devices.lose(error);
        this.member?.overview.loses(device);
        // Servers that share a store take over devices from each other; that is normal.
        if (this.member) this.#reports.movedAway(error);
        else this.#reports.warn(error.code, error.message, { device: error.device });
      },
    });
    this.devices = this.#keepRoster();
    this.member = store.fleet && this.#join(store.fleet);
    this.#reception = new Reception(this.#receptionHost());
    this.pace = new Pace(platform);
    this.#deviceHost = this.#hostDevices(deadLetters);
    this.#applicationHost = { reports: this.#reports, call };
    this.linking = new Linking({
      app,
      events: this.events,
      things: this.things,
      know: (id) => this.devices.know(id),
      transaction: (use) => paceOf(this.pace).keep(transact(this.transactions, use)),
      begin: (device) => this.#begin(device),
    });
  }

  /** Starts to serve. @throws {LocalError} @throws {Error} the operating system's */
  async start({ port = 8123, hostname = "0.0.0.0", tls }: ServerSettings): Promise<void> {
    const { platform, store } = this.#means;
    if (this.member) await this.member.start();
    else for (const { id } of await store.list()) await this.#meet(await this.#acquire(id));
    if (this.member) {
      this.events.subscribe((event) => {
        if ("device" in event && event.device !== undefined) {
          this.member!.overview.changed(event.device);
        }
      });
    }
    this.#sleepers.start(this.devices);
    await this.linking.start();
    const listener = this.listener = await platform.listen(
      { hostname, port, tls, backlog: this.places.backlog },
      (socket) => this.#reception.accept(socket),
      (error) => {
        // Most likely the process has too many open files. New connections wait in the system's queue.
        this.events.emit({ event: "refused", code: "NOT_ACCEPTED", message: String(error) });
        this.#reception.makeRoom();
      },
    );
    this.#name = `${platform.machine?.() ?? hostname}:${listener.port}`;
    this.member?.overview.start();
    this.events.emit({ event: "listening", address: joinAddress(hostname, listener.port) });
    if (store.older) this.#reports.warn("STORE_IS_OLD", `the store: ${store.older}`);
    for (const message of this.places.shortages()) {
      this.#reports.warn("TOO_FEW_CONNECTIONS", message);
    }
    // Messages from before a restart are processed now. For other devices the application starts when they connect.
    for (const device of this.devices) if (device.inbox > 0) this.#begin(device);
  }

  /** Adds a device that the store knows. A commit may be under way: a message to a device added before has expired. */
  #meet(ledger: Ledger): Promise<void> {
    return new Promise((resolve) => {
      this.turn.enter(() => {
        this.devices.meet(ledger);
        resolve();
      });
    });
  }

  /** A device of this server or of another one. @throws {LocalError} UNKNOWN_DEVICE */
  find(id: string): DeviceDriver | DistantDevice {
    return this.member?.overview.get(id) ?? this.devices.find(id);
  }

  /** The name of this server among others; undefined: there can be no others. */
  get name(): string | undefined {
    return this.member && this.#name;
  }

  /** The channels of a device that another server has, as the store has them now. @throws {LocalError} STORE_FAILED; CLOSED */
  async distantThing(device: DistantDevice): Promise<Thing> {
    const thing = this.#distantThing(device);
    const record = await device.read();
    if (record) thing.shows(this.things.read(record, this.#means.app));
    return thing;
  }

  #distantThing(device: DistantDevice): DistantThing {
    let thing = this.#distantThings.get(device);
    if (thing) return thing;
    thing = new DistantThing(device, {
      pace: this.pace,
      after: (ms, run) => this.#means.platform.after(ms, run),
      here: (id) => {
        const here = this.devices.get(id);
        return here && this.things.of(here);
      },
    });
    this.#distantThings.set(device, thing);
    return thing;
  }

  /** What transactions need. */
  get transactions(): TransactionHost {
    return {
      turn: this.turn,
      database: this.#means.store.database,
      closed: () => this.closed,
      find: (id) => this.devices.find(id),
      post: (id, order) => {
        return this.devices.get(id) ? undefined : this.member?.posting(id, order);
      },
      isElsewhere: (id) => this.member?.overview.get(id) !== undefined,
      set: (device, ...setting) => this.things.of(device).setting(...setting),
    };
  }

  /** Stops accepting connections. */
  stopListening(): Promise<void> | undefined {
    return this.#unlistened ??= this.listener?.close();
  }

  /** See `Server.sendAway`. */
  async sendAway(over: number): Promise<void> {
    void this.stopListening();
    this.#parting ??= new Parting(this.devices, over, this.#means.platform);
    await this.#parting.done;
  }

  /** Ends all connections, and rejects what waits. @throws {LocalError} from the store */
  async close(): Promise<void> {
    const { ownsStore, store } = this.#means;
    const closed = this.closed = new LocalError("CLOSED", "the server was closed");
    const listening = this.stopListening();
    this.#parting?.giveUp();
    this.devices.close(closed);
    this.#reception.close();
    this.member?.stop();
    for (const device of this.devices) {
      device.close(closed);
      device.cut(new PeerError("LOST", closed.message));
    }
    await listening;
    try {
      await this.turn.close(closed); // the same object: an application that throws it has not failed
      await this.member?.close();
    } finally {
      this.#reports.close();
      if (ownsStore) await store.close();
    }
    this.events.emit({ event: "closed" });
  }

  #join(fleet: Fleet): FleetMember {
    const { platform, store } = this.#means;
    return new FleetMember({
      fleet,
      turn: this.turn,
      clock: platform,
      devices: this.devices,
      connections: this.places.connections,
      lineBytes: this.#limits.lineBytes,
      pace: new Pace(platform),
      closed: () => this.closed,
      name: () => this.#name,
      view: viewOf,
      seen: (device, isNews) => {
        this.devices.arrived(device);
        this.#reports.seen(device, isNews);
        this.deploys.seen(device);
      },
      forgotten: (id) => {
        this.deploys.forgottenElsewhere(id);
        this.#reports.forgottenElsewhere(id);
      },
      acquire: (id) => store.acquire(id),
      begin: (device) => this.#begin(device),
      fails: (error) => {
        const why = error instanceof Error ? error.message : String(error);
        const message = `the other servers may think that this one is dead: ${why}`;
        this.#reports.warn("LEASE_FAILED", message);
      },
      checkDeploy: (order) => void wasmOf(order),
      act: (...args) => act(this.deploys, ...args),
      operation: (...args) =>
        operationOf({
          set: this.transactions.set,
          asking: (device, ...asking) => this.things.of(device).asking(...asking),
        }, ...args),
      refused: (device, order, error) => {
        const text = order && "write" in order ? order.write : undefined;
        this.#reports.mailRefused(device, text, error);
      },
    });
  }

  #receptionHost(): ReceptionHost {
    const { access, platform, timeout } = this.#means;
    const admission: Host = {
      access,
      limits: this.#limits,
      record: (id) => this.devices.record(id),
      isShared: this.member !== undefined,
    };
    const callers = this.member?.callers;
    return {
      turn: this.turn,
      clock: platform,
      admission,
      connections: this.places.connections,
      timeout,
      record: (...args) => (callers ?? this.devices.callers).ask(...args),
      take: callers && ((...args) => callers.take(...args)),
      isForgotten: (id) => this.devices.get(id)?.isForgotten ?? false,
      admit: (...args) => this.#admit(...args),
      refused: (...args) => this.#advice.refused(...args),
    };
  }

  async #acquire(id: string): Promise<Ledger> {
    return new Ledger(id, await this.#means.store.acquire(id), this.turn.changed);
  }

  #admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    if (this.closed) throw new PeerError("LOST", this.closed.message);
    admitted.check();
    const { id, dialect, older } = admitted;
    const { address } = connection;
    let device = this.devices.get(id);
    this.places.check(id, device);
    const leaves = this.places.makeRoom(id, device);
    if (leaves) this.devices.forgetForRoom(leaves);
    device ??= this.devices.meet((this.member ?? this.devices).callers.ledger(id)!);
    if (device.connected) this.events.emit({ event: "replaced", device: id, address });
    this.#sleepers.connected(device);
    device.serve(connection, admitted, ahead);
    this.places.moved(device);
    if (older) this.#reports.warn("STORE_IS_OLD", older, { device: id, address });
    this.#reports.connected(device, address, dialect);
    this.#advice.give(address, admitted.advice);
    this.devices.arrived(device);
    this.#begin(device);
    this.#parting?.add(device);
  }

  #keepRoster(): Roster {
    return new Roster({
      turn: this.turn,
      places: this.places,
      acquire: (id) => this.#acquire(id),
      make: (ledger) => this.#make(ledger),
      met: (device) => {
        this.things.met(device);
        this.deploys.met(device);
      },
      lost: (device, why) => {
        this.things.lost(device);
        this.#reports.forget(device);
        this.#reception.cut(device.id, new PeerError("STALE_GREETING", why.message));
      },
      forgotten: (device, why) => {
        this.#reports.forgotten(device, why);
        this.member?.overview.forgets(device);
      },
    });
  }

  #make(ledger: Ledger): DeviceDriver {
    const { access, timeout } = this.#means;
    const { id, record } = ledger;
    const session = new Session(
      record,
      timeout,
      this.#limits,
      this.#firmware,
      new PoolShare(this.#pool, !access.names(id)),
    );
    return new DeviceDriver(ledger, session, this.#deviceHost);
  }

  #hostDevices(deadLetters: boolean): DeviceHost<DeviceDriver> {
    const { member } = this;
    const name = () => this.name;
    return {
      get isHeld() {
        return member?.isHeld ?? true;
      },
      turn: this.turn,
      clock: this.#means.platform,
      get server() {
        return name();
      },
      pace: this.pace,
      attempts: this.#limits.attempts,
      deadLetters,
      reports: this.#reports,
      deploys: this.deploys,
      expect: (asker) => this.member?.expect(asker),
      transact: (use, consumer) => transact(this.transactions, use, consumer),
      connected: (device, ago) => {
        this.things.connected(device, ago);
        this.deploys.connected(device);
      },
      revived: (device, number) => this.things.revived(device, number),
      disconnected: (device, address, reason) => {
        this.places.moved(device);
        const sleeps = this.#sleepers.ended(device, address);
        if (!sleeps) this.#reports.disconnected(device, address, this.closed ?? reason);
        this.#advice.give(address, reason.advice);
      },
    };
  }

  /** Runs the application for a device. */
  #begin(device: DeviceDriver): void {
    if (!this.#means.app && !this.things.concern(device)) return;
    device.application ??= new Application(device, this.#applicationHost);
    device.application.begin();
  }
}
