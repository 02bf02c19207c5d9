/** One server among several on a store: takes and loses devices, and adopts those that others left behind. */
import { type LocalError, PeerError } from "../protocol/errors.ts";
import type { Fleet, Lost, Mail } from "../store/fleet.ts";
import { Ledger } from "../store/ledger.ts";
import { type Acquired, type DeviceState, FencedError } from "../store/store.ts";
import type { Clock } from "../transport/platform.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { FleetCallers } from "./fleet_callers.ts";
import { type Asker, checkOrder, type Deploying, type Order, type Posting } from "./orders.ts";
import type { DistantHost } from "./distant_device.ts";
import { DistantReads } from "./distant_reads.ts";
import { Membership } from "./membership.ts";
import { Overview, type OverviewHost } from "./overview.ts";
import { PostOffice, type PostOfficeHost } from "./post_office.ts";
import type { Roster } from "./roster.ts";
import type { Turn } from "./turn.ts";

/** What a `FleetMember` needs from the server. */
export interface FleetMemberHost
  extends
    Pick<PostOfficeHost, "act" | "operation" | "refused">,
    Pick<OverviewHost, "name" | "view" | "seen" | "forgotten">,
    Pick<DistantHost, "pace"> {
  readonly fleet: Fleet;
  readonly turn: Turn;
  readonly clock: Clock;
  readonly devices: Roster;
  /** Most connections at one time. */
  readonly connections: number;
  /** Longest text of a message, in bytes. */
  readonly lineBytes: number;
  /** @throws {LocalError} BAD_ARGUMENT: it is not an application */
  checkDeploy(order: Deploying): void;
  /** Set when nothing is accepted any more: the error for callers. */
  closed(): LocalError | undefined;
  /** Takes charge of a device, whoever has it. */
  acquire(id: string): Promise<Acquired>;
  /** See `MembershipHost`. */
  fails(error: unknown): void;
  /** Runs the application for a device. */
  begin(device: DeviceDriver): void;
}

export class FleetMember {
  readonly callers: FleetCallers;
  /** The other processes' views of their devices. */
  readonly overview: Overview;
  readonly #host: FleetMemberHost;
  readonly #membership: Membership;
  readonly #office: PostOffice;
  /** Devices that are being taken. */
  readonly #taking = new Map<string, Promise<void>>();
  #closed = false;

