/** A world with several servers on one database. The devices, the network, the books and the promises are the same. */
import type { Order, Writing } from "../../server/runtime/orders.ts";
import type { Post } from "../../server/store/fleet.ts";
import type { FaultKind } from "./fault_kinds.ts";
import { cause } from "./faults.ts";
import { FleetDisk } from "./fleet_disk.ts";
import { ADDRESSES, type FleetFault } from "./fleet_kinds.ts";
import { FleetOperator, isOperators } from "./fleet_operator.ts";
import { type FleetServer, FleetServers } from "./fleet_servers.ts";
import type { FleetStoreWorld } from "./fleet_store.ts";
import type { SimDevice } from "./device.ts";
import type { FleetBrokerFault } from "./mqtt_plan.ts";
import { type Host, UP } from "../../bridge/testing/network.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { ServerProcess } from "./server.ts";
import { World } from "./world.ts";

/** Interval between two checks of who serves the devices, and the margin beyond two leases, in ms. */
const LOOK = 100;
const SLACK = 1500;

/** For a store so slow that the broker's lease may end while it is renewed: how many of its delays make a lease. */
const RENEWALS = [6, 8, 10, 12];

/** A host that does not answer. */
const NOWHERE: Host = { listens: false, accept() {} };

/** A fault for a device that greets a server. */
type Strike = (device: SimDevice, server: FleetServer, from: FleetServer | undefined) => unknown;

export class FleetWorld extends World implements FleetStoreWorld {
  /** Pairs of a device and a server that cannot reach each other, and until when. */
  readonly #apart = new Map<string, number>();
  /** Devices that no server serves, and since when. */
  readonly #leftSince = new Map<string, number>();
  /** Messages that applications have written, by process. */
  readonly #written = new Map<SimPlatform, Message[]>();
  /** Faults for the next device that greets, and for the next one that is taken. */
  #atGreeting: Strike | undefined;
  #atTaking: Strike | undefined;
  /** Messages whose mail has ended after their deadline, by device: if its server lives, it reports what has expired. */
  readonly #late = new Map<string, string[]>();
  #posts = 0;
  /** Devices that have greeted and were unknown. */
  readonly #strangers = new Set<string>();

  override readonly operator: FleetOperator = new FleetOperator(this);

  // It does not matter what a closed process does, or how it fails: another one goes on.
  override serverIsDown = true;

  override run(): Promise<void> {
    this.#watch();
    return super.run();
  }

  /**
   * Checks again and again that some server serves each device for which something waits, or which a living server has
   * taken: a server that can work must do so within two leases, even if the device does not connect. Nobody else may
   * serve the device of a living server, even if that one is prevented from working.
   */
  #watch(): void {
    const { clock, fleet: { all, disk } } = this;
    const patience = 2 * disk.lease + SLACK;
    for (const server of all) server.look();
    for (const [id, rows] of disk.devices) {
      const waits = rows.inbox.length > 0 || disk.hasMail(id);
      const isAttended = all.some((server) => server.attends(id));
      const holder = all.find((server) => server.has(id) && disk.isAlive(server.name, clock.now));
      const isHeld = holder !== undefined && clock.now - holder.wellSince <= patience;
      const isLeft = !isAttended && !isHeld &&
        (waits || all.some((server) => server.server && server.has(id)));
      const since = isLeft ? this.#leftSince.get(id) ?? clock.now : undefined;
      if (since === undefined) this.#leftSince.delete(id);
      else this.#leftSince.set(id, since);
      const able = all.find(({ wellSince }) => clock.now - wellSince > patience);
      if (!able || since === undefined || clock.now - since <= patience) continue;
      throw new Violation(`nobody looks after ${id} since ${since}, and ${able.name} could`);
    }
    clock.after(LOOK, () => this.#watch());
  }

  get fleet(): FleetServers {
    return this.server as FleetServers;
  }

  protected override makeServer(): ServerProcess {
    const plan = this.scenario.fleet!;
    return new FleetServers(this, new FleetDisk(plan.lease), plan);
  }

  override get mayRefuse(): boolean {
    return true;
  }

  override tellsIn({ process }: SimPlatform, since: number): number {
    return this.fleet.all.find((server) => server.process === process)!.tellsIn(since);
  }

  override hostAt(address: string, device: SimDevice): Host {
    const server = this.fleet.all.find((server) => server.address === address);
    const until = this.#apart.get(`${device.id} ${address}`) ?? -Infinity;
    return server && until < this.clock.now ? server : NOWHERE;
  }

