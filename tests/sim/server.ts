/**
 * The simulated server's process: the real `Server`, on a machine that can be killed at any time.
 *
 * Long because all events of a server go from here to the books.
 */
import { MqttBridge } from "../../bridge/mqtt/mod.ts";
import { declareParts } from "../../server/channels/table.ts";
import type { Device } from "../../server/device.ts";
import type { Limits } from "../../server/link/limits.ts";
import type { ServerEvent } from "../../server/observe/events.ts";
import type { ConnectOptions, SocketEvents } from "../../server/transport/platform.ts";
import { Server } from "../../server/server.ts";
import type { Store } from "../../server/store/store.ts";
import { ChannelTalk } from "./channels.ts";
import { Conversation } from "./conversation.ts";
import type { SimDevice } from "./device.ts";
import type { Disk } from "./disk.ts";
import type { End, Host } from "../../bridge/testing/network.ts";
import { DESCRIPTIONS } from "./mqtt_discovery.ts";
import type { DevicePlan } from "./scenario.ts";
import { SimPlatform, type Wiring } from "../../bridge/testing/platform.ts";
import { Process } from "../../bridge/testing/process.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { judgeEnd, watchSocket } from "./silence.ts";
import type { SimSocket } from "../../bridge/testing/socket.ts";
import { CREATE } from "./statements.ts";
import { ELSEWHERE } from "./strangers.ts";
import { SimStore, type Torn } from "./store.ts";
import type { Tables } from "./tables.ts";
import { wireOf } from "./wire.ts";
import type { World } from "./world.ts";

/** Errors that a server must never report about an honest device. */
const ACCUSATIONS: ReadonlySet<string> = new Set([
  "BAD_GREETING",
  "BAD_HELLO",
  "BAD_LINE",
  "BAD_POSITION",
  "BAD_PROOF",
  "BAD_UTF8",
  "CREDIT",
  "GAP",
  "HELLO_TOO_LONG",
  "LINE_TOO_LONG",
  "NOT_ADMITTED",
]);

/** Accusations allowed for connections made before the keys were changed. */
const KEY_CHANGED: ReadonlySet<string> = new Set(["BAD_PROOF", "NOT_ADMITTED"]);

/** The most that the application of one device does at a time. */
const WRITES = 20;

/** Its store, as the world sees it. */
export interface ServerStore extends Store {
  die(torn?: Torn): void;
  fence?(id: string): Promise<void>;
}

export class ServerProcess implements Host, Wiring {
  readonly process: Process;
  disk: Disk;
  clockAhead = 0;
  dateAhead = 0;
  /** Somebody has set its date. */
  isDateSet = false;
  /** Until then the system has no files left for connections. */
  fullUntil = 0;
  /** The connections of this run, by the other end's address. */
  readonly sockets = new Map<string, SimSocket>();
  server: Server | undefined;
  #startedAt = 0;
  readonly conversations: Map<string, Conversation | ChannelTalk> = new Map();
  #bridge: MqttBridge | undefined;
  #platform: SimPlatform | undefined;
  #store: ServerStore | undefined;
  #ports = 0;
  #keysChangedAt = -Infinity;
  /** When each device was last admitted. */
  readonly #admittedAt = new Map<string, number>();
  /** The store is slow in the next commit during which a device is not read. */
  slowsUnread = false;

  constructor(readonly world: World, disk: Disk) {
    this.process = new Process(world);
    this.disk = disk;
  }

  get gather(): number {
    return this.world.scenario.gather;
  }

  get listens(): boolean {
    return this.#platform?.listens ?? false;
  }

  /** The safe tables of applications. */
  get tables(): Tables {
    return this.disk.tables;
  }

