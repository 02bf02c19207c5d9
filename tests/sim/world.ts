/**
 * One seed's world: a clock, a server, its devices, the networks between them, and the faults.
 *
 * Long because it connects all of these.
 */
import { newState } from "../../server/link/record.ts";
import { Books } from "./books.ts";
import { makeBroker, type ModelBroker } from "./broker.ts";
import { ChannelBooks } from "./channel_books.ts";
import { Clock } from "../../bridge/testing/clock.ts";
import { SimDevice } from "./device.ts";
import { DeployBooks, FIRMWARE_MESSAGES } from "./deploy_books.ts";
import { Disk, emptyRows } from "./disk.ts";
import { cause } from "./faults.ts";
import type { FaultKind } from "./fault_kinds.ts";
import { HOSTS } from "./host.ts";
import { type Host, Path } from "../../bridge/testing/network.ts";
import { Operator } from "./operator.ts";
import { PageBooks } from "./page_books.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import type { Surroundings } from "../../bridge/testing/process.ts";
import { type Manner, type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { Random } from "../../bridge/testing/random.ts";
import type { DevicePlan, DeviceTalk, Scenario } from "./scenario.ts";
import { ServerProcess } from "./server.ts";
import { besiege, QueueBooks } from "./siege.ts";
import type { Patience } from "./silence.ts";
import { Folder } from "../../bridge/testing/files.ts";
import { SqliteDisk } from "./sqlite.ts";
import type { SimSocket } from "../../bridge/testing/socket.ts";
import type { StoreWorld, Torn } from "./store.ts";
import { Transfers } from "./transfers.ts";
import { workOf } from "./work.ts";
import type { FleetBrokerFault } from "./mqtt_plan.ts";

/** Time after the last fault within which everything must arrive, in timeouts, plus time for each message. */
const PATIENCE = 60;

/** Time after a fault in which nothing is expected, in timeouts. */
const CALM = 3;

/** Time within which a device that was told of the end of its connection must have the next one, in timeouts. */
const RECOVERY = 0.9;

/** Time in which an outage must be noticed, in timeouts. */
const NOTICED = 1.1;

/** Runs after everything else of this turn. The real `setImmediate`, which worlds replace. */
const later = setImmediate;

export class World implements Surroundings, StoreWorld, Disposable {
  readonly clock = new Clock();
  readonly server: ServerProcess;
  readonly devices: SimDevice[];
  readonly books = new Map<string, Books>();
  readonly transfers = new Transfers();
  readonly queues: QueueBooks;
  // These exist in worlds of their kind.
  readonly channels: ChannelBooks | undefined;
  readonly broker: ModelBroker | undefined;
  readonly page: PageBooks | undefined;
  readonly deploys: DeployBooks | undefined;
  readonly operator = new Operator(this);
  /** What the server's application still has to write to each device. */
  readonly serverTalks = new Map<string, DeviceTalk>();
  serverBusyUntil = 0;
  /** The server is not running, or about to stop. */
  serverIsDown = false;
  /** Number of messages that either application has seen. */
  messages = 0;
  /** What a device sent on one of its connections, for strangers to replay. */
  overheard: Uint8Array[] = [];
  readonly faults = new Map<string, number>();
  #entered = false;
  #failure: unknown;
  #torn: Torn | undefined;
  #disturbedUntil = 0;
  #disturbances = 0;
  #overheard: SimSocket | undefined;
  /** Longest text that the server has ever taken, in bytes. */
  #longest: number;
  /** Folder for stores and memories on files. */
  readonly folder: Folder | undefined;

  /** @param log Called with a line for each event, if given. */
  constructor(
    readonly random: Random,
    readonly scenario: Scenario,
    readonly log?: (line: string) => void,
  ) {
    this.#longest = scenario.limits.lineBytes;
    this.queues = new QueueBooks(scenario);
    this.channels = scenario.channels ? new ChannelBooks() : undefined;
    this.deploys = scenario.deploys && new DeployBooks(this, scenario.deploys);
    this.folder = scenario.onFile ? new Folder() : undefined;
    const disk = this.folder ? new SqliteDisk(this.folder) : new Disk();
    this.server = this.makeServer(disk);
    this.devices = scenario.devices.map((plan, i) => {
      const { attempts } = scenario.limits;
      const now = () => this.clock.now;
      const books = new Books(plan.id, this.mayBeFirst(plan.id), attempts, now);
      this.books.set(plan.id, books);
      this.channels?.add(plan.id, books);
      this.serverTalks.set(plan.id, { ...plan.serverTalk });
      const path = new Path(this.clock, random, plan.conditions, `10.0.0.${i + 1}`, plan.id);
      path.isOverheard = plan.key !== undefined;
      this.#meetBefore(plan);
      return new SimDevice(this, { ...plan, talk: { ...plan.talk } }, path, books);
    });
    this.broker = makeBroker(this);
    this.page = scenario.page ? new PageBooks(this) : undefined;
  }

  protected makeServer(disk: Disk): ServerProcess {
    return new ServerProcess(this, disk);
  }

  /** Whether servers send their devices away. */
  get mayRefuse(): boolean {
    return false;
  }

  /** An application on a server writes. */
  serverWrites(_platform: SimPlatform, books: Books, text: string, manner: Manner): Message {
    return books.serverWrites(text, manner);
  }

  /** How long it may take until a server learns what has become safe, in ms, if nothing has prevented it since then. */
  tellsIn(_platform: SimPlatform, _since: number): number {
    return 0;
  }

  /** Longest time that a transaction takes at present after its writes, in ms; 0: none. */
  get ponders(): number {
    const { faultsEnd, ponders = 0 } = this.scenario;
    return this.clock.now < faultsEnd ? ponders : 0;
  }

  /** The host at an address of the server. */
  hostAt(_address: string, _device: SimDevice): Host {
    return this.server;
  }

  /** Draws the addresses by which a host knows its server. */
  drawHosts(): string | string[] {
    return this.random.pick(HOSTS);
  }

  /** Removes all files. */
  [Symbol.dispose](): void {
    this.server.end();
    for (const device of this.devices) device.disk.die();
    this.folder?.[Symbol.dispose]();
  }

  /** Longest text that the server takes, or will take when it is back. */
  get lineBytes(): number {
    return this.scenario.limits.lineBytes;
  }

  /** The server's time limits. */
  get serverPatience(): Patience {
    const { timeout, gather, storeTime = 0, acquireTime = 0 } = this.scenario;
    // Its driver checks every 1/40 of the timeout when something is due; a commit may be under way, and another one may
    // follow.
    const driver = timeout / 20 + 2 * (gather + storeTime) + 10;
    const busyUntil = () => this.server.disk.troubleEnd;
    const outage = NOTICED * timeout + driver;
    return {
      silence: outage + acquireTime,
      stall: outage,
      progress: timeout / 4, // before the next keepalive nothing is due
      keepalive: timeout / 4 + driver,
      busyUntil,
    };
  }

  /** A device's time limits. In dialect 1 it waits longer for the first bytes. */
  devicePatience(device: SimDevice): Patience {
    const { timeout } = this.scenario;
    return {
      silence: (NOTICED + 2 - device.dialect) * timeout + 10,
      // After a delay the core learns only at its next keepalive that something was taken.
      stall: (NOTICED + 1 / 4) * timeout + 10,
      progress: 0, // part of `stall`
      keepalive: timeout / 4 + 20,
      busyUntil: () => device.deafUntil,
    };
  }

  /** Runs the scenario to its end. @throws {Violation} */
  async run(): Promise<void> {
    const { clock, scenario, devices } = this;
    const { timeout, faultsEnd } = scenario;
    this.server.start();
    for (const device of devices) {
      this.clock.after(this.random.below(timeout), () => device.start());
    }
    if (scenario.siege) besiege(this);
    this.broker?.start();
    this.deploys?.start();
    if (scenario.faults.length > 0) this.#planFault();
    await this.#runUntil(faultsEnd);
    this.log?.("all faults end");
    this.#torn = undefined;
    this.server.slowsUnread = false;
    for (const device of devices) {
      device.dies = device.tears = device.answering.strike = undefined;
    }
    const patience = PATIENCE * timeout + workOf(scenario);
    let stable = false;
    while (!stable) {
      if (clock.now > faultsEnd + patience) this.#complain();
      const connects = devices.map((device) => device.connects);
      await this.#runUntil(clock.now + timeout);
      if (!this.#isDone() || this.broker?.faults.lastAct()) continue;
      // Late or repeated messages would show now; and nothing may disturb the link any more.
      await this.#runUntil(clock.now + timeout);
      stable = this.#isDone() && devices.every((device, i) => device.connects === connects[i]);
    }
  }

  async #runUntil(time: number): Promise<void> {
    while (this.clock.step(time)) {
      if (this.#entered) {
        this.#entered = false;
        // Let all promises that can settle do so.
        await new Promise(later);
      }
      // A violation counts even if the product has caught it.
      if (Violation.first) throw Violation.first;
      if (this.#failure) throw this.#failure;
    }
    this.clock.now = Math.max(this.clock.now, time);
  }

  entered(): void {
    this.#entered = true;
  }

  failed(error: unknown): void {
    this.#failure ??= error;
  }

  #planFault(): void {
    const { faultPause, faultsEnd, faults } = this.scenario;
    const pause = this.random.below(2 * faultPause) + 1;
    if (this.clock.now + pause >= faultsEnd) return;
    this.clock.after(pause, () => {
      this.cause(this.random.pick(faults));
      this.#planFault();
    });
  }

  protected cause(kind: FaultKind): void {
    cause(this, kind);
  }

  #isDone(): boolean {
    const isDone = this.operator.isIdle &&
      this.devices.every((device) =>
        device.isUp && device.isIdle && this.server.isIdle(device.id) &&
        !this.books.get(device.id)!.unfinished() &&
        !this.channels?.things.get(device.id)?.unfinished()
      ) && !this.broker?.unfinished() && !this.deploys?.unfinished();
    if (isDone) this.channels?.look();
    if (isDone) this.page?.settled();
    if (isDone) this.deploys?.check();
    return isDone;
  }

  #complain(): never {
    for (const books of this.books.values()) books.settle();
    for (const device of this.devices) {
      const { id } = device;
      if (!device.isUp) throw new Violation(`${id}: the device finds no link`);
      if (!device.isIdle) throw new Violation(`${id}: the device has still something to write`);
      const channel = this.channels?.things.get(id)?.unfinished();
      if (channel) throw new Violation(`${id}: ${channel}`);
      if (!this.server.isIdle(id)) {
        throw new Violation(`${id}: the server has no link, or still something to write or read`);
      }
    }
    const left = this.broker?.unfinished() ?? this.deploys?.unfinished();
    if (left) throw new Violation(left);
    if (!this.operator.isIdle) throw new Violation("what the operator wants is not done");
    throw new Violation("links are lost again and again without a fault");
  }

  /** The current faults have an effect until then, and for a while after. */
  disturb(until: number): void {
    this.#disturbedUntil = Math.max(this.#disturbedUntil, until + CALM * this.scenario.timeout);
    this.#disturbances++;
  }

  /** A device has learnt that its connection is gone. If nothing else is wrong, it must soon have a new one. */
  expectRecovery(device: SimDevice): void {
    const { clock, scenario: { timeout } } = this;
    if (
      !device.isUp || this.#disturbedUntil > clock.now || this.#torn ||
      this.devices.some((it) => it.isCursed)
    ) return;
    const { boot } = device;
    const disturbances = this.#disturbances + 1; // including the current one
    clock.after(RECOVERY * timeout, () => {
      if (this.#disturbances !== disturbances || this.#torn) return;
      if (device.isUp || device.boot !== boot || device.isCursed) return;
      throw new Violation(`${device.id}: no link ${RECOVERY * timeout} ms after a mere reset`);
    });
  }

  count(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
  }

  strikeBridge(kind: FleetBrokerFault): void {
    throw new Error(`a world without a fleet: ${kind}`);
  }

  turnKnob(): boolean {
    const devices = this.devices.filter(({ isUp, channels }) => isUp && channels);
    if (devices.length > 0) this.random.pick(devices).channels!.turnKnob();
    return devices.length > 0;
  }

  planOf(id: string | undefined): DevicePlan | undefined {
    return this.scenario.devices.find((device) => device.id === id);
  }

  /** Creates a device to which many messages were written before: its numbers will soon wrap. */
  #meetBefore({ id, firstServerNumber }: DevicePlan): void {
    if (firstServerNumber === 0) return;
    const { positions, sent } = newState(firstServerNumber, { txEpoch: this.random.word() || 1 });
    const rows = { ...emptyRows(positions, sent), isMadeUp: true };
    this.server.disk.devices.set(id, rows);
  }

  deviceLine(id: string): number {
    return this.planOf(id)!.size.line;
  }

  /** Whether a device speaks dialect 1, or may do so later. */
  mayBeFirst(id: string): boolean {
    return this.scenario.changesDialect || this.planOf(id)!.dialect === 1;
  }

  /** An attacker records what a device with a key sends on one connection. */
  overhear(socket: SimSocket, bytes: Uint8Array): void {
    if (socket !== this.#overheard) {
      if (!socket.end.path.isOverheard) return;
      this.#overheard = socket;
      this.overheard = [];
    }
    if (this.overheard.length < 4) this.overheard.push(bytes.slice());
  }

  /** @param disk The disk that it finds instead of its own when it is restarted. */
  killServer(torn?: Torn, disk?: Disk): void {
    if (this.serverIsDown) return;
    const { random, scenario } = this;
    this.serverIsDown = true;
    this.server.kill(torn, disk, random.chance(0.7));
    const { limits, lines } = scenario;
    if (random.chance(0.3) && lines.length > 1) {
      limits.lineBytes = random.pick(lines);
      this.#longest = Math.max(this.#longest, limits.lineBytes);
      for (const device of this.devices) device.lineChanges(limits.lineBytes);
      this.count("server with other limits");
      this.log?.(`the server will take ${limits.lineBytes} bytes`);
    }
    const pause = random.skewed(1, 2 * scenario.timeout);
    this.disturb(this.clock.now + pause);
    this.clock.after(pause, () => {
      this.serverIsDown = false;
      this.server.start();
      // After a copy was put back, restarts it more than once.
      if (!disk || random.chance(0.5)) return;
      this.clock.after(random.below(scenario.timeout / 4), () => this.killServer());
    });
  }

  /** Stops the server as an operator does, and restarts it. */
  stopServer(): void {
    if (this.serverIsDown || !this.server.server) return;
    this.serverIsDown = true;
    const pause = this.random.skewed(1, 2 * this.scenario.timeout);
    this.server.stop(() => {
      this.server.kill(undefined, undefined, true);
      this.disturb(this.clock.now + pause);
      this.clock.after(pause, () => {
        this.serverIsDown = false;
        this.server.start();
      });
    });
  }

  /** The server gets another key for a device, which boots with it. */
  setKey(id: string, key: Uint8Array): void {
    const plan = this.planOf(id)!;
    plan.key = key;
    this.devices.find((device) => device.id === id)!.plan.key = key;
    this.server.changeKeys(plan);
  }

  /** @param disk The store that replaces the old one, if one does. */
  serverDied(before: Disk, disk: Disk | undefined): void {
    this.operator.serverDied();
    this.channels?.serverDied();
    this.page?.serverDied();
    for (const { naps } of this.devices) naps.serverDied(disk !== undefined);
    this.deploys?.serverDied(disk);
    for (const [id, books] of this.books) {
      books.serverDied(
        disk && {
          madeAt: disk.madeAt,
          before: before.devices.get(id),
          found: disk.devices.get(id),
        },
      );
    }
  }

  /** Kills the server in its next commit. */
  tearNextCommit(torn: Torn = this.random.pick(["before", "after"])): void {
    this.#torn = torn;
  }

  tears(): Torn | undefined {
    const torn = this.#torn;
    this.#torn = undefined;
    return torn;
  }

  tear(torn: Torn): void {
    this.killServer(torn);
  }

  step(): void {
    this.clock.onStep?.();
  }

  effect(id: string, text: string): void {
    this.transfers.safe(`effect of ${id}\0${text}`);
    this.channels?.effect(id, text);
    this.books.get(id)!.effect(text);
  }

  received(id: string, text: string): void {
    this.books.get(id)?.received(text);
    this.page?.received(id, text);
    this.broker?.faults.received();
  }

  processed(id: string, text: string): void {
    this.books.get(id)?.processed(text);
  }

  deadLetterAdded(id: string, text: string): void {
    this.books.get(id)?.deadLetterAdded(text);
  }

  written(id: string, text: string): void {
    this.transfers.safe(`${id}\0${text}`);
    this.channels?.things.get(id)?.written(text);
    this.books.get(id)?.written(text);
    this.page?.written(id, text);
  }

  withdrawn(id: string, text: string): void {
    this.books.get(id)?.withdrawn(text, this.deviceLine(id));
  }

  settled(id: string, text: string): void {
    this.books.get(id)?.settled(text);
  }

  vanished(id: string, count: number): void {
    const books = this.books.get(id);
    books?.dropped.vanished(count, books.fromDevice);
  }

  forgotten(id: string, waits: string | undefined): void {
    const books = this.books.get(id);
    const isWanted = this.operator.forgets(id);
    if (waits !== undefined && !isWanted) {
      throw new Violation(`${id} is forgotten, and ${waits} waits`);
    }
    if (!books) return;
    if (!isWanted) throw new Violation(`${id} is forgotten, and nobody wants it`);
    this.transfers.forgiveAll(id, books.toDevice.all());
    books.forgotten();
    this.devices.find((device) => device.id === id)!.naps.forgotten();
    this.channels?.things.get(id)?.forgotten();
  }

  memo(id: string, key: string, text: string | undefined): void {
    this.channels?.things.get(id)?.memo(key, text);
  }

  committed(): void {
    this.operator.committed();
    for (const books of this.books.values()) books.committed();
    for (const { naps } of this.devices) naps.committed();
    this.transfers.committed();
    this.channels?.committed(this.server.disk);
    this.broker?.faults.committed();
    this.queues.check(this.#longest, this.server.disk.devices);
    const { inbox, outbox } = this.scenario.limits;
    for (const [id, rows] of this.server.disk.devices) {
      if (rows.inbox.length > inbox) {
        throw new Violation(`${id}: ${rows.inbox.length} in the inbox`);
      }
      if (rows.outbox.length > outbox + (this.deploys ? FIRMWARE_MESSAGES : 0)) {
        throw new Violation(`${id}: ${rows.outbox.length} in the outbox`);
      }
    }
  }
}
