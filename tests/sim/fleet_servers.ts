/** The servers of a fleet: each is a process of its own, and all have one database. */
import type { Device } from "../../server/device.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { Server } from "../../server/server.ts";
import type { ChannelTalk } from "./channels.ts";
import type { Conversation } from "./conversation.ts";
import { ControlPanel, type Correspondent, Writer } from "./correspondent.ts";
import type { FleetDisk } from "./fleet_disk.ts";
import { ADDRESSES, type FleetPlan } from "./fleet_kinds.ts";
import { FleetStore, type FleetStoreWorld, type Way } from "./fleet_store.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { ServerProcess, type ServerStore } from "./server.ts";
import type { World } from "./world.ts";

/** Longest time that something may wait for its commit while nothing is committed, in ms. */
const MOST_WAIT = 1000;

/** Pause before a process whose store does not answer is restarted, in ms. */
const AGAIN = 300;

/** The longest time, besides a lease, until a server is told what is safe, in ms. */
const TELLING = 1500;

/** The servers' world. */
export type FleetSurroundings = World & FleetStoreWorld & {
  /** A process has ended, or another one has its device: what it knew about it outside the store is lost. */
  leaves(id: string): void;
  /** The same for everything that a process has written. */
  dies(platform: SimPlatform): void;
};

/** One server of a fleet. */
export class FleetServer extends ServerProcess {
  /** The store of this run. */
  store: FleetStore | undefined;
  readonly way: Way = { cutUntil: -Infinity, deafUntil: -Infinity, failsUntil: -Infinity };
  override readonly conversations: ServerProcess["conversations"];
  /** The process's name in this run. */
  name = "";
  isDown = false;
  /** Until when it cannot know that its lease has ended, because its clock stood still. */
  deceivedUntil = -Infinity;
  /** Since when nothing has prevented it from working. */
  wellSince = -Infinity;
  /** How many commits had begun when something started to wait for one, and when that was. */
  #commits = 0;
  #heldSince = -Infinity;
  #lives = 0;
  #machine: SimPlatform | undefined;
  #correspondent: Correspondent | undefined;
  /** Its applications by their devices. */
  #own = new Map<string, Conversation | ChannelTalk>();

  constructor(
    override readonly world: FleetSurroundings,
    override readonly disk: FleetDisk,
    readonly address: string,
    conversations: ServerProcess["conversations"],
  ) {
    super(world, disk);
    this.conversations = conversations;
  }

  protected override openStore(platform: SimPlatform): ServerStore {
    this.name = `${this.address}/${++this.#lives}`;
    this.deceivedUntil = -Infinity;
    this.#correspondent = undefined;
    this.#machine = platform;
    this.#own = new Map();
    const { disk, name, way, world } = this;
    return this.store = new FleetStore(name, disk, world, platform, way, (what) => {
      return what === "execute" ? this.#executionTime : this.timeOf(what);
    });
  }

