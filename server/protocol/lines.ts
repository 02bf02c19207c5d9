/**
 * The bytes of dialect 1: lines of UTF-8 ended by `\n`. An empty line is a keepalive, two lower-case hex
 * digits alone are an ack, and with text after them a message. The same rules as in
 * `client-as/assembly/core.ts`; `tests/vectors/` has the test vectors for both.
 */
import { LocalError, PeerError } from "./errors.ts";

const NEWLINE = 10;

/** Bytes of a line besides its text: two id digits and the newline. */
export const FRAME = 3;

/** First character of a line of the device's own log; applications may not write one. Dialect 2. */
export const LOGGED = "\x01";

/** First character of a text between a server and a device's firmware, which no application sees. Dialect 2. */
export const FIRMWARE = "\x02";

const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The fast decoder: bad UTF-8 becomes U+FFFD. Deno 2.9 takes 0.2 µs for 35 bytes with it, 1.0 µs with the strict one.
 */
const fastDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The lines that a chunk completed, and what is wrong with the line after them, if anything. */
export interface Lines {
  lines: string[];
  error?: PeerError;
}

/** Cuts a stream of bytes into lines, wherever the network has cut it into segments. */
export class LineSplitter {
  #rest = NOTHING;

  /** @param maxBytes Longest line, without its newline, in bytes. */
  constructor(readonly maxBytes: number) {}

  /** Bytes of the unfinished line; never more than `maxBytes`. */
  get held(): number {
    return this.#rest.length;
  }

  /** Takes what was read. `chunk` may be reused afterwards. Not to be called after an error. */
  push(chunk: Uint8Array): Lines {
    const bytes = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    const whole = bytes.subarray(0, end);
    let result: Lines | undefined;
    if (end === 0) result = { lines: [] };
    else if (end <= this.maxBytes) result = decodeAll(whole);
    result ??= decodeEach(whole, this.maxBytes);
    this.#rest = end === bytes.length ? NOTHING : bytes.slice(end);
    if (this.#rest.length > this.maxBytes) result.error ??= tooLong(this.maxBytes);
    return result;
  }
}

/** The usual case: one call decodes everything. Undefined if some byte may be wrong. */
function decodeAll(bytes: Uint8Array): Lines | undefined {
  const text = fastDecoder.decode(bytes);
  if (text.includes("\uFFFD")) return undefined; // or U+FFFD itself was sent
  const lines = text.split("\n");
  lines.pop(); // the empty text after the last newline
  return { lines };
}

function decodeEach(bytes: Uint8Array, maxBytes: number): Lines {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end - start > maxBytes) return { lines, error: tooLong(maxBytes) };
    try {
      lines.push(decoder.decode(bytes.subarray(start, end)));
    } catch (cause) {
      return { lines, error: new PeerError("BAD_UTF8", "a line is not UTF-8", { cause }) };
    }
    start = end + 1;
  }
  return { lines };
}

function tooLong(maxBytes: number): PeerError {
  return new PeerError("LINE_TOO_LONG", `a line is longer than ${maxBytes} bytes`);
}

/** Joins two pieces in new memory. */
export function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The id that a line starts with, 0 to 255, or -1 if it does not start with two lower-case hex digits. */
export function lineId(line: string): number {
  return digit(line.charCodeAt(0)) << 4 | digit(line.charCodeAt(1));
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

const HEX = Array.from({ length: 256 }, (_, id) => id.toString(16).padStart(2, "0"));

const ACKS = HEX.map((id) => `${id}\n`);

/** Formats a message for the wire. */
export function frame(id: number, text: string): string {
  return `${HEX[id]}${text}\n`;
}

/** The ack of the message `id`. */
export function ack(id: number): string {
  return ACKS[id]!;
}

/** The id after this one: 00 is used once, after a boot, then 01 to ff in turn. */
export function nextId(id: number): number {
  return id % 255 + 1;
}

/**
 * Checks a text before it is sent, and removes the newline at its end, if there is one.
 *
 * @throws {LocalError} BAD_TEXT, with the reason
 */
export function checkText(text: string, maxBytes: number): string {
  const line = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (line === "") throw badText("a message cannot be empty: on the wire it would be an ack");
  if (line.startsWith("\0")) {
    throw badText("a message cannot start with \\0: that marks a withdrawn message");
  }
  if (line.startsWith(LOGGED)) {
    throw badText("a message cannot start with \\x01: that marks a line of a device's log");
  }
  if (line.startsWith(FIRMWARE)) {
    throw badText("a message cannot start with \\x02: that is reserved for the firmware");
  }
  if (line.includes("\n")) {
    throw badText("a message must be one line: \\n may only be its last character");
  }
  if (!line.isWellFormed()) throw badText("a message must be well-formed Unicode (lone surrogate)");
  // A UTF-16 unit takes at most three bytes of UTF-8, so most texts need no counting.
  if (line.length * 3 > maxBytes && byteLength(line) > maxBytes) {
    throw badText(
      `a message may have at most ${maxBytes} bytes, this one has ${byteLength(line)}`,
    );
  }
  return line;
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    // Each half of a surrogate pair takes two bytes.
    if (code > 0x7f) bytes += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1;
  }
  return bytes;
}

function badText(message: string): LocalError {
  return new LocalError("BAD_TEXT", message);
}
