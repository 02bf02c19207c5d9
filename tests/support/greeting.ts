/**
 * A device's half of dialect 2's greeting for tests: right, or wrong in any way.
 *
 * @module
 */
import { proofOf } from "../../server/protocol/proof.ts";
import { type Greeting, HELLO, PROOF, REFUSAL, WELCOME } from "../../server/protocol/greeting.ts";

/** A hello's default fields. */
export interface Said extends Greeting {
  suite: string;
  nonce: string;
  id: string;
}

export const saidAtFirst: Readonly<Said> = {
  suite: "00",
  txEpoch: 0xabcdef,
  txFirst: 0,
  rxEpoch: 0,
  rxNext: 0,
  window: 64,
  bytes: 4000,
  line: 512,
  nonce: "0123456789abcdef0123456789abcdef",
  id: "1",
};

/** A hello without its newline. */
export function helloLine(said: Partial<Said> = {}): string {
  const all = { ...saidAtFirst, ...said };
  const words = [all.txEpoch, all.txFirst, all.rxEpoch, all.rxNext, all.window, all.bytes, all.line]
    .map((word) => word.toString(16).padStart(8, "0"));
  return `${HELLO}${all.suite}${words.join("")}${all.nonce}${all.id}`;
}

/** A welcome's fields. */
export interface Welcome extends Greeting {
  suite: string;
  nonce: string;
  /** "" with suite 00. */
  proof: string;
}

/**
 * @param line With or without its newline. @param key Unmasks the positions of suite 02; without it they stay masked.
 */
export function parseWelcome(line: string, key?: Uint8Array): Welcome {
  const text = line.trimEnd();
  if (!isWelcome(text)) throw new Error(`no welcome: ${JSON.stringify(line)}`);
  const suite = text.slice(1, 3);
  const nonceEnd = endOfNonce(suite);
  const nonce = text.slice(59, nonceEnd);
  const mask = key && suite === "02" ? proofOf(key, nonce) : "0".repeat(32);
  const word = (n: number) => parseInt(text.slice(3 + n * 8, 11 + n * 8), 16);
  const position = (n: number) => (word(n) ^ parseInt(mask.slice(n * 8, n * 8 + 8), 16)) >>> 0;
  return {
    suite,
    txEpoch: position(0),
    txFirst: position(1),
    rxEpoch: position(2),
    rxNext: position(3),
    window: word(4),
    bytes: word(5),
    line: word(6),
    nonce,
    proof: text.slice(nonceEnd),
  };
}

/** The device's proof, as a line with its newline; hello and welcome without theirs. */
export function proveLine(key: Uint8Array, hello: string, welcome: string): string {
  return `${PROOF}${proofOf(key, `${hello}\n${welcome}\n`)}\n`;
}

/** The proof that a server's welcome should have. */
export function welcomeProof(key: Uint8Array, hello: string, welcome: string): string {
  return proofOf(key, `${hello}\n${welcome.slice(0, endOfNonce(welcome.slice(1, 3)))}`);
}

/** The end of a greeting's nonce, which is a key in suite 04. */
function endOfNonce(suite: string): number {
  return suite === "04" ? 123 : 91;
}

/** A refusal as received. */
export function refusal(code: string): string {
  return `${REFUSAL}${code}\n`;
}

/** Whether a line is a welcome. */
export function isWelcome(line: string): boolean {
  return line.startsWith(WELCOME);
}
