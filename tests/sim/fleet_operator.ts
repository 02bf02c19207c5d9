/** The operator of a fleet: asks any server to drop what waits for a device, or to forget it, whichever server has it. */
import type { Clearing, Forgetting, Order } from "../../server/runtime/orders.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { FleetServer, FleetServers } from "./fleet_servers.ts";
import { Operator } from "./operator.ts";
import type { World } from "./world.ts";

type Kind = "clear" | "forget";

/** An order of the operator without a reported outcome. */
interface OpenOrder {
  readonly id: string;
  readonly kind: Kind;
  readonly process: FleetServer["process"];
}

/** Mail with an order that ends in the current commit, and where the device's queues ended before it. */
interface Ending {
  readonly id: string;
  readonly kind: Kind;
  readonly inboxEnd: number;
  readonly outboxEnd: number;
}

/** Codes with which an order may fail: it had no effect, or nobody knows. */
const REFUSALS: ReadonlySet<string> = new Set([
  ...["CLOSED", "FENCED", "FORGOTTEN", "OUTBOX_FULL", "STORE_FAILED", "UNKNOWN_DEVICE"],
]);

/** Whether something that was posted is an order of the operator. */
export function isOperators(order: Order): order is Extract<Order, Clearing | Forgetting> {
  return "clear" in order || "forget" in order;
}

export class FleetOperator extends Operator {
  readonly #orders = new Set<OpenOrder>();
  /** Mail that still has to be carried out, by device. */
  readonly #mail: Record<Kind, Map<string, number>> = { clear: new Map(), forget: new Map() };
  #endings: Ending[] = [];
  /** Marks, among a device's orders, that its messages may be dropped. */
  readonly #mark = {};

  constructor(override readonly world: World & { readonly fleet: FleetServers }) {
    super(world);
  }

  override get isIdle(): boolean {
    return this.#orders.size + this.#mail.clear.size + this.#mail.forget.size === 0;
  }

  #waits(kind: Kind, id: string): boolean {
    if (this.#mail[kind].has(id)) return true;
    return this.#orders.values().some((it) => it.kind === kind && it.id === id);
  }

  override forgets(id: string): boolean {
    return this.#waits("forget", id);
  }

  /** Whether waiting messages of a device may be dropped now. */
  clears(id: string): boolean {
    return this.#waits("clear", id);
  }

  /** Another process may have the device: the order still has to be carried out. */
  look(id: string): void {
    const { orders } = this.world.books.get(id)!.dropped;
    if (this.clears(id)) orders.add(this.#mark);
    else orders.delete(this.#mark);
  }

  override clear(id: string): void {
    this.#give("clear", id);
  }

  override forget(id: string): void {
    this.#give("forget", id);
  }

  #give(kind: Kind, id: string): void {
    const { world, world: { fleet, random } } = this;
    const { process, server } = random.pick(fleet.all);
    const device = server?.known(id);
    if (!server || !device) return;
    const isOwn = device.server === server.name;
    world.count(`${kind} of a device that ${isOwn ? "the same" : "another"} server has`);
    const order = { id, kind, process };
    const { life } = process;
    const end = (error?: unknown) => {
      if (process.life !== life) return;
      world.log?.(`operator: ${kind} ${id}: ${error ?? "done"}`);
      world.disturb(world.clock.now);
      const code = error instanceof LocalError ? error.code : undefined;
      // A server that is closed may have carried it out in its last commit: that is known when it has ended.
      if (code !== "CLOSED") this.#orders.delete(order);
      this.look(id);
      if (error === undefined || (code !== undefined && REFUSALS.has(code))) return;
      throw new Violation(`the operator's ${kind} of ${id} fails: ${error}`);
    };
    process.enter(() => {
      this.#orders.add(order);
      this.look(id);
      const done = kind === "clear" ? device.clear() : server.forget(id);
      done.then(() => end(), end).catch((error) => world.failed(error));
    });
  }

  /** A process has ended: what it has not posted will not be done. */
  died({ process }: SimPlatform): void {
    for (const order of this.#orders) {
      if (order.process !== process) continue;
      this.#orders.delete(order);
      this.look(order.id);
    }
  }

  posted(id: string, order: Extract<Order, Clearing | Forgetting>): void {
    const mail = this.#mail["clear" in order ? "clear" : "forget"];
    mail.set(id, (mail.get(id) ?? 0) + 1);
    this.look(id);
  }

  mailEnds(id: string, order: Extract<Order, Clearing | Forgetting>): void {
    const rows = this.world.fleet.disk.devices.get(id)!;
    this.#endings.push({
      id,
      kind: "clear" in order ? "clear" : "forget",
      inboxEnd: rows.inboxFirst + rows.inbox.length,
      outboxEnd: rows.outboxFirst + rows.outbox.length,
    });
    this.world.disturb(this.world.clock.now);
  }

  /** A forgotten device's mail is removed with it. */
  forgotten(id: string): void {
    for (const mail of Object.values(this.#mail)) mail.delete(id);
    this.#endings = this.#endings.filter((it) => it.id !== id);
    this.look(id);
  }

  /** Checks that ended orders were carried out: nothing that waited before is left. */
  override committed(): void {
    for (const { id, kind, inboxEnd, outboxEnd } of this.#endings.splice(0)) {
      const mail = this.#mail[kind];
      const left = mail.get(id)! - 1;
      if (left > 0) mail.set(id, left);
      else mail.delete(id);
      this.look(id);
      const rows = this.world.fleet.disk.devices.get(id)!;
      if (kind === "forget") throw new Violation(`the order to forget ${id} ends, and it is there`);
      if (rows.inboxFirst < inboxEnd || rows.outboxFirst < outboxEnd) {
        throw new Violation(`the order to clear ${id} ends, and what has waited is there`);
      }
    }
  }
}