  /** Starts the process. */
  start(): void {
    const { world, process } = this;
    const { stock, open, limits, timeout } = world.scenario;
    this.clockAhead = world.random.below(1000) + world.random.below(1000) / 1000 - world.clock.now;
    const platform = this.#platform = new SimPlatform(process, this);
    this.disk.open(platform);
    const store = this.#store = this.openStore(platform);
    const { broker } = world;
    const bridge = this.#bridge = broker && new MqttBridge(broker.options, platform);
    const app = (device: Device, server: Server) => {
      const Talk = world.channels?.things.has(device.id) ? ChannelTalk : Conversation;
      const conversation = new Talk(world, platform, this.handTo(device), server);
      this.begins(conversation);
      return conversation.hold();
    };
    const begun = this.#startedAt = world.clock.now;
    world.log?.("the server starts");
    process.enter(() => {
      Server.listen({
        hostname: "0.0.0.0",
        timeout,
        limits: finite(limits),
        keys: this.#keys(),
        stock,
        open,
        store,
        deadLetters: world.scenario.deadLetters,
        ...(bridge && { observe: bridge.observe }),
        ...(broker?.plan.isDescribed && { descriptions: DESCRIPTIONS }),
        app: bridge ? declareParts(app, []) : app,
      }, platform).then(
        (server) => {
          if (!platform.isAlive) return;
          this.server = server;
          if (this.#keysChangedAt >= begun) server.setKeys(this.#keys()); // while it was starting
          if (world.scenario.churns) {
            this.#churn(server, platform).catch((error) => world.failed(error));
          }
          server.events.subscribe((event) => platform.isAlive && this.#told(event));
          this.serves(server, platform);
          world.page?.begin(server, platform);
          bridge?.start(server).catch((error) => platform.isAlive && this.bridgeFails(error));
        },
        (error) => platform.isAlive && this.failsToStart(error),
      );
    });
  }

  protected openStore(platform: SimPlatform): ServerStore {
    return new SimStore(this.disk, this.world, platform, (what) => this.timeOf(what));
  }

  /** Called when it has started. */
  protected serves(_server: Server, _platform: SimPlatform): void {}

  protected failsToStart(error: unknown): void {
    this.world.failed(error);
  }

  /** Called when its bridge does not start. */
  protected bridgeFails(error: unknown): void {
    if (!this.world.serverIsDown) this.world.failed(error);
  }

  /** The `Device` for an application. */
  protected handTo(device: Device): Device {
    return device;
  }

  /** Whether this process has a device, according to the store. */
  has(_id: string): boolean {
    return true;
  }

  protected begins(conversation: Conversation | ChannelTalk): void {
    this.conversations.set(conversation.device.id, conversation);
  }

  #keys(): [string, Uint8Array][] {
    return this.world.scenario.devices.flatMap(({ id, key }) => key ? [[id, key]] : []);
  }

  /** The operator has changed a key, or gives the same ones again. */
  changeKeys(changed?: DevicePlan): void {
    // Greetings under way use the old key.
    this.#keysChangedAt = this.world.clock.now;
    this.process.enter(() => this.server?.setKeys(this.#keys()));
    for (const { end, isOpen, isServing } of this.sockets.values()) {
      if (changed && isOpen && isServing && end.path.owner === changed.id) {
        throw new Violation(`the key of ${changed.id} was changed, and its connection stays`);
      }
    }
  }

  /** Draws how long the store takes for something. */
  protected timeOf(what: "commit" | "acquire"): number | undefined {
    const { clock, random, scenario: { storeTime, acquireTime } } = this.world;
    if (what === "commit" && this.slowsUnread) this.#slowUnread();
    if (clock.now < this.disk.slowUntil) return this.disk.beginSlowly(clock.now);
    const most = what === "acquire" ? acquireTime ?? storeTime : storeTime;
    return most === undefined ? undefined : random.below(most + 1);
  }

  /** If a device is not read, the commit that begins takes longer than a device may be silent. */
  #slowUnread(): void {
    const { sockets, disk, world } = this;
    const { clock, random, scenario: { timeout } } = world;
    if (!sockets.values().some(({ isServing, pausedAt }) => isServing && pausedAt !== undefined)) {
      return;
    }
    this.slowsUnread = false;
    world.count("store slow, a device is not read");
    disk.slowUntil = Math.max(disk.slowUntil, clock.now + 1);
    disk.slowness = timeout + random.below(timeout);
    world.disturb(disk.troubleEnd);
  }

  /** Commits something again and again. */
  async #churn(server: Server, platform: SimPlatform): Promise<void> {
    while (platform.isAlive && this.world.clock.now < this.world.scenario.faultsEnd) {
      try {
        await server.transaction((tx) => tx.run(CREATE));
      } catch (error) {
        if (this.world.serverIsDown) return; // it is closed
        throw error;
      }
    }
  }

  resolve(): undefined {}

  connect(
    _platform: SimPlatform,
    _place: ConnectOptions,
    events: SocketEvents & { opened(): void },
  ): SimSocket {
    const { broker } = this.world;
    if (!broker) throw new Violation("a server connects to nobody");
    return broker.connect(this.process, events);
  }

  /** A device's connection has arrived at the machine. */
  accept(end: End): void {
    const { world } = this;
    this.#checkWaiting();
    const platform = this.#platform!;
    const address = `${end.path.hostname}:${++this.#ports}`;
    const { clock, random } = world;
    if (clock.now < this.fullUntil) {
      platform.fail(new Error("EMFILE: too many open files"));
      if (random.chance(0.3)) return end.close();
      // It waits in the system's queue.
      return clock.at(this.fullUntil, () => platform.isAlive ? this.accept(end) : end.vanish());
    }
    // Not always in the order in which they came.
    const delay = random.chance(0.8) ? 0 : random.below(5);
    clock.after(delay, () => {
      if (!platform.listens) return end.close();
      const socket = platform.accept(end, address);
      const plan = world.planOf(end.path.owner);
      socket.tap = wireOf(plan, clock, (rxEpoch) => this.#heardHello(plan!.id, rxEpoch));
      this.sockets.set(address, socket);
      watchSocket(world, socket, world.serverPatience, "the server");
    });
  }

  /** It has read a hello. @param rxEpoch The stream that the device knows */
  #heardHello(id: string, rxEpoch: number): void {
    const isTold = this.disk.devices.get(id)?.positions.txEpoch === rxEpoch;
    this.world.books.get(id)!.expiring.heardHello(isTold);
  }

  /** Checks that peers that have gone do not wait for anything. */
  #checkWaiting(): void {
    const { waiting = 0, devices = [] } = this.server ?? {};
    const most = this.world.scenario.limits.connections + WRITES * devices.length;
    if (waiting > most) throw new Violation(`${waiting} wait for the store, and ${most} are there`);
  }

