/**
 * The bytes of dialect 1: lines of UTF-8 ended by `\n`. An empty line is a keepalive, two lower-case hex
 * digits alone are an ack, with text behind them a message. The same rules as in
 * `client-as/assembly/core.ts`; `tests/vectors/` holds what both must do.
 */
import { LocalError, PeerError } from "./errors.ts";

const NEWLINE = 10;

/** Bytes of a line beside its text: two id digits and the newline. */
export const FRAME = 3;

/** First character of a text that is a line of the device's own log; nobody may write one. Dialect 2. */
export const LOGGED = "\x01";

/** First character of a text between a server and a device's firmware, which no application sees. Dialect 2. */
export const FIRMWARE = "\x02";

const NOTHING = new Uint8Array(0);

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The fast way: what is no UTF-8 becomes U+FFFD. Deno 2.9 takes 0.2 µs for 35 bytes with it, 1.0 µs with the other. */
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

/** The usual case, fast: one call decodes everything. Undefined if perhaps a byte is wrong somewhere. */
function decodeAll(bytes: Uint8Array): Lines | undefined {
  const text = fastDecoder.decode(bytes);
  if (text.includes("\uFFFD")) return undefined; // or that is what was sent
  const lines = text.split("\n");
  lines.pop(); // what follows the last newline: nothing
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

/** Two pieces as one; it shares no memory with them. */
export function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The id that a line starts with, 0 to 255, or -1 if it starts with no two lower-case hex digits. */
export function lineId(line: string): number {
  return digit(line.charCodeAt(0)) << 4 | digit(line.charCodeAt(1));
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  return code >= 97 && code <= 102 ? code - 87 : -1;
}

const HEX = Array.from({ length: 256 }, (_, id) => id.toString(16).padStart(2, "0"));

const ACKS = HEX.map((id) => `${id}\n`);

/** A message on the wire. */
export function frame(id: number, text: string): string {
  return `${HEX[id]}${text}\n`;
}

/** The ack of the message `id`. */
export function ack(id: number): string {
  return ACKS[id]!;
}

/** The id after this one: 00 comes once, after a boot, then 01 to ff again and again. */
export function nextId(id: number): number {
  return id % 255 + 1;
}

/**
 * A text as it may be sent: the newline at its end, if there is one, is removed.
 *
 * @throws {LocalError} BAD_TEXT, with the reason
 */
export function checkText(text: string, maxBytes: number): string {
  const line = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (line === "") throw badText("a message cannot be empty: on the wire it would be an ack");
  if (line.startsWith("\0")) throw badText("a message cannot start with \\0: that withdraws it");
  if (line.startsWith(LOGGED)) throw badText("a message cannot start with \\x01: that is for logs");
  if (line.startsWith(FIRMWARE)) {
    throw badText("a message cannot start with \\x02: that is between server and firmware");
  }
  if (line.includes("\n")) {
    throw badText("a message is one line: \\n may only be its last character");
  }
  if (!line.isWellFormed()) throw badText("a message must be well-formed Unicode (lone surrogate)");
  // No UTF-16 unit takes more than three bytes of UTF-8: most texts need no counting.
  if (line.length * 3 > maxBytes && byteLength(line) > maxBytes) {
    throw badText(
      `a message may have ${maxBytes} bytes, this one has ${byteLength(line)}`,
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
