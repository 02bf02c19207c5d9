/**
 * Mail between the processes of a fleet: one process's side.
 *
 * An order for a device of another process is a row in the table of mail, in the commit in which it is decided. From
 * then on it is accepted, whichever process ends: the one that has the device deletes the row in the commit that
 * carries it out, and what remains of it (a message in the outbox, a request) stores where to report. The answer is
 * also a row, in the commit that it reports. So nothing is done twice or reported without having happened, and only the
 * process that has the device changes it.
 *
 * Mail for one device is carried out in the order of its numbers: mail that cannot be carried out yet holds up later
 * mail.
 */
import type { DeviceView } from "../device_view.ts";
import { failure, type Outcome, parseOutcome } from "../link/outcome.ts";
import { explainFate } from "../protocol/expiry.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Answer, Mail } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Operation } from "../store/transaction.ts";
import type { Cleared } from "../link/session.ts";
import type { DeviceDriver } from "./device_driver.ts";
import {
  type Act,
  type Asker,
  isAct,
  isFinal,
  type Order,
  OrderTransfer,
  parseOrder,
  Posting,
  PostTransfer,
  type Setting,
  type Taken,
  type Writing,
} from "./orders.ts";
import type { AlsoForgotten } from "./forgetting.ts";
import type { Turn } from "./turn.ts";

/** What a `PostOffice` needs from the server. */
export interface PostOfficeHost {
  readonly turn: Turn;
  /** A device in memory. */
  find(id: string): DeviceDriver | undefined;
  /** Makes an operation of an order for a device here. @param from Who waits for the outcome */
  operation(device: DeviceDriver, order: Writing | Setting, from: string | undefined): Operation;
  /**
   * Carries out an order for a device here; called when records may be changed. @throws {LocalError} and nothing has
   * changed
   */
  act(device: DeviceDriver, order: Act, from: string | undefined): void;
  /** The view of a device here. */
  view(device: DeviceDriver): DeviceView;
  /** Makes the store forget a device here. */
  forget(device: DeviceDriver, also: AlsoForgotten): Promise<Cleared>;
  /** Mail for a device can never be carried out. */
  refused(device: DeviceDriver, order: Order | undefined, error: LocalError): void;
}

/** A message without qos that has waited longer than this, in ms, is not sent: it was meant for an earlier link. */
const STALE = 2000;

/** Mail that is being carried out, was carried out, or waits. */
interface Entry {
  readonly ledger: Ledger;
  /** Who waits for the outcome, if anybody. */
  readonly to: string | undefined;
  /** Whether it is, or was, in a commit. */
  isApplied: boolean;
  /** Whether it could not be carried out; then a later beat brings it again. */
  waits: boolean;
  isSafe: boolean;
  /** Whether it was dropped with all queued messages of the device. */
  isDropped?: boolean;
}

export class PostOffice {
  readonly #host: PostOfficeHost;
  #posts = 0;
  readonly #askers = new Map<number, Asker>();
  /** Mail by number, until no beat can bring it again: until one that started after it was done has ended. */
  readonly #taken = new Map<number, Entry>();
  #old: number[] = [];
  /** Ledgers of devices that were acquired since the last beat began. */
  #newer = new WeakSet<Ledger>();

  constructor(host: PostOfficeHost) {
    this.#host = host;
  }