  override drawHosts(): string[] {
    const left = ADDRESSES.slice(0, this.fleet.all.length);
    const drawn: string[] = [];
    while (left.length > 0) drawn.push(...left.splice(this.random.below(left.length), 1));
    return drawn;
  }

  /** A device may be at any server, and is found again after a while. */
  override expectRecovery(): void {}

  leaves(id: string): void {
    this.server.conversations.delete(id);
    this.books.get(id)?.serverDied();
    for (const text of this.#late.get(id) ?? []) this.#excuse(id, text);
    this.#late.delete(id);
    if (this.books.has(id)) this.operator.look(id);
    this.channels?.things.get(id)?.left();
  }

  override serverWrites(
    ...[platform, books, text, manner]: Parameters<World["serverWrites"]>
  ): Message {
    const message = super.serverWrites(platform, books, text, manner);
    const written = this.#written.get(platform);
    if (written) written.push(message);
    else this.#written.set(platform, [message]);
    return message;
  }

  /** A process has ended, and its connection to the store: what it wrote and is not safe never will be. */
  dies(platform: SimPlatform): void {
    for (const message of this.#written.get(platform) ?? []) if (!message.safe) message.gone = true;
    this.#written.delete(platform);
    this.operator.died(platform);
    this.channels?.died(platform);
  }

  /** Kills a server, most likely the one with the connection to the broker; or pauses it until another one has that. */
  override killServer(): void {
    const { random, scenario: { timeout } } = this;
    if (random.chance(0.5)) return this.#kill(this.#leader, random.skewed(1, 2 * timeout));
    this.#standsFor(1);
  }

  get #leader(): FleetServer {
    const { fleet: { all }, random } = this;
    return all.find(({ process }) => process === this.broker?.lastClient) ?? random.pick(all);
  }

  /** Pauses the server that has the connection to the broker until another server has it. @param leases For at least
   * this many */
  #standsFor(leases: number): void {
    const lease = this.scenario.mqtt!.lease!;
    const time = leases * lease + this.random.below(2 * lease);
    this.count("the server with the connection is paused");
    this.disturb(this.clock.now + time);
    this.#stand(this.#leader, time);
  }

  override strikeBridge(kind: FleetBrokerFault): void {
    const { clock, random, fleet: { disk }, scenario: { mqtt } } = this;
    // It reads what it is sent only when it goes on, after another server has had the connection.
    if (kind === "server stands as it is sent something") return this.#standsFor(2);
    // The lease ends while it is renewed, and no other server wants it yet: see `Lease`.
    disk.slowness = Math.ceil(mqtt!.lease! / random.pick(RENEWALS));
    disk.slowUntil = clock.now + 3 * mqtt!.lease!;
    this.disturb(disk.troubleEnd);
    this.broker!.ask(3 * mqtt!.lease!);
  }

  /** As elsewhere; or a device moves meanwhile, and its former server may be paused, and learn only later what it has
   * lost. */
  override turnKnob(): boolean {
    const { random, clock, scenario: { fleet } } = this;
    const device = random.pick(this.devices);
    const holder = this.#holderOf(device);
    if (!holder || random.chance(0.4)) return super.turnKnob();
    const time = 2 * fleet!.lease + random.below(2 * fleet!.lease);
    this.disturb(clock.now + time);
    if (random.chance(0.5)) {
      this.#stand(holder, time);
      this.#atTaking = (device) => device.isUp && device.channels?.turnKnob();
    }
    this.#part(device, holder, time);
    return true;
  }

