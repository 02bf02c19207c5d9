/** Mail between the processes of a fleet, as one of them posts it and takes it. */
import { explainFate } from "../protocol/expiry.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Mail } from "../store/fleet.ts";
import type { Ledger } from "../store/ledger.ts";
import type { Deed } from "../store/transaction.ts";
import type { DeviceDriver } from "./device_driver.ts";
import { type Errand, ErrandTransfer, parseErrand, Posting } from "./errands.ts";
import type { Turn } from "./turn.ts";

/** What it needs of the server. */
export interface PostOfficeHost {
  readonly turn: Turn;
  /** A device that is here. */
  find(id: string): DeviceDriver | undefined;
  /** Makes a deed of what is to be done with a device that is here. @throws {LocalError} */
  deed(device: DeviceDriver, errand: Errand): Deed;
  /** What was posted for a device cannot be done, and never will be. */
  refused(device: DeviceDriver, errand: Errand | undefined, error: LocalError): void;
}

/** Reasons for which mail waits: they pass, or another process has the device. */
const WAITS: ReadonlySet<string> = new Set(["CLOSED", "FENCED", "OUTBOX_FULL", "STORE_FAILED"]);

export class PostOffice {
  readonly #host: PostOfficeHost;
  #posts = 0;
  /** Mail that is being done, or was: until a beat that has begun afterwards can bring it no more. */
  readonly #taken = new Map<number, { readonly ledger: Ledger; isSafe: boolean }>();
  #old: number[] = [];

  constructor(host: PostOfficeHost) {
    this.#host = host;
  }

  /** A part of a transaction that posts something. */
  posting(id: string, errand: Errand): Posting {
    return new Posting(id, errand, ++this.#posts);
  }

  /** A beat begins: what is safe by now, it will not bring. */
  asks(): void {
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
      if (device && this.#taken.get(each.number)?.ledger !== device.ledger) {
        this.#takeOne(device, each);
      }
    }
  }

  #takeOne(device: DeviceDriver, { number, text, age }: Mail): void {
    const errand = parseErrand(text);
    try {
      if (!errand) throw new LocalError("BAD_ARGUMENT", "nobody here knows what that is");
      this.#do(device, number, this.#host.deed(device, aged(errand, age)), errand);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      this.#failed(device, number, errand, error);
    }
  }

  #do(
    device: DeviceDriver,
    number: number,
    deed: Deed | undefined,
    errand: Errand | undefined,
    safe = () => {},
  ): void {
    const { ledger } = device;
    const entry = { ledger, isSafe: false };
    this.#taken.set(number, entry);
    const done = () => {
      entry.isSafe = true;
      safe();
    };
    this.#host.turn.transfer(
      new ErrandTransfer(ledger, number, deed, done, (error) => {
        if (this.#taken.get(number) === entry) this.#taken.delete(number);
        this.#failed(device, number, errand, error);
      }),
    );
  }

  #failed(
    device: DeviceDriver,
    number: number,
    errand: Errand | undefined,
    error: unknown,
  ): void {
    if (!(error instanceof LocalError)) throw error;
    if (WAITS.has(error.code) || device.isForgotten) return; // a later beat brings it again, if anybody's
    const told = () => this.#host.refused(device, errand, error);
    this.#do(device, number, undefined, errand, told);
  }
}

/** The same errand, `age` ms later. @throws {LocalError} EXPIRED */
function aged(errand: Errand, age: number): Errand {
  if (!("write" in errand) || errand.options.expires === undefined) return errand;
  const expires = Math.floor(errand.options.expires - age);
  if (expires < 1) throw explainFate("EXPIRED", "device");
  return { ...errand, options: { ...errand.options, expires } };
}
