/** What a device does with its key: the HMACs that its core asks for, and the seal that comes of them. */
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

/** One key, from one greeting to the next. */
export class Proving {
  #sealKeys: SealKeys | undefined;
  #ephemeral: Ephemeral | undefined;

  constructor(readonly key: Uint8Array, readonly suite: KeyedSuite) {}

  /** Whether everything behind the greeting is sealed. */
  get isSealed(): boolean {
    return this.suite >= SEALED;
  }

  /** What it is sealed with, once the server has proven its key; none if its ephemeral key shares no secret. */
  get sealKeys(): SealKeys | undefined {
    return this.#sealKeys;
  }

  /** Another connection begins. @returns its ephemeral key, 64 hex digits, in suite 4 */
  begin(): string | undefined {
    this.#sealKeys = undefined;
    this.#ephemeral = this.suite === EPHEMERAL ? new Ephemeral() : undefined;
    return this.#ephemeral?.publicKey;
  }

  /** The digits of a proof, or of what hides positions. */
  hmac(text: Uint8Array): string {
    // The device's proof alone is of whole lines: of all that was said.
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
