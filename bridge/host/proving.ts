/** Uses a device's key: for the HMACs that its core asks for, and for the seal made from them. */
import { createHmac } from "node:crypto";
import { type KeyedSuite, PROOF_DIGITS, SEALED } from "../../server/protocol/greeting.ts";
import { type SealKeys, sealKeys } from "../../server/protocol/seal.ts";

const NEWLINE = 10;

/** One key, from one greeting to the next. */
export class Proving {
  #sealKeys: SealKeys | undefined;

  constructor(readonly key: Uint8Array, readonly suite: KeyedSuite) {}

  /** Whether everything behind the greeting is sealed. */
  get isSealed(): boolean {
    return this.suite === SEALED;
  }

  /** What it is sealed with, once the server has proven its key. */
  get sealKeys(): SealKeys | undefined {
    return this.#sealKeys;
  }

  /** Another connection begins. */
  begin(): void {
    this.#sealKeys = undefined;
  }

  /** The digits of a proof, or of the mask that hides positions. */
  hmac(text: Uint8Array): string {
    // The device's proof alone is of whole lines: of all that was said.
    if (this.isSealed && text.at(-1) === NEWLINE) this.#sealKeys = sealKeys(this.key, text);
    return createHmac("sha256", this.key).update(text).digest("hex").slice(0, PROOF_DIGITS);
  }
}
