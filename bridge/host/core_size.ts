/**
 * How much memory a core gets, and whether that is enough.
 *
 * @module
 */
import { LocalError } from "../../server/protocol/errors.ts";
import {
  EPHEMERAL,
  type KeyedSuite,
  PROOF_DIGITS,
  PUBLIC_KEY_DIGITS,
  TAB,
} from "../../server/protocol/greeting.ts";
import { byteLength, FRAME } from "../../server/protocol/lines.ts";

/** Digits of the core's nonce. */
export const NONCE_DIGITS = 32;
/** Bytes of dialect 2's hello before the id, and of its welcome before the proof. */
const GREETING = 91;

/** Sizes of a core's buffers. */
export interface CoreSize {
  /** Longest text of a message in bytes, 1 (dialect 2: 121, suite 4: 153) to 32,000. */
  line: number;
  /** Bytes for messages to be sent, `line` + 7 to 16 Mi. */
  outbox: number;
  /** Bytes for messages received, at most 16 Mi. At least 2 * (`line` + 3); in dialect 2 also at least `line` + 95
   * (suite 4: 127), plus the bytes of the id, and of the metadata with a byte before it. */
  inbox: number;
  /** How many received messages are remembered to recognise repeats, 1 to 223. */
  recent: number;
  /** Most messages in the outbox, 1 to 64. */
  window: number;
}

/** A core's size, and the options that it must suffice for. */
export interface SizedCore extends CoreSize {
  id: string;
  /** See `ConnectionOptions`; "": none. */
  metadata?: string | undefined;
  dialect: 1 | 2;
  /** Proves the device to the server, and the server to the device. */
  key?: Uint8Array | undefined;
  /** The suite to use with a key. Default 3: everything after the greeting is sealed. */
  suite?: KeyedSuite | undefined;
}

/** The options on which a greeting's length depends. */
interface Spoken {
  dialect?: 1 | 2;
  key?: string | Uint8Array | undefined;
  suite?: KeyedSuite | undefined;
}

/** The size for a program on a PC. */
export const pcSize: Readonly<CoreSize> = {
  line: 16 * 1024,
  outbox: 64 * 1024,
  inbox: 64 * 1024,
  recent: 223,
  window: 64,
};

/** The size for a microcontroller. */
export const chipSize: Readonly<CoreSize> = {
  line: 512,
  outbox: 1024,
  inbox: 1100,
  recent: 64,
  window: 8,
};

/** @throws {LocalError} BAD_ARGUMENT if the core would overwrite its own memory, or never send */
export function checkSize(options: SizedCore): void {
  const { line, outbox, inbox, recent, window } = options;
  check("line", line, leastLine(options), 32_000);
  check("outbox", outbox, line + FRAME + 4, 2 ** 24);
  check("inbox", inbox, leastInbox(options), 2 ** 24);
  check("recent", recent, 1, 223);
  check("window", window, 1, 64);
}

/** Smallest allowed `line`, in bytes: in dialect 2 a welcome, with its proof and newline, must fit into a line. */
export function leastLine(options: Spoken): number {
  if (options.dialect === 1) return 1;
  return GREETING + moreNonce(options) + PROOF_DIGITS + 1 - FRAME;
}

/** Digits of a nonce besides those that the core makes from its registers: in suite 4 nonces are keys. */
export function moreNonce({ key, suite }: Spoken): number {
  return key && suite === EPHEMERAL ? PUBLIC_KEY_DIGITS - NONCE_DIGITS : 0;
}

/** Smallest allowed inbox, in bytes. In dialect 2 a whole line is read behind the hello. */
export function leastInbox(options: SizedCore): number {
  const longest = options.line + FRAME;
  const hello = GREETING + moreNonce(options) + byteLength(nameOf(options)) + 1;
  return Math.max(2 * longest, options.dialect === 2 ? hello + longest : 0);
}

function check(name: keyof CoreSize, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new LocalError("BAD_ARGUMENT", `size.${name} must be ${least} to ${most}, not ${value}`);
}

/** The id and metadata, as they end the hello. */
export function nameOf({ id, metadata }: SizedCore): string {
  return metadata ? `${id}${TAB}${metadata}` : id;
}
