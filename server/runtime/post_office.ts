/**
 * Mail between the processes of a fleet, as one of them posts it and takes it.
 *
 * An order for a device of another process is a row in the table of mail, in the commit in which it is decided.
 * From then on it is accepted, whichever process ends: the one that has the device takes the row in the commit that does
 * what it says, and what waits of it (a message in the outbox, a request) keeps whom to tell. The answer is a row as
 * well, in the commit of which it tells. So nothing is done twice or told without having happened, and nobody but the
 * process that has the device changes anything of it.
 *
 * Mail of one device is done in the order of its numbers: what cannot be done yet holds up what is behind it.
 */
import type { DeviceView } from "../device_view.ts";
import { failure, type Outcome, parseOutcome } from "../link/outcome.ts";
import { explainFate } from "../protocol/expiry.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Answer, Mail } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Deed } from "../store/transaction.ts";
import type { Cleared } from "../link/session.ts";
import type { DeviceDriver } from "./device_driver.ts";
import {
  type Act,
  type Asker,
  type Errand,
  ErrandTransfer,
  isAct,
  isFinal,
  parseErrand,
  Posting,
  PostTransfer,
  type Setting,
  type Taken,
  type Writing,
} from "./errands.ts";
import type { AlsoForgotten } from "./forgetting.ts";
import type { Turn } from "./turn.ts";

/** What it needs of the server. */
export interface PostOfficeHost {
  readonly turn: Turn;
  /** A device that is here. */
  find(id: string): DeviceDriver | undefined;
  /** Makes a deed of an order for a device that is here. @param from Who waits for the outcome */
  deed(device: DeviceDriver, errand: Writing | Setting, from: string | undefined): Deed;
  /** Does something with a device that is here, while nothing is committed. @throws {LocalError} and nothing has changed */
  act(device: DeviceDriver, errand: Act, from: string | undefined): void;
  /** How a device that is here looks. */
  view(device: DeviceDriver): DeviceView;
  /** Has the store forget a device that is here. */
  forget(device: DeviceDriver, also: AlsoForgotten): Promise<Cleared>;
  /** What was posted for a device cannot be done, and never will be. */
  refused(device: DeviceDriver, errand: Errand | undefined, error: LocalError): void;
}

/** A message without qos that has waited for longer, in ms, is not sent: it was for a link that there was. */
const STALE = 2000;

/** Mail that is being done, was done, or waits. */
interface Entry {
  readonly ledger: Ledger;
  /** Who waits for what comes of it, if somebody does. */
  readonly to: string | undefined;
  /** It is in a commit, or has been. */
  isApplied: boolean;
  /** It could not be done, and a later beat brings it again. */
  waits: boolean;
  isSafe: boolean;
  /** With all that waited for the device. */
  isDropped?: boolean;
}

export class PostOffice {
  readonly #host: PostOfficeHost;
  #posts = 0;
  readonly #askers = new Map<number, Asker>();
  /** Mail, by its numbers, until a beat that has begun when it was done can bring it no more. */
  readonly #taken = new Map<number, Entry>();
  #old: number[] = [];

  constructor(host: PostOfficeHost) {
    this.#host = host;
  }

