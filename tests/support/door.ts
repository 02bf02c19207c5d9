/**
 * Admission without a server: a door, and guests that connect.
 *
 * @module
 */
import { assertThrows } from "@std/assert";
import { Access, type AccessOptions } from "../../server/admission/access.ts";
import { Admission, type Admitted } from "../../server/admission/admission.ts";
import { defaultLimits, type Limits } from "../../server/link/limits.ts";
import { type DeviceRecord, newState } from "../../server/link/record.ts";
import { Session } from "../../server/link/session.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import { parseKey } from "../../server/protocol/proof.ts";
import { helloLine, parseWelcome, proveLine, type Said, type Welcome } from "./greeting.ts";
import { Records } from "./records.ts";

/** The key of device "1", where it has one. */
export const KEY = "00112233445566778899aabbccddeeff".repeat(2);
export const key = parseKey("1", KEY);

const encoder = new TextEncoder();

/** A server's admission, without the server. */
export class Door {
  readonly store = new Records();
  readonly access: Access;
  readonly limits: Limits;
  now = 1000;
  /** Other servers have the same store. */
  isShared = false;

  constructor(access: AccessOptions = { open: true }, limits: Partial<Limits> = {}) {
    this.access = new Access(access);
    this.limits = { ...defaultLimits, ...limits };
  }

  static withKey(options: AccessOptions = {}): Door {
    return new Door({ keys: [["1", KEY]], ...options });
  }

  record(id = "1"): DeviceRecord {
    const known = this.store.get(id);
    return known ?? this.store.create(id);
  }

  knock(hostname = "10.0.0.1"): Guest {
    const host = {
      access: this.access,
      limits: this.limits,
      isShared: this.isShared,
      record: (id: string) => {
        const known = this.store.get(id);
        if (!known && this.store.size >= this.limits.devices) {
          throw new PeerError("TOO_MANY_DEVICES", "no more");
        }
        return known;
      },
    };
    return new Guest(new Admission(host, hostname), this.store);
  }

  /** A session for the record, as in the server. */
  session(id = "1"): Session {
    return new Session(this.record(id), 2000, this.limits);
  }
}

/** A connection that is not admitted yet. */
export class Guest {
  heard = "";
  admitted: Admitted | undefined;
  #hello = "";

  constructor(readonly admission: Admission, readonly store: Records) {}

  says(text: string | Uint8Array): void {
    let step = this.admission.receive(typeof text === "string" ? encoder.encode(text) : text);
    const { wants } = step;
    if (wants !== undefined) {
      step = this.admission.provide(this.store.get(wants) ?? this.store.ask(wants));
    }
    const { output, admitted } = step;
    this.heard += output;
    this.admitted = admitted;
  }

  /** Sends a hello, and returns the welcome. */
  greets(said: Partial<Said> = {}): Welcome {
    this.#hello = helloLine(said);
    this.says(`${this.#hello}\n`);
    return parseWelcome(this.heard, key);
  }

  /** The `prove` line; it is wrong if `own` is not the server's key. */
  proof(own = key): string {
    return proveLine(own, this.#hello, this.heard.trimEnd());
  }

  get greeting(): { hello: string; welcome: string } {
    return { hello: this.#hello, welcome: this.heard.trimEnd() };
  }

  /** Sends something that is refused; returns the reason, and what it receives. */
  turnedAway(text: string | Uint8Array): [code: string, told: string] {
    const error = assertThrows(() => this.says(text), PeerError);
    return [error.code, this.admission.farewell(error)];
  }
}

/** A record in use: rx 7 of stream 77 is next, tx 3, 4 and 5 wait for their acks. */
export function lively(door: Door): DeviceRecord {
  const record = door.store.create("1", newState(3, { rxEpoch: 77, rxNext: 7, txEpoch: 99 }));
  for (const text of ["three", "four", "five"]) {
    record.write(text, { overtakes: false, qos: true }, 0);
  }
  record.release();
  door.store.commit();
  return record;
}