  /** Pauses a server and its clock. */
  #stand(server: FleetServer, time: number): void {
    const { now } = this.clock;
    const until = now + time;
    server.deceivedUntil = Math.max(server.deceivedUntil, until + this.fleet.disk.lease);
    this.server.isDateSet = true;
    server.clockAhead -= Math.max(0, until - Math.max(now, server.process.frozenUntil));
    server.process.freeze(until);
  }

  taken(id: string, by: string, from: string | undefined): void {
    this.log?.(`${by} takes ${id} from ${from}`);
    if (from !== undefined && from !== by) this.count("a device is taken from another server");
    this.leaves(id);
    const act = this.#atTaking;
    this.#atTaking = undefined;
    this.#strike(act, id, by, from);
  }

  /** Applies a fault to a device just after the store was asked about it. */
  #strike(act: Strike | undefined, id: string, by: string, from?: string): void {
    const device = this.devices.find((device) => device.id === id);
    const server = this.fleet.all.find(({ name }) => name === by);
    const former = this.fleet.all.find(({ name }) => name === from);
    if (act && device && server) this.clock.after(0, () => act(device, server, former));
  }

  /** A device goes back to the server that it was taken from, which does not know of that yet, and then away. */
  readonly #goesBack: Strike = (device, server, from) => {
    if (!from || from === server) return void (this.#atTaking ??= this.#goesBack);
    const { timeout } = this.scenario;
    this.#apart.delete(`${device.id} ${from.address}`);
    for (const other of this.fleet.all) if (other !== from) this.#part(device, other, timeout);
    this.#atTaking = (device) => this.#leave(device);
  };

  lookedAt(id: string, by: string, isKnown: boolean): void {
    this.broker?.faults.received(); // faults that wait for a report may come when a device moves
    this.#strike(this.#atGreeting, id, by);
    if (this.#atGreeting && this.random.chance(0.3)) this.#atGreeting = undefined;
    const books = this.books.get(id);
    if (isKnown) books?.expiring.forgot();
    // The next greeting does not know a stream that was never safe.
    else if (books && this.#strangers.has(id)) books.aging.isForgotten = true;
    this.#strangers.add(id);
  }

  /** Mail is posted. Nobody withdraws it any more; it goes to the outbox later, and only if there is room. */
  posted({ device: id, text }: Post): void {
    const order: Order = JSON.parse(text);
    this.count("mail");
    this.log?.(`posted for ${id}: ${text}`);
    if (isOperators(order)) return this.operator.posted(id, order);
    if (this.channels) return this.channels.things.get(id)!.posted(order, ++this.#posts);
    const { write, options } = order as Writing;
    this.transfers.safe(`${id}\0${write}`);
    const { stores: epoch, toDevice } = this.books.get(id)!;
    const message = toDevice.find(write)!;
    // The server that has taken the device will have it. The device may have been forgotten since it was written.
    Object.assign(message, { safe: true, gone: false, epoch });
    const isOnce = options.qos === false;
    if (isOnce || message.bytes > this.deviceLine(id)) message.excused = true;
  }

  mailEnds(id: string, text: string): void {
    const order: Order = JSON.parse(text);
    this.log?.(`mail of ${id} ends: ${text}`);
    if (isOperators(order)) return this.operator.mailEnds(id, order);
    if (this.channels) return this.channels.things.get(id)!.mailEnds(order);
    const { write } = order as Writing;
    if (this.operator.clears(id)) this.#excuse(id, write); // it may have been dropped
    const { expiring, toDevice } = this.books.get(id)!;
    if (expiring.isOfUse(toDevice.find(write)!)) return;
    this.#late.set(id, [...this.#late.get(id) ?? [], write]);
  }

  #excuse(id: string, text: string): void {
    const message = this.books.get(id)!.toDevice.find(text)!;
    message.excused ||= message.seen === 0;
  }

  override forgotten(id: string, waits: string | undefined): void {
    super.forgotten(id, waits);
    // Mail for it is removed as well, and must not come to a new device with its id.
    for (const message of this.books.get(id)!.toDevice.all()) {
      if (message.safe) this.#excuse(id, message.text);
      if (message.safe && message.index < 0) message.gone = true;
    }
    this.operator.forgotten(id);
  }

  protected override cause(kind: FaultKind): void {
    const { faults } = this.scenario.fleet!;
    if (faults.length > 0 && this.random.chance(0.6)) this.#cause(this.random.pick(faults));
    else cause(this, kind);
  }

  #cause(kind: FleetFault): void {
    const { random, clock, scenario: { timeout, fleet } } = this;
    const server = random.pick(this.fleet.all);
    const device = random.pick(this.devices);
    const time = random.skewed(1, 3 * Math.max(timeout, fleet!.lease));
    this.log?.(`FAULT ${kind}, ${server.address}, ${device.id}, ${time} ms`);
    this.count(kind);
    this.disturb(clock.now + time);
    switch (kind) {
      case "a device moves":
        return this.#part(device, this.#holderOf(device) ?? server, time);
      case "a device is away for long":
        return this.#leave(device);
      case "any server clears a device":
        return this.operator.clear(device.id);
      case "any server forgets a device":
        return this.operator.forget(device.id);
      case "a device that greets goes elsewhere":
        return void (this.#atGreeting = (device, server) => this.#part(device, server, time));
      case "a device that was taken is away for long":
        return void (this.#atTaking = (device) => this.#leave(device));
      case "a device moves and comes back, and is away for long":
        this.#atTaking = this.#goesBack;
        return this.#part(device, this.#holderOf(device) ?? server, time);
      case "it is not told that a device was taken":
        return void (this.#atTaking = (device, { way }) => {
          way.deafUntil = Math.max(way.deafUntil, clock.now + random.below(timeout));
          this.#troubled(timeout);
          this.#leave(device);
        });
      case "a device forgets what may expire, and greets another server":
        return void (device.atDeadline = () => {
          const holder = this.#holderOf(device);
          // It gets the name of its stream there, and cannot confirm it.
          this.#atGreeting = (device, server) => {
            if (server === holder) return;
            device.path.unplug(UP);
            clock.after(random.between(Math.ceil(timeout / 2), timeout), () => {
              device.path.plug(UP);
              this.#part(device, server, timeout);
            });
          };
          device.dieOf(kind, false);
        });
      case "a server is out of reach":
        for (const each of this.devices) this.#part(each, server, time);
        return;
      case "a server is killed":
        return this.#kill(server, time);
      case "a server is closed":
        return this.#close(server, time);
      case "a server sends its devices away": {
        const over = random.below(timeout);
        server.process.enter(() => void server.server?.sendAway(over).catch(() => {})); // the server may be killed
        return clock.after(over, () => this.#close(server, time));
      }
      case "a server is paused":
        return server.process.freeze(clock.now + time);
      case "a server is paused, and its clock stands":
        return this.#stand(server, time);
      case "a server is cut off from the store":
        server.way.cutUntil = Math.max(server.way.cutUntil, clock.now + time);
        return this.#troubled(time);
      case "the store's answers are lost":
        server.way.deafUntil = Math.max(server.way.deafUntil, clock.now + time);
        return this.#troubled(time);
      case "the store fails":
        for (const { way } of this.fleet.all) way.failsUntil = clock.now + time;
        return this.#troubled(time);
      case "the store is slow": {
        const { disk } = this.fleet;
        disk.slowUntil = clock.now + time;
        disk.slowness = random.skewed(1, timeout);
        return this.disturb(disk.troubleEnd);
      }
      case "applications' transactions are slow": {
        const { disk } = this.fleet;
        disk.slowTransactionsUntil = clock.now + time;
        disk.slowTransaction = random.skewed(1, 3 * Math.max(timeout, fleet!.lease));
        return this.disturb(disk.troubleEnd);
      }
      case "the store is slow, and then a server is cut off from it": {
        const { disk } = this.fleet;
        const { lease } = fleet!;
        disk.slowUntil = clock.now + 2 * lease;
        disk.slowness = lease;
        this.#troubled(5 * lease);
        return clock.after(random.below(2 * lease), () => {
          server.way.cutUntil = Math.max(server.way.cutUntil, clock.now + 2 * lease);
        });
      }
    }
  }

  #holderOf({ id }: SimDevice): FleetServer | undefined {
    return this.fleet.all.find((server) => server.has(id));
  }

  /** Switches a device off for longer than others may take to serve it. */
  #leave(device: SimDevice): void {
    const off = 4 * this.scenario.fleet!.lease + this.random.below(4 * SLACK);
    this.disturb(this.clock.now + off);
    device.die({ keepsMemory: true, closes: this.random.chance(0.5), off, dialect: 2 });
  }

  #troubled(time: number): void {
    const { disk } = this.fleet;
    disk.troubledUntil = Math.max(disk.troubledUntil, this.clock.now + time);
    this.disturb(disk.troubleEnd);
  }

  /** Cuts the device and the server off from each other for a while, and severs the device's connections. */
  #part(device: SimDevice, server: FleetServer, time: number): void {
    this.#apart.set(`${device.id} ${server.address}`, this.clock.now + time);
    const tells = this.random.chance(0.5);
    for (const connection of device.path.connections) {
      connection.sever(tells, this.random.chance(0.5));
    }
  }

  #kill(server: FleetServer, time: number): void {
    if (server.isDown || !server.server) return;
    server.isDown = true;
    server.kill(undefined, undefined, this.random.chance(0.7));
    this.clock.after(time, () => {
      server.isDown = false;
      server.start();
    });
  }

  #close(server: FleetServer, time: number): void {
    if (server.isDown || !server.server) return;
    server.isDown = true;
    server.stop(() => {
      server.kill(undefined, undefined, true);
      this.clock.after(time, () => {
        server.isDown = false;
        server.start();
      });
    });
  }
}
