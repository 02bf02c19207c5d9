/** Uses a device's key: computes the HMACs that its core asks for, and the keys of the seal. */
import { createHmac } from "node:crypto";
import { Ephemeral } from "../../server/protocol/ephemeral.ts";
import {
  EPHEMERAL,
  type KeyedSuite,
  PROOF_DIGITS,
  PUBLIC_KEY_DIGITS,
  SEALED,
} from "../../server/protocol/greeting.ts";
import { type SealKeys, sealKeys } from "../../server/protocol/seal.ts";

const NEWLINE = 10;

const decoder = new TextDecoder();

/** Computes with one device's key, for all its greetings. */
export class Proving {
  #sealKeys: SealKeys | undefined;
  #ephemeral: Ephemeral | undefined;

  constructor(readonly key: Uint8Array, readonly suite: KeyedSuite) {}

  /** Whether everything after the greeting is sealed. */
  get isSealed(): boolean {
    return this.suite >= SEALED;
  }

  /** The keys of the seal, once the server has proven its key; undefined if its ephemeral key shares no secret. */
  get sealKeys(): SealKeys | undefined {
    return this.#sealKeys;
  }

  /** A new connection begins. @returns its ephemeral key, 64 hex digits, in suite 4 */
  begin(): string | undefined {
    this.#sealKeys = undefined;
    this.#ephemeral = this.suite === EPHEMERAL ? new Ephemeral() : undefined;
    return this.#ephemeral?.publicKey;
  }

  /** Computes the digits of a proof, or of the mask for positions. */
  hmac(text: Uint8Array): string {
    // Only the device's proof is of a text that ends in a newline: the whole greeting.
    if (this.isSealed && text.at(-1) === NEWLINE) this.#derive(text);
    return createHmac("sha256", this.key).update(text).digest("hex").slice(0, PROOF_DIGITS);
  }

  #derive(greeting: Uint8Array): void {
    const ephemeral = this.#ephemeral;
    this.#ephemeral = undefined;
    // The welcome ends in the server's ephemeral key, its proof and a newline.
    const end = greeting.length - PROOF_DIGITS - 1;
    const theirs = decoder.decode(greeting.subarray(end - PUBLIC_KEY_DIGITS, end));
    const shared = ephemeral?.share(theirs);
    if (this.suite !== EPHEMERAL || shared) {
      this.#sealKeys = sealKeys(this.key, greeting, shared);
    }
  }
}