  /** A part of a transaction that posts an order. */
  posting(id: string, order: Order): Posting {
    return new Posting(id, order, ++this.#posts);
  }

  /**
   * Registers a caller that waits for an outcome that another process may report. @returns the number for that report
   */
  expect(asker: Asker): { number: number; forget(): void } {
    const number = ++this.#posts;
    this.#askers.set(number, asker);
    return { number, forget: () => void this.#askers.delete(number) };
  }

  /** Posts an order, and reports its outcome. @returns a function that stops waiting */
  ask(id: string, order: Order, asker: Asker): () => void {
    const posting = this.posting(id, { ...order, answers: true });
    const { number } = posting.post;
    const forget = () => void this.#askers.delete(number);
    this.#askers.set(number, asker);
    this.#host.turn.transfer(
      new PostTransfer(posting, (error) => {
        forget();
        asker.failed(error);
      }),
    );
    return forget;
  }

  /** The answer to a post has come. */
  answered({ number, text }: Answer): void {
    const outcome = parseOutcome(text);
    if (outcome) this.#askers.get(number)?.told(outcome);
  }

  /** Rejects all callers that wait. */
  close(reason: LocalError): void {
    for (const asker of this.#askers.values()) asker.failed(reason);
    this.#askers.clear();
  }

  /** A device was acquired, with the mail that waits for it now; see `brings`. */
  acquired(ledger: Ledger): void {
    this.#newer.add(ledger);
  }

  /** A beat begins: it will not bring mail whose end is already safe. */
  asks(): void {
    this.#newer = new WeakSet();
    for (const [number, { ledger }] of this.#taken) {
      if (this.#host.find(ledger.id)?.ledger !== ledger) this.#taken.delete(number);
    }
    this.#old = [...this.#taken].filter(([_, { isSafe }]) => isSafe).map(([number]) => number);
  }

  /**
   * Handles what a beat has brought. If a device was acquired since it began, its mail may have ended before that:
   * another process has carried it out, or the device was forgotten, and this is a new one with its id.
   */
  brings(mail: readonly Mail[]): void {
    for (const number of this.#old) this.#taken.delete(number);
    this.#old = [];
    this.take(mail.filter(({ device: id }) => {
      const device = this.#host.find(id);
      return device && !this.#newer.has(device.ledger);
    }));
  }

  /** Carries out mail whose devices are here. */
  take(mail: readonly Mail[]): void {
    for (const each of mail) {
      const device = this.#host.find(each.device);
      if (!device) continue;
      const entry = this.#taken.get(each.number);
      if (entry?.ledger !== device.ledger || entry.waits) this.#takeOne(device, each);
    }
  }

  #takeOne(device: DeviceDriver, mail: Mail): void {
    const { number } = mail;
    const { ledger } = device;
    const order = parseOrder(mail.text);
    const to = order?.answers && mail.from;
    const entry: Entry = { ledger, to, isApplied: false, waits: false, isSafe: false };
    this.#taken.set(number, entry);
    if (order && "clear" in order) return this.#clear(device, entry, number);
    if (order && "forget" in order) return this.#forget(device, entry, number);
    if (order && isAct(order)) return this.#act(device, order, entry, number);
    const taken: Taken = {
      number,
      to,
      what: this.#operation(device, order, mail, to),
      isDone: order !== undefined && "set" in order,
      check: () => this.#checkEarlier(number, entry),
      applied: (isApplied) => void (entry.isApplied = isApplied),
      over: (error) => {
        entry.isSafe = true;
        // Its outcome goes to the caller that waits; if there is none, to the log.
        const isExpired = error?.code === "EXPIRED" && !isOnce(order);
        if (error && (!to || isExpired)) this.#host.refused(device, order, error);
      },
      failed: (error) => {
        if (!(error instanceof LocalError)) throw error;
        entry.waits = !entry.isDropped; // a later beat brings it again, if the device is still known
      },
    };
    this.#host.turn.transfer(new OrderTransfer(ledger, taken));
  }

  /** Drops everything that waits for a device, including earlier mail that waits for room. */
  #clear(device: DeviceDriver, entry: Entry, number: number): void {
    const { ledger } = device;
    const ended = [entry];
    const clearing = device.clear((dropped) => {
      const why = failure(new LocalError("CLEARED", "the message was dropped"));
      for (const [other, its] of this.#taken) {
        if (other >= number || its.ledger !== ledger || its.isApplied) continue;
        ledger.takeMail(other);
        if (its.to !== undefined) ledger.replied(its.to, why);
        Object.assign(its, { isApplied: true, waits: false, isDropped: true });
        ended.push(its);
      }
      ledger.takeMail(number);
      if (entry.to !== undefined) ledger.replied(entry.to, dropped);
      entry.isApplied = true;
    });
    this.#settle(clearing, ended);
  }

  #forget(device: DeviceDriver, entry: Entry, number: number): void {
    const { ledger } = device;
    const forgetting = this.#host.forget(device, {
      apply(dropped) {
        ledger.takeMail(number);
        if (entry.to !== undefined) ledger.replied(entry.to, dropped);
        entry.isApplied = true;
      },
      undo() {
        entry.isApplied = false;
        if (entry.to !== undefined) ledger.unreplied();
        ledger.leaveMail(number);
      },
    });
    this.#settle(forgetting, [entry]);
  }

  /** Carries out an order at once, in one commit with the end of its mail. */
  #act(device: DeviceDriver, order: Act, entry: Entry, number: number): void {
    const { turn } = this.#host;
    const { ledger, to } = entry;
    turn.enter(() => {
      if (device.closed || ledger.removed) return void (entry.waits = true); // the process that then has the device carries it out
      let outcome: Outcome;
      try {
        this.#host.act(device, order, to);
        outcome = { view: this.#host.view(device) };
      } catch (error) {
        if (!(error instanceof LocalError)) throw error;
        if (to === undefined) this.#host.refused(device, order, error);
        outcome = failure(error);
      }
      ledger.takeMail(number);
      if (to !== undefined) ledger.replied(to, outcome);
      entry.isApplied = true;
      turn.whenSafe(() => entry.isSafe = ledger.removed || !device.closed);
    });
  }

  /**
   * Waits until messages are dropped. @param ended First the mail that ordered it, then mail that is dropped with it
   */
  #settle(dropping: Promise<unknown>, ended: readonly Entry[]): void {
    dropping.then(() => {
      for (const entry of ended) entry.isSafe = true;
    }, (error) => {
      if (!(error instanceof LocalError)) throw error;
      ended[0]!.waits = true; // the process that then has the device carries it out
    });
  }

  #operation(
    device: DeviceDriver,
    order: Writing | Setting | undefined,
    { age }: Mail,
    from: string | undefined,
  ): Operation | LocalError {
    if (!order) return new LocalError("BAD_ARGUMENT", "this server does not understand the order");
    try {
      return this.#host.operation(device, aged(order, age), from);
    } catch (error) {
      if (isFinal(error)) return error;
      throw error;
    }
  }

  /** @throws {LocalError} OUTBOX_FULL: earlier mail waits for room; FENCED: it was dropped */
  #checkEarlier(number: number, { ledger, isDropped }: Entry): void {
    if (isDropped) throw new LocalError("FENCED", "it was dropped with all queued messages");
    for (const [other, entry] of this.#taken) {
      if (other >= number || entry.ledger !== ledger || entry.isApplied) continue;
      throw new LocalError("OUTBOX_FULL", "earlier mail waits for room");
    }
  }
}

/** Whether it is a message without qos: only its writer learns that it was not sent. */
function isOnce(order: Order | undefined): boolean {
  return order !== undefined && "write" in order && order.options.qos === false;
}

/** The same order, `age` ms later. @throws {LocalError} EXPIRED */
function aged(order: Writing | Setting, age: number): Writing | Setting {
  if (!("write" in order)) return order;
  const { expires } = order.options;
  if (isOnce(order) && age > STALE) throw new LocalError("EXPIRED", "there was no link in time");
  if (expires === undefined) return order;
  const left = Math.floor(expires - age);
  if (left < 1) throw explainFate("EXPIRED", "device");
  return { ...order, options: { ...order.options, expires: left } };
}