  /** A part of a transaction that posts something. */
  posting(id: string, errand: Errand): Posting {
    return new Posting(id, errand, ++this.#posts);
  }

  /** Takes who waits for an outcome of which another process tells, perhaps. @returns the number under which it does */
  expect(asker: Asker): { number: number; forget(): void } {
    const number = ++this.#posts;
    this.#askers.set(number, asker);
    return { number, forget: () => void this.#askers.delete(number) };
  }

  /** Has something done, and tells what comes of it. @returns forgets who asks */
  ask(id: string, errand: Errand, asker: Asker): () => void {
    const posting = this.posting(id, { ...errand, answers: true });
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

  /** What has come of a post. */
  answered({ number, text }: Answer): void {
    const outcome = parseOutcome(text);
    if (outcome) this.#askers.get(number)?.told(outcome);
  }

  /** Tells those who wait. */
  close(reason: LocalError): void {
    for (const asker of this.#askers.values()) asker.failed(reason);
    this.#askers.clear();
  }

  /** A beat begins: what is safe by now, it will not bring. */
  asks(): void {
    for (const [number, { ledger }] of this.#taken) {
      if (this.#host.find(ledger.id)?.ledger !== ledger) this.#taken.delete(number);
    }
    this.#old = [...this.#taken].filter(([_, { isSafe }]) => isSafe).map(([number]) => number);
  }

  /** What a beat has brought. */
  brings(mail: readonly Mail[]): void {
    for (const number of this.#old) this.#taken.delete(number);
    this.#old = [];
    this.take(mail);
  }

  /** Does what mail says, as far as its devices are here. */
  take(mail: readonly Mail[]): void {
    for (const each of mail) {
      const device = this.#host.find(each.device);
      if (!device) continue;
      const entry = this.#taken.get(each.number);
      if (entry?.isSafe) continue; // also if its device was forgotten, and another one has its id
      if (entry?.ledger !== device.ledger || entry.waits) this.#takeOne(device, each);
    }
  }

  #takeOne(device: DeviceDriver, mail: Mail): void {
    const { number } = mail;
    const { ledger } = device;
    const errand = parseErrand(mail.text);
    const to = errand?.answers && mail.from;
    const entry: Entry = { ledger, to, isApplied: false, waits: false, isSafe: false };
    this.#taken.set(number, entry);
    if (errand && "clear" in errand) return this.#clear(device, entry, number);
    if (errand && "forget" in errand) return this.#forget(device, entry, number);
    if (errand && isAct(errand)) return this.#act(device, errand, entry, number);
    const taken: Taken = {
      number,
      to,
      what: this.#deed(device, errand, mail, to),
      isDone: errand !== undefined && "set" in errand,
      check: () => this.#checkOrder(number, entry),
      applied: (isApplied) => void (entry.isApplied = isApplied),
      over: (error) => {
        entry.isSafe = true;
        // The one who waits for it is told; without one, the log is.
        const isExpired = error?.code === "EXPIRED" && !isOnce(errand);
        if (error && (!to || isExpired)) this.#host.refused(device, errand, error);
      },
      failed: (error) => {
        if (!(error instanceof LocalError)) throw error;
        entry.waits = !entry.isDropped; // a later beat brings it again, if anybody's
      },
    };
    this.#host.turn.transfer(new ErrandTransfer(ledger, taken));
  }

  /** What waits for a device is dropped: also mail in front of this that waits for room. */
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

  /** Something is done at once, and is safe in one commit with the end of its mail. */
  #act(device: DeviceDriver, errand: Act, entry: Entry, number: number): void {
    const { turn } = this.#host;
    const { ledger, to } = entry;
    turn.enter(() => {
      if (device.closed || ledger.removed) return void (entry.waits = true); // whoever has the device by then does it
      let outcome: Outcome;
      try {
        this.#host.act(device, errand, to);
        outcome = { view: this.#host.view(device) };
      } catch (error) {
        if (!(error instanceof LocalError)) throw error;
        if (to === undefined) this.#host.refused(device, errand, error);
        outcome = failure(error);
      }
      ledger.takeMail(number);
      if (to !== undefined) ledger.replied(to, outcome);
      entry.isApplied = true;
      turn.whenSafe(() => entry.isSafe = ledger.removed || !device.closed);
    });
  }

  /** Messages are dropped, as mail says. @param ended The first one says so; the others go with it */
  #settle(dropping: Promise<unknown>, ended: readonly Entry[]): void {
    dropping.then(() => {
      for (const entry of ended) entry.isSafe = true;
    }, (error) => {
      if (!(error instanceof LocalError)) throw error;
      ended[0]!.waits = true; // whoever has the device by then does it
    });
  }

  #deed(
    device: DeviceDriver,
    errand: Writing | Setting | undefined,
    { age }: Mail,
    from: string | undefined,
  ): Deed | LocalError {
    if (!errand) return new LocalError("BAD_ARGUMENT", "nobody here knows what that is");
    try {
      return this.#host.deed(device, aged(errand, age), from);
    } catch (error) {
      if (isFinal(error)) return error;
      throw error;
    }
  }

  /** @throws {LocalError} OUTBOX_FULL: mail that came before waits for room; FENCED: it was dropped */
  #checkOrder(number: number, { ledger, isDropped }: Entry): void {
    if (isDropped) throw new LocalError("FENCED", "it was dropped with all that waited");
    for (const [other, entry] of this.#taken) {
      if (other >= number || entry.ledger !== ledger || entry.isApplied) continue;
      throw new LocalError("OUTBOX_FULL", "what was posted before it waits for room");
    }
  }
}

/** Whether it is a message without qos: only its writer is told that it was not sent. */
function isOnce(errand: Errand | undefined): boolean {
  return errand !== undefined && "write" in errand && errand.options.qos === false;
}

/** The same errand, `age` ms later. @throws {LocalError} EXPIRED */
function aged(errand: Writing | Setting, age: number): Writing | Setting {
  if (!("write" in errand)) return errand;
  const { expires } = errand.options;
  if (isOnce(errand) && age > STALE) throw new LocalError("EXPIRED", "there was no link in time");
  if (expires === undefined) return errand;
  const left = Math.floor(expires - age);
  if (left < 1) throw explainFate("EXPIRED", "device");
  return { ...errand, options: { ...errand.options, expires: left } };
}
