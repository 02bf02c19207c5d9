/** Who may connect: keys, the devices admitted without one, and what a wrong proof costs. */
import { timingSafeEqual } from "node:crypto";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { EPHEMERAL, Refusal, type Suite } from "../protocol/greeting.ts";
import { type DeviceKey, parseDeviceKey } from "../protocol/proof.ts";
import { peerOf } from "../transport/address.ts";

/** Who may connect. */
export interface AccessOptions {
  /** A key for each device that proves who it is: 64 hex digits, or 32 bytes. The prefix "03:" restricts a key to
   * sealed links (suites 03 and 04), "04:" to those with forward secrecy; without a prefix the device chooses the
   * suite. */
  keys?: Iterable<readonly [id: string, key: string | Uint8Array | DeviceKey]>;
  /** Also admits everybody else, without proof, in either dialect. Default false. */
  open?: boolean;
  /** Admits these ids without proof, in dialect 1: stock micropython-iot boards. */
  stock?: Iterable<string>;
}

/** Most connections of one peer that are held before a wrong proof is refused. */
const HELD = 4;

export class Access {
  #keys = new Map<string, DeviceKey>();
  readonly #stock: Set<string>;
  readonly #open: boolean;
  #stockOnly = 0; // stock devices without a key
  /** Number of held connections for each address; the limit on connections bounds it. */
  readonly #held = new Map<string, number>();

  /** @throws {LocalError} BAD_ARGUMENT; NOT_OPEN if nobody could connect */
  constructor({ keys = [], open = false, stock = [] }: AccessOptions) {
    this.#stock = new Set(stock);
    this.setKeys(keys);
    this.#open = open;
    if (!open && this.#keys.size === 0 && this.#stock.size === 0) {
      throw new LocalError(
        "NOT_OPEN",
        "nobody could connect: give keys (--keys FILE), names of stock devices (--stock ID,ID), or " +
          "`open: true` (--open) to admit every device that can reach the port",
      );
    }
  }

  /**
   * Replaces all keys.
   *
   * @returns ids whose key was added, changed or removed
   * @throws {LocalError} BAD_ARGUMENT; nothing has changed then
   */
  setKeys(keys: NonNullable<AccessOptions["keys"]>): Set<string> {
    const old = this.#keys;
    const changed = new Set(old.keys());
    const parsed = new Map<string, DeviceKey>();
    for (const [id, text] of keys) {
      const [key, before] = [parseDeviceKey(id, text), old.get(id)];
      if (parsed.has(id)) {
        throw new LocalError("BAD_ARGUMENT", `there are two keys for ${JSON.stringify(id)}`);
      }
      const same = before?.suite === key.suite && timingSafeEqual(before.bytes, key.bytes);
      // An unchanged key stays the same object: see `keyFor`.
      parsed.set(id, same ? before : key);
      if (same) changed.delete(id);
      else changed.add(id);
    }
    this.#keys = parsed;
    this.#stockOnly = [...this.#stock].filter((id) => !parsed.has(id)).length;
    return changed;
  }

  /**
   * Whether a device of dialect 1 may connect. A device with a key must use it.
   *
   * @param advice Added to a refusal.
   */
  checkStock(id: string, advice?: string): void {
    const options = advice === undefined ? {} : { advice };
    if (this.#keys.has(id)) {
      const message =
        "this id has a key, which dialect 1 cannot prove: use dialect 2 on the device, or remove the key";
      throw new PeerError("NOT_ADMITTED", message, options);
    }
    if (!this.#open && !this.#stock.has(id)) {
      throw new PeerError("NOT_ADMITTED", "neither --open nor --stock admits this id", options);
    }
  }

  /**
   * The key with which a device of dialect 2 must prove its identity; undefined: none. The same object each
   * time, until the key changes.
   *
   * @throws {Refused}
   */
  keyFor({ id, suite }: { id: string; suite: Suite }): Uint8Array | undefined {
    const { bytes: key, suite: least } = this.#keys.get(id) ?? {};
    if (key && suite === 0) throw new Refused(Refusal.proofNeeded, "there is a key for this id");
    if (least !== undefined && suite < least) {
      const [what, code] = least === EPHEMERAL
        ? ["forward secrecy", Refusal.ephemeralNeeded]
        : ["sealed links", Refusal.sealNeeded];
      const message =
        `the key for this id requires ${what} (suite 0${least}), but the hello asks for suite 0${suite}`;
      throw new Refused(code, message);
    }
    if (!key && suite !== 0) throw new Refused(Refusal.noKey, "there is no key for this id");
    if (!key && !this.#open) throw new Refused(Refusal.unknownDevice, "this id has no key");
    return key;
  }

  /** The key of this id, if it has one. */
  keyOf(id: string): Uint8Array | undefined {
    return this.#keys.get(id)?.bytes;
  }

  /** Whether this id has a key or is listed as stock: strangers cannot take its place. */
  names(id: string): boolean {
    return this.#keys.has(id) || this.#stock.has(id);
  }

  /** How many such ids there are. */
  get named(): number {
    return this.#keys.size + this.#stockOnly;
  }

  /** Checks a proof in constant time. @throws {Refused} */
  checkProof(proof: string, expected: string): void {
    const encoder = new TextEncoder();
    const [a, b] = [encoder.encode(proof), encoder.encode(expected)];
    if (a.length === b.length && timingSafeEqual(a, b)) return;
    throw new Refused(
      Refusal.badProof,
      "the proof is wrong: device and server have different keys",
    );
  }

  /** Holds a connection of this peer before its refusal. Returns false if too many are held already. */
  hold(hostname: string): boolean {
    const peer = peerOf(hostname);
    const held = this.#held.get(peer) ?? 0;
    if (held >= HELD) return false;
    this.#held.set(peer, held + 1);
    return true;
  }

  /** A held connection has ended. */
  release(hostname: string): void {
    const peer = peerOf(hostname);
    const held = this.#held.get(peer)!;
    if (held > 1) this.#held.set(peer, held - 1);
    else this.#held.delete(peer);
  }
}

/** A hello of dialect 2 was refused; the other end gets the code. */
export class Refused extends PeerError {
  override name = "Refused";
  constructor(readonly refusal: number, message: string) {
    super(refusal === Refusal.badProof ? "BAD_PROOF" : "NOT_ADMITTED", message);
  }
}