  constructor(host: FleetMemberHost) {
    this.#host = host;
    this.#office = new PostOffice({
      ...host,
      find: (id) => host.devices.get(id),
      forget: (device, also) => host.devices.forget(device, also),
    });
    const { clock, connections, devices, fleet } = host;
    this.callers = new FleetCallers({
      here: (id) => devices.get(id)?.ledger,
      look: (id, token) => fleet.look(id, token),
      take: (id, fresh) => this.#alone(id, () => this.#take(id, fresh)),
      lost: ({ id, token }) => this.#lost(id, token + 1),
    }, connections);
    this.#membership = new Membership(fleet, {
      clock,
      lost: ({ device, token }: Lost) => this.#lost(device, token),
      adopt: (id) => this.#alone(id, () => this.#adopt(id)),
      asks: () => this.#office.asks(),
      mail: (mail) => this.#office.brings(mail),
      answered: (answer) => this.#office.answered(answer),
      fails: host.fails,
      held: () => {
        for (const device of devices) device.goOn();
      },
    });
    const here = (id: string) => devices.get(id);
    const reads = new DistantReads(fleet);
    this.overview = new Overview({
      ...host,
      whenSafe: (run) => host.turn.whenSafe(run),
      here,
      distant: {
        pace: host.pace,
        refusal: () => host.closed() ?? host.turn.failure,
        check: (order) => {
          if ("deploy" in order) host.checkDeploy(order);
          else checkOrder(order, host.lineBytes);
        },
        read: (id) => reads.read(id),
        ask: (...args) => this.#office.ask(...args),
      },
    });
  }

  /**
   * A part of a transaction that posts an order for a device that is not here.
   *
   * @throws {LocalError} BAD_TEXT; BAD_ARGUMENT
   */
  posting(id: string, order: Order): Posting {
    checkOrder(order, this.#host.lineBytes);
    return this.#office.posting(id, order);
  }

  /**
   * Registers a caller that waits for the outcome of a message written here, which another process may report. @returns
   * the address for that, for the store
   */
  expect(asker: Asker): { from: string; forget(): void } {
    const { number, forget } = this.#office.expect(asker);
    return { from: this.#host.fleet.sender(number), forget };
  }

  /** Enters the fleet. @throws {LocalError} STORE_FAILED */
  start(): Promise<void> {
    return this.#membership.start();
  }

  /** See `Membership`. */
  get isHeld(): boolean {
    return this.#membership.isHeld;
  }

  #ledger(id: string, acquired: Acquired, fresh?: DeviceState): Ledger {
    const ledger = new Ledger(id, acquired, this.#host.turn.changed, fresh);
    this.#office.acquired(ledger);
    return ledger;
  }

  /** Runs one take of a device at a time: a process must not take a device from itself. */
  async #alone<T>(id: string, take: () => Promise<T>): Promise<T> {
    while (this.#taking.has(id)) await this.#taking.get(id);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#taking.set(id, promise);
    try {
      return await take();
    } finally {
      this.#taking.delete(id);
      resolve();
    }
  }

  async #take(id: string, fresh: DeviceState | undefined): Promise<Ledger | undefined> {
    if (this.#host.devices.get(id)) return undefined;
    let acquired;
    try {
      acquired = await this.#host.acquire(id);
    } catch (error) {
      this.#membership.doubt(id);
      throw error;
    }
    if (!acquired.state && !fresh) {
      throw new PeerError("STALE_GREETING", "the device was forgotten since it greeted");
    }
    const ledger = this.#ledger(id, acquired, fresh);
    if (!acquired.state) return ledger;
    // It is ours even if its greeting fails: nobody else takes care of it.
    await this.#meet(ledger, acquired.mail);
    return undefined;
  }

  async #adopt(id: string): Promise<boolean> {
    if (this.#host.devices.get(id)) return false; // it may be lost, which waits for a commit
    const acquired = await this.#host.fleet.adopt(id);
    if (!acquired?.state) return false; // a device that the store does not know is added when it greets
    await this.#meet(this.#ledger(id, acquired), acquired.mail);
    return true;
  }

  /** Adds a device to memory. */
  #meet(ledger: Ledger, mail: readonly Mail[] = []): Promise<void> {
    const { devices, turn, begin } = this.#host;
    const { promise, resolve } = Promise.withResolvers<void>();
    turn.enter(() => {
      resolve();
      if (this.#closed) return; // this process is about to leave
      // It was admitted meanwhile with an older token, as a new device.
      if (devices.get(ledger.id)) turn.lose(new FencedError(ledger.id));
      const device = devices.meet(ledger);
      this.#office.take(mail);
      if (device.inbox > 0) begin(device);
    });
    return promise;
  }

  /** Another process has taken a device. @param token Its token; if ours is greater, we have it back */
  #lost(id: string, token: number): void {
    const { devices, turn } = this.#host;
    turn.enter(() => {
      if (this.#closed) return; // this process leaves all its devices
      const here = devices.get(id);
      if (here && here.ledger.token < token) turn.lose(new FencedError(id));
    });
  }

  /** Stops taking devices. */
  stop(): void {
    this.#closed = true;
    this.#membership.stop();
    const reason = this.#host.closed();
    this.overview.stop(reason);
    if (reason) this.#office.close(reason);
  }

  /** Leaves the fleet: others have its devices at once. @throws {LocalError} STORE_FAILED */
  async close(): Promise<void> {
    await this.overview.close();
    await this.#membership.close();
  }
}