  /** How long the statements of a transaction take, sometimes very long. */
  get #executionTime(): number {
    const { clock, random } = this.world;
    const isSlow = clock.now < this.disk.slowTransactionsUntil && random.chance(0.5);
    return (this.timeOf("commit") ?? 0) + (isSlow ? random.below(this.disk.slowTransaction) : 0);
  }

  protected override serves(server: Server, platform: SimPlatform): void {
    this.#correspondent = this.world.channels
      ? new ControlPanel(this.world, platform, server)
      : new Writer(this.world, platform, server);
    this.#correspondent.begin();
  }

  /** See `World.tellsIn`. */
  tellsIn(since: number): number {
    return this.wellSince <= since ? this.disk.lease + TELLING : Infinity;
  }

  /** Whether it shows who has a device, and that the device is connected. */
  shows(id: string, holder: FleetServer): boolean {
    const device = this.server?.known(id);
    return device?.connected === true && device.server?.startsWith(`${holder.name}:`) === true;
  }

  /** Whether it waits for the outcome of a message. */
  get waits(): boolean {
    return this.server !== undefined && (this.#correspondent?.pending ?? 0) > 0;
  }

  /** Its supervisor restarts it. */
  protected override bridgeFails(error: unknown): void {
    if (error instanceof LocalError && error.code === "CLOSED") return;
    this.failsToStart(error);
  }

  protected override failsToStart(error: unknown): void {
    if (!(error instanceof LocalError) || error.code !== "STORE_FAILED") throw error;
    this.world.log?.(`the server at ${this.address} does not start: ${error}`);
    this.kill(undefined, undefined, true);
    this.world.clock.after(AGAIN, () => this.start());
  }

  override has(id: string): boolean {
    return this.disk.leases.get(id)?.process === this.name;
  }

  /** The application of another process, which has the device by now, goes on. */
  protected override appFails(id: string): void {
    const own = this.#own.get(id);
    if (own && own === this.conversations.get(id)) super.appFails(id);
    else own?.failed();
  }

  /** Whether it serves a device that it has: if messages wait, the application must have been started. */
  attends(id: string): boolean {
    const device = this.has(id) ? this.server?.known(id) : undefined;
    const isHere = device?.server?.startsWith(`${this.name}:`) === true; // and it knows that
    return isHere && (device!.inbox === 0 || device!.app !== "none");
  }

  /** Checks whether anything prevents it from working now. */
  look(): void {
    const { clock } = this.world;
    const { cutUntil, deafUntil, failsUntil } = this.way;
    const trouble = Math.max(cutUntil, deafUntil, failsUntil, this.disk.slowUntil);
    const isWell = !this.isDown && this.server && !this.process.isFrozen && trouble < clock.now;
    if (!isWell) this.wellSince = clock.now;
    this.#lookAtLink();
  }

  /** Checks that commits go on while an application's transaction is under way. */
  #lookAtLink(): void {
    const { store, server, world: { clock } } = this;
    const isHeld = store?.isExecuting && server && server.waiting > 0 && this.wellSince < clock.now;
    if (!isHeld || store.commits !== this.#commits) {
      this.#commits = store?.commits ?? 0;
      this.#heldSince = clock.now;
    } else if (clock.now - this.#heldSince > MOST_WAIT) {
      throw new Violation(`${this.name} commits nothing while a transaction is under way`);
    }
  }

  protected override begins(conversation: Conversation | ChannelTalk): void {
    this.#own.set(conversation.device.id, conversation);
    if (this.has(conversation.device.id)) super.begins(conversation);
  }

  /**
   * The `Device` for an application. A process that has lost the device and does not know it yet may hand out messages,
   * as the new one does; for its application's `readline` this counts as if it had been killed with them. But it must
   * hand out nothing once it can know that others may take it for dead.
   */
  protected override handTo(device: Device): Device {
    const check = (line: string): boolean => {
      const { clock } = this.world;
      if (clock.now >= this.deceivedUntil && !this.disk.isAlive(this.name, clock.now)) {
        throw new Violation(
          `${this.name} hands out ${JSON.stringify(line)}, and its lease is over`,
        );
      }
      if (this.has(device.id)) return true;
      this.world.count("what another process has is handed out");
      return false;
    };
    const readline = async (): Promise<string> => {
      const line = await device.readline();
      return check(line) ? line : await new Promise<never>(() => {});
    };
    const next = async () => ({ value: await readline(), done: false as const });
    const end = (error: unknown) => {
      if (error instanceof LocalError && error.code === "CLOSED") {
        return { value: undefined, done: true as const };
      }
      throw error;
    };
    const own: Partial<Record<string | symbol, unknown>> = {
      readline,
      consume: (use: Parameters<Device["consume"]>[0]) =>
        device.consume((line, tx) => {
          check(line);
          return use(line, tx);
        }),
      [Symbol.asyncIterator]: () => ({ next: () => next().catch(end) }),
    };
    return new Proxy(device, {
      get(target, key) {
        if (Object.hasOwn(own, key)) return own[key];
        const value = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** The world has known that since another process took it. */
  protected override lost(id: string): void {
    this.world.log?.(`${this.name} knows that it has lost ${id}`);
  }

  protected override died(): void {
    for (const [id, { process }] of this.disk.leases) {
      if (process === this.name) this.world.leaves(id);
    }
    if (this.#machine) this.world.dies(this.#machine);
  }

  override end(): void {
    this.process.end();
  }
}

/** All servers, in the place where other worlds have one. */
export class FleetServers extends ServerProcess {
  readonly all: FleetServer[];

  constructor(
    override readonly world: FleetSurroundings,
    override readonly disk: FleetDisk,
    plan: FleetPlan,
  ) {
    super(world, disk);
    this.all = ADDRESSES.slice(0, plan.servers).map((address) =>
      new FleetServer(world, disk, address, this.conversations)
    );
  }

  override start(): void {
    for (const server of this.all) {
      this.world.clock.after(
        this.world.random.below(this.world.scenario.timeout),
        () => server.start(),
      );
    }
  }

  override end(): void {
    for (const server of this.all) server.end();
    super.end();
  }

  override isIdle(id: string): boolean {
    const rows = this.disk.devices.get(id);
    const holder = this.all.find((server) => server.has(id));
    const device = holder?.server?.known(id);
    if (!rows || !device?.connected || !this.disk.isQuiet) return false;
    if (this.all.some(({ waits }) => waits)) return false;
    if (this.all.some((it) => it.server && !it.shows(id, holder!))) return false;
    return rows.inbox.length === 0 && rows.outbox.length === 0 &&
      (this.conversations.get(id)?.isIdle ?? false);
  }
}
