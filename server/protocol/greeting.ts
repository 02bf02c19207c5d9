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

/** Separates the id from the metadata. */
export const TAB = "\t";

/** Most bytes of metadata. */
export const METADATA_BYTES = 128;

/** 0: no proof; 2: HMAC-SHA256 truncated to 128 bits; 3: the same, and everything after it in sealed records; 4: the
 * same with an exchange of ephemeral keys. Suite 1, no longer supported, showed the positions to anybody. */
export type Suite = 0 | KeyedSuite;

/** A suite with a key. */
export type KeyedSuite = 2 | 3 | 4;

/** From this suite on everything after the greeting is sealed. */
export const SEALED = 3;

/**
 * The suite whose nonces are ephemeral keys, for forward secrecy: recorded traffic cannot be decrypted with the
 * device's key alone.
 */
export const EPHEMERAL = 4;

/** The fields of a greeting, eight hex digits each, in this order. All are 32 bits, unsigned. */
export interface Greeting {
  /** Epoch of the stream of messages that this end sends. */
  txEpoch: number;
  /** Number of the oldest message that this end still holds, or of its next one. */
  txFirst: number;
  /** Epoch of the other end's stream that this end knows; 0: none. */
  rxEpoch: number;
  /** Number of the message that this end expects next in it. */
  rxNext: number;
  /** Most unacknowledged messages that this end accepts, 1 to 64. */
  window: number;
  /** Most unacknowledged bytes of lines that this end accepts; at least `line` + 3. */
  bytes: number;
  /** Longest text that this end accepts, in bytes. */
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
  /** What the device says about itself: `key=value` pairs separated by spaces; "": nothing. */
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
  if (txEpoch === 0) throw bad("the epoch of a stream cannot be 0");
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

/** A copy that does not keep the whole line in memory. */
function flat(text: string): string {
  return decoder.decode(encoder.encode(text));
}

/** What is wrong with a hello's metadata, which must not be empty; undefined: nothing. */
export function wrongMetadata(metadata: string): string | undefined {
  const bytes = byteLength(metadata);
  if (bytes > METADATA_BYTES) {
    return `metadata may have at most ${METADATA_BYTES} bytes, not ${bytes}`;
  }
  if (!metadata.isWellFormed()) return "metadata must be well-formed Unicode (lone surrogate)";
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(metadata)) return "metadata must not contain control characters";
  if (/^[^ =]+=[^ ]*( [^ =]+=[^ ]*)*$/.test(metadata)) return undefined;
  return "metadata must be key=value pairs with one space between them";
}

/** The value of a key in a hello's metadata; undefined: there is none. */
export function metadatum(metadata: string, key: string): string | undefined {
  const start = `${key}=`;
  return metadata.split(" ").find((pair) => pair.startsWith(start))?.slice(start.length);
}

/** A welcome without its proof and newline. */
export function formatWelcome(suite: Suite, greeting: Greeting, nonce: string): string {
  const words = WORDS.map((word) => greeting[word].toString(16).padStart(8, "0"));
  return `${WELCOME}0${suite}${words.join("")}${nonce}`;
}

/** The fields of a greeting that give an end's position: the first four. */
const POSITIONS = WORDS.slice(0, 4);

/**
 * A greeting with its positions masked or, applied again, unmasked.
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

/** Codes that tell the other end why its hello was refused. */
export const Refusal = {
  /** The server does not admit this id. */
  unknownDevice: 1,
  /** The proof is wrong: the keys differ. */
  badProof: 2,
  /** This id has a key, but the hello came without a proof. */
  proofNeeded: 3,
  /** The server has no key for this id, so it cannot prove its own identity. */
  noKey: 4,
  badGreeting: 5,
  /** Too many connections or devices. */
  full: 6,
  /** The server is about to stop: the device should try its next address. */
  leaving: 7,
  /** The key requires a sealed link, but the hello has a suite without. */
  sealNeeded: 8,
  /** The key requires ephemeral keys, but the hello has another suite. */
  ephemeralNeeded: 9,
} as const;

export function formatRefusal(code: number): string {
  return `${REFUSAL}${code.toString(16).padStart(2, "0")}\n`;
}
