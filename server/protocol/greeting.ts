/**
 * The lines that open a connection in dialect 2. `client-as/PROTOCOL.md` has the grammar; the core's own
 * side of it is in `client-as/assembly/core.ts`.
 */
import { PeerError } from "./errors.ts";
import { byteLength } from "./lines.ts";

/** First characters of the lines that dialect 1 does not have. */
export const HELLO = "\x01";
export const WELCOME = "\x02";
export const PROOF = "\x03";
export const REFUSAL = "\x04";

/** Between the name and the metadata. */
export const TAB = "\t";

/** Most bytes of metadata. */
export const METADATA_BYTES = 128;

/** No proof; HMAC-SHA256 cut to 128 bits; the same, and all that follows in sealed records; the same with an exchange of
 * ephemeral keys. Suite 1 told the positions to whoever asked. */
export type Suite = 0 | KeyedSuite;

/** One with a key. */
export type KeyedSuite = 2 | 3 | 4;

/** From this suite on everything behind the greeting is sealed. */
export const SEALED = 3;

/** The suite whose nonces are ephemeral keys: what was recorded cannot be read with the device's key alone. */
export const EPHEMERAL = 4;

/** What an end says about itself, eight hex digits each, in this order. All are 32 bits, unsigned. */
export interface Greeting {
  /** Names the stream of messages that this end sends. */
  txEpoch: number;
  /** Number of the oldest message that this end still holds, or of its next one. */
  txFirst: number;
  /** The stream of the other end that this end knows; 0: none. */
  rxEpoch: number;
  /** Number of the message that this end expects next in it. */
  rxNext: number;
  /** Most messages that this end takes without having acknowledged them, 1 to 64. */
  window: number;
  /** Most bytes of lines, likewise; `line` + 3 at least. */
  bytes: number;
  /** Longest text that this end takes, in bytes. */
  line: number;
}

const WORDS = ["txEpoch", "txFirst", "rxEpoch", "rxNext", "window", "bytes", "line"] as const;
const WORDS_END = 3 + WORDS.length * 8;
export const PROOF_DIGITS = 32;
/** Digits of a nonce: 128 bits, or a key. */
const NONCE_DIGITS = 32;
export const PUBLIC_KEY_DIGITS = 64;

/** A parsed hello. */
export interface Hello2 extends Greeting {
  suite: Suite;
  /** Hex digits: 32, in suite 4 the 64 of the device's ephemeral key. */
  nonce: string;
  id: string;
  /** What the device says about itself, `key=value` pairs with a space between them; "": nothing. */
  metadata: string;
}

/** @throws {PeerError} BAD_GREETING, with the reason */
export function parseHello2(line: string): Hello2 {
  const suite = hexNumber(line.slice(1, 3));
  if (suite === 1) throw bad("suite 1 is no longer supported: update the device's client");
  if (suite !== 0 && suite !== 2 && suite !== SEALED && suite !== EPHEMERAL) {
    throw bad(`suite ${suite} is unknown to this server`);
  }
  const greeting = {} as Greeting;
  for (const [i, word] of WORDS.entries()) {
    greeting[word] = hexNumber(line.slice(3 + i * 8, 11 + i * 8));
  }
  const nonceEnd = WORDS_END + (suite === EPHEMERAL ? PUBLIC_KEY_DIGITS : NONCE_DIGITS);
  const nonce = flat(line.slice(WORDS_END, nonceEnd));
  if (line.length < nonceEnd || !/^[0-9a-f]+$/.test(nonce)) throw bad("the nonce is malformed");
  const { txEpoch, window, bytes, line: longest } = greeting;
  if (txEpoch === 0) throw bad("a stream cannot be named 0");
  if (window < 1 || window > 64) {
    throw bad(`a window of ${window} messages is out of range: 1 to 64`);
  }
  if (longest < 1 || bytes < longest + 3) {
    throw bad(`a credit of ${bytes} bytes does not hold a line of ${longest}`);
  }
  const name = line.slice(nonceEnd);
  const tab = name.indexOf(TAB);
  if (tab < 0) return { suite, ...greeting, nonce, id: name, metadata: "" };
  const metadata = name.slice(tab + 1);
  const wrong = wrongMetadata(metadata);
  if (wrong) throw bad(wrong);
  return {
    suite,
    ...greeting,
    nonce,
    id: flat(name.slice(0, tab)),
    metadata: flat(metadata),
  };
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** A copy that does not keep the line it was cut from. */
function flat(text: string): string {
  return decoder.decode(encoder.encode(text));
}

/** What is wrong with a hello's metadata, if anything; it must not be empty. */
export function wrongMetadata(metadata: string): string | undefined {
  const bytes = byteLength(metadata);
  if (bytes > METADATA_BYTES) {
    return `metadata may have ${METADATA_BYTES} bytes, not ${bytes}`;
  }
  if (!metadata.isWellFormed()) return "metadata must be well-formed Unicode (lone surrogate)";
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(metadata)) return "metadata has a control character";
  if (/^[^ =]+=[^ ]*( [^ =]+=[^ ]*)*$/.test(metadata)) return undefined;
  return "metadata is not key=value pairs with one space between them";
}

/** What a hello's metadata say under a key; undefined: nothing. */
export function metadatum(metadata: string, key: string): string | undefined {
  const start = `${key}=`;
  return metadata.split(" ").find((pair) => pair.startsWith(start))?.slice(start.length);
}

/** A welcome without its proof and newline. */
export function formatWelcome(suite: Suite, greeting: Greeting, nonce: string): string {
  const words = WORDS.map((word) => greeting[word].toString(16).padStart(8, "0"));
  return `${WELCOME}0${suite}${words.join("")}${nonce}`;
}

/** The greeting's words that say how far an end is: the first four. */
const POSITIONS = WORDS.slice(0, 4);

/**
 * A greeting whose positions are hidden, or, if they are, shown.
 *
 * @param mask 32 hex digits.
 */
export function masked(greeting: Greeting, mask: string): Greeting {
  const result = { ...greeting };
  for (const [i, word] of POSITIONS.entries()) {
    const digits = mask.slice(i * 8, i * 8 + 8);
    result[word] = (greeting[word] ^ parseInt(digits, 16)) >>> 0;
  }
  return result;
}

/** 128 random bits. */
export function randomNonce(): string {
  return toHex(crypto.getRandomValues(new Uint8Array(16)));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function hexNumber(digits: string): number {
  if (!/^[0-9a-f]+$/.test(digits)) throw bad(`${JSON.stringify(digits)} is not a hex number`);
  return parseInt(digits, 16);
}

function bad(message: string): PeerError {
  return new PeerError("BAD_GREETING", message);
}

/** Why a hello was refused: what the other end is told. */
export const Refusal = {
  /** The server admits nobody by this id. */
  unknownDevice: 1,
  /** The proof is wrong: the keys differ. */
  badProof: 2,
  /** There is a key for this id, and the hello came without a proof. */
  proofNeeded: 3,
  /** The server has no key for this id, so it cannot prove itself. */
  noKey: 4,
  badGreeting: 5,
  /** Too many connections or devices. */
  full: 6,
  /** The server is about to stop: the device is to try its next address. */
  leaving: 7,
  /** The key is one for sealed links, and the hello is not of such a suite. */
  sealNeeded: 8,
  /** The key is one for links with ephemeral keys, and the hello is not of that suite. */
  ephemeralNeeded: 9,
} as const;

export function formatRefusal(code: number): string {
  return `${REFUSAL}${code.toString(16).padStart(2, "0")}\n`;
}