  #told(event: ServerEvent): void {
    const { world } = this;
    switch (event.event) {
      case "connected":
        return this.#connected(event);
      case "replaced":
        world.log?.(`server: a newer connection of ${event.device}`);
        return;
      case "disconnected":
        if (/^it was away/.test(event.message)) {
          throw new Violation(`${event.device} is forgotten for being away, and is here`);
        }
        this.#deviceOf(event.device)?.naps.disconnected();
        return this.#ended(event);
      case "asleep":
        world.log?.(`server: ${event.device} sleeps`);
        this.sockets.delete(event.address);
        return this.#deviceOf(event.device)?.naps.fellAsleep();
      case "overdue":
        world.log?.(`server: ${event.device} is not back from its sleep`);
        return this.#deviceOf(event.device)?.naps.missed();
      case "refused":
        return this.#ended(event);
      case "log":
        world.log?.(`server logs ${JSON.stringify(event.message)} of ${event.device}`);
        return world.books.get(event.device)?.logged(event.message);
      case "moved":
        return this.lost(event.device);
      case "warning":
        if (event.code === "STORE_IS_OLD") {
          world.log?.(`server: ${event.device}: ${event.message}`);
          world.count("a device ahead of the store");
          return world.books.get(event.device!)?.older.said();
        }
        if (event.code === "FENCED") return this.lost(event.device!);
        if (world.channels?.mqtt?.warned(event)) return world.log?.(`server: ${event.message}`);
        // Strangers may send anything; our devices may not.
        if (event.code === "WRONG_PROTOCOL" && event.address?.startsWith(ELSEWHERE)) return;
        if (/^what another server has posted/.test(event.message)) {
          return world.count("mail refused");
        }
        if (event.code === "LEASE_FAILED") return world.count("a beat fails");
        if (event.code === "MQTT_FAILED" && world.mayRefuse) return world.count("a bridge fails");
        if (event.code === "INBOX_FULL") return world.count("an inbox without readers is full");
        if (event.code === "DEAD_LETTERS_FULL") return world.count("too many dead letters");
        if (event.code === "OTHER_APPLICATION" && world.deploys?.devices.has(event.device!)) {
          world.log?.(`server: ${event.device}: ${event.message}`);
          world.count("an application that the store does not know");
          return world.deploys.devices.get(event.device!)!.warned(
            this.server!.known(event.device!)!,
          );
        }
        throw new Violation(`the server warns: ${event.message}`);
      case "deploy":
        return world.deploys?.look();
      case "app_failed":
        return this.#appFailed(event);
      case "app_ended":
        return world.count("an application returns");
      case "expired": {
        world.count(event.code === "EXPIRED" ? "a message expires" : "a message is undecided");
        world.log?.(`server: ${event.code} ${JSON.stringify(event.text)} to ${event.device}`);
        const books = world.books.get(event.device);
        const message = books?.toDevice.find(event.text);
        return message && books!.expiring.expired(message, event.code === "EXPIRED");
      }
      case "forgotten":
        this.#admittedAt.delete(event.device);
        world.books.get(event.device)?.logsForgotten();
        world.log?.(`server: ${event.device} is forgotten: ${event.message}`);
        return void this.conversations.delete(event.device);
      case "dead_letter":
        return world.count("a dead letter");
      case "reported":
        return world.channels?.things.get(event.device)?.reported(event.channel, event.value);
      case "met":
        if (!this.has(event.device)) return; // it learns late that this is safe; the books follow the new server
        return world.channels?.things.get(event.device)?.met(event.channel);
      case "late_answer":
        if (world.serverIsDown) return; // callers will soon be told that it is closed
        return world.channels?.things.get(event.device)?.requests.late(event.tag);
      case "plain_line":
        return world.channels?.things.get(event.device)?.plainLine(event.message);
      case "broker":
        return world.log?.(`server: the broker: ${event.message ?? "there"}`);
      case "store":
        world.log?.(event.code ? "the store fails" : "the store works again");
    }
  }

  #appFailed({ device: id, message, restartIn }: ServerEvent & { event: "app_failed" }): void {
    if (id === undefined || !/^(( or )?observe: )?AppFailure/.test(message)) {
      throw new Violation(`the application of ${id} failed: ${message}`);
    }
    const { world } = this;
    world.log?.(`the application of ${id} has failed: ${message}`);
    if (restartIn === undefined && world.channels) return world.count("a handler fails");
    if (restartIn === undefined) {
      world.serverTalks.get(id)!.told++;
      return world.count("an application drops a promise");
    }
    world.count("an application fails");
    this.appFails(id);
    world.disturb(world.clock.now + restartIn);
  }

  protected appFails(id: string): void {
    this.conversations.get(id)?.failed();
    this.conversations.delete(id);
    this.world.books.get(id)?.appFailed();
  }

  /** Checks that a welcome does not admit a device that was admitted on another connection since. */
  #checkWelcome(id: string, dialect: 1 | 2, socket: SimSocket | undefined): void {
    const before = this.#admittedAt.get(id) ?? -Infinity;
    if (dialect === 2 && socket && socket.wroteAt < before) {
      throw new Violation(
        `${id} is admitted by an old welcome, in the place of a newer connection`,
      );
    }
    this.#admittedAt.set(id, this.world.clock.now);
  }

  /** Checks that an old store was reported. Dialect 1 has no positions that would show it. */
  #checkOlder(id: string, dialect: 1 | 2): void {
    const books = this.world.books.get(id);
    if (dialect === 2) books?.older.shares();
    if (books && !books.mayBeFirst) books.older.admitted();
  }

  /** Another server has taken a device. When it comes back, this server loads it from the store again. */
  protected lost(id: string): void {
    this.world.log?.(`the server has lost ${id} to another one`);
    this.conversations.delete(id);
    this.#admittedAt.delete(id);
    this.world.queues.lost(id, this.disk.devices.get(id));
    const books = this.world.books.get(id);
    books?.serverDied();
    this.#deviceOf(id)?.naps.serverDied();
    // The next greeting does not know a stream that was never safe.
    if (books && !this.disk.devices.has(id)) books.aging.isForgotten = true;
    this.world.channels?.lost(id);
  }

  /** Another server takes a device for a moment. */
  fence(id: string): void {
    this.#store?.fence?.(id);
    this.#deviceOf(id)?.naps.forgotten();
  }

  #checkMetadata(id: string, dialect: 1 | 2, said: string, connection: object | undefined): void {
    const plan = this.world.planOf(id);
    if (!plan) return;
    // The metadata end with the device's time, if there is room.
    const [, metadata, ms] = said.match(/^(.*?)(?: ?ms=(\d{10}))?$/)!;
    const isOwn = dialect === 2 && this.world.deploys?.devices.has(id);
    if (
      isOwn
        ? !/^reset=\w+( app=\S+)?$/.test(metadata!)
        : metadata !== (dialect === 2 ? plan.metadata : "")
    ) {
      throw new Violation(`${id} is reported with the metadata ${said}`);
    }
    if (ms !== undefined) this.#deviceOf(id)!.hellos.admitted(connection, Number(ms));
  }

  #deviceOf(id: string): SimDevice | undefined {
    return this.world.devices.find((device) => device.id === id);
  }

  /** Whether it was started a moment ago, and may not have processed everything yet. */
  get isFresh(): boolean {
    return this.world.clock.now - this.#startedAt < this.world.scenario.timeout;
  }

  #connected(event: Extract<ServerEvent, { event: "connected" }>): void {
    const { address, device: id, dialect, metadata = "" } = event;
    const { world } = this;
    const socket = this.sockets.get(address);
    const connection = socket?.end.connection;
    world.log?.(`server: ${id} is admitted in dialect ${dialect}`);
    this.#checkWelcome(id, dialect, socket);
    socket?.serves();
    world.books.get(id)?.admitted(connection);
    this.#deviceOf(id)?.naps.connected();
    this.#checkOlder(id, dialect);
    this.#checkMetadata(id, dialect, metadata, connection);
  }

  #ended(event: Extract<ServerEvent, { event: "disconnected" | "refused" }>): void {
    const { code, message, address } = event;
    const who = event.event === "disconnected" ? event.device : address;
    this.world.log?.(`server: connection of ${who} ends: ${code}: ${message}`);
    const socket = this.sockets.get(address ?? "");
    if (!socket) return;
    this.sockets.delete(address!);
    socket.leftAt = this.world.clock.now;
    judgeEnd(this.world, socket, code, `the server's connection of ${who}`);
    if (socket.madeAt <= this.#keysChangedAt && KEY_CHANGED.has(code)) return;
    if (ACCUSATIONS.has(code) && socket.end.path.owner) {
      throw new Violation(`the server accuses ${socket.end.path.owner}: ${code}: ${message}`);
    }
  }

  /** @param disk The disk that it finds instead of its own when it is restarted. */
  kill(torn: Torn | undefined, disk: Disk | undefined, closes: boolean): void {
    const { world } = this;
    world.log?.(`the server is killed${disk ? ", its store is another one" : ""}`);
    this.#store?.die(torn);
    this.process.end();
    this.#platform?.die(closes);
    this.#platform =
      this.#store =
      this.server =
      this.#bridge =
        undefined;
    this.sockets.clear();
    this.#admittedAt.clear();
    this.fullUntil = 0;
    this.died(disk);
    if (disk) this.disk = disk;
  }

  protected died(disk: Disk | undefined): void {
    this.conversations.clear();
    this.world.serverDied(this.disk, disk);
  }

  /** The world ends. */
  end(): void {
    this.process.end();
    this.disk.close();
    this.disk.tables.close();
  }

  /** Stops the process as an operator does. @param done Called when it has ended */
  stop(done: () => void): void {
    const { server, world } = this;
    if (!server) return;
    world.log?.("the server is closed");
    const closed = () => {
      server.events.subscribe(({ event }) => {
        throw new Violation(`the server is closed, and tells of ${event}`);
      });
      // The process that has closed it may go on.
      world.clock.after(world.random.below(world.scenario.timeout), done);
    };
    this.process.enter(() => {
      this.#bridge?.close();
      const page = world.page?.end();
      const closes = page ? page.then(() => server.close()) : server.close();
      closes.then(closed, closed).catch((error) => world.failed(error));
    });
  }

  /** Whether nothing is left to do for this device. */
  isIdle(id: string): boolean {
    const rows = this.disk.devices.get(id);
    const device = this.server?.devices.find((device) => device.id === id);
    if (!rows || !device?.connected) return false;
    return rows.inbox.length === 0 && rows.outbox.length === 0 &&
      (this.conversations.get(id)?.isIdle ?? false);
  }
}

/** Leaves out infinite limits: these are the defaults. */
function finite(limits: Limits): Partial<Limits> {
  const { outboxAge, ...others } = limits;
  return outboxAge === Infinity ? others : limits;
}
