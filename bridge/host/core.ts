/**
 * The client core's .wasm as a JavaScript object: the host's side of the contract in
 * `client-as/assembly/core.ts`, which describes the core and each call.
 */
import * as R from "../../client-as/assembly/registers.ts";
import { CORE_WASM } from "../../client-as/core_wasm.ts";
import { LocalError, type PeerCode } from "../../server/protocol/errors.ts";
import { PROOF_DIGITS, SEALED } from "../../server/protocol/greeting.ts";
import { FRAME } from "../../server/protocol/lines.ts";
import { Seal } from "../../server/protocol/seal.ts";
import { checkSize, moreNonce, nameOf, NONCE_DIGITS, type SizedCore } from "./core_size.ts";
import { Proving } from "./proving.ts";

const NONCE_BYTES = NONCE_DIGITS / 2;

/** What `poll` asks for. */
export const Event = {
  none: R.NONE,
  connect: R.CONNECT,
  close: R.CLOSE,
  send: R.SEND,
  message: R.MESSAGE,
} as const;

/** What the host can do, for `poll`. */
export const Can = { send: R.CAN_SEND, receive: R.CAN_RECEIVE } as const;

/** `Core.state` while a connection is asked for. */
export const CONNECTING = R.CONNECTING;

/** `Core.state` while messages can be sent. */
export const UP = R.UP;

/** Why a connection ended, by the core's number. */
const REASONS: Readonly<Record<number, PeerCode>> = {
  [R.LOST]: "LOST",
  [R.NO_ANSWER]: "NO_ANSWER",
  [R.NO_GREETING]: "NO_GREETING",
  [R.SILENT]: "SILENT",
  [R.STALLED]: "STALLED",
  [R.LINE_TOO_LONG]: "LINE_TOO_LONG",
  [R.BAD_LINE]: "BAD_LINE",
  [R.GAP]: "GAP",
  [R.BAD_POSITION]: "BAD_POSITION",
  [R.BAD_GREETING]: "BAD_GREETING",
  [R.BAD_PROOF]: "BAD_PROOF",
};

/** The fate of a message, by the core's number. */
const FATES = [undefined, "EXPIRED", "UNDECIDED"] as const;

/** Bytes before the line of an outbox entry, and its flags: see core.ts. */
const OUTBOX_HEADER = 4;
const Flag = { doneWith: 2, withdrawn: 3, late: 4 } as const;

export interface CoreExports {
  memory: WebAssembly.Memory;
  registers(): number;
  init(base: number, now: number): number;
  opened(now: number): void;
  closed(now: number): void;
  received(n: number, now: number): void;
  poll(now: number, can: number): number;
  take(): void;
  room(n: number): number;
  write(n: number, qos: number): number;
  expire(number: number): number;
}

/** A device's position in the stream of messages from its server. */
export interface Position {
  /** Epoch of the stream; 0: unknown. */
  epoch: number;
  /** Number of the next message in it. */
  next: number;
}

/** Where a device continues its own stream of messages. */
export interface TxStream {
  /** Epoch of the stream. */
  epoch: number;
  /** Number of the first message written, modulo 2^32. */
  first: number;
}

/** Options of a core's boot. */
export interface CoreOptions extends SizedCore {
  /** The device's ms, which each hello has instead of the digits of {@linkcode NO_MS} at the end of `metadata`. */
  clock?: (() => number) | undefined;
  /** Silence that counts as an outage, in ms. */
  timeout: number;
  /** An earlier `Core.position`. */
  position?: Position | undefined;
  /** Default: a new stream. Dialect 2. */
  stream?: TxStream | undefined;
}

/** Placeholder for the device's time in metadata: as many digits as 32 bits need. */
export const NO_MS = "ms=0000000000";
const MS_DIGITS = NO_MS.length - "ms=".length;

/** One core, booted. `now` is always in ms; see the core's own documentation for the rest. */
export class Core {
  /** The module's functions, for callers that use more than the core's. */
  readonly exports: CoreExports;
  #registers: number;
  #view: DataView;
  #proving: Proving | undefined;
  #clock: (() => number) | undefined;
  /** Address of the id in memory, after the second half of an ephemeral key. */
  #id = 0;
  /** Address of the time's digits in the hello. */
  #digits = 0;
  /** Address of the outbox in memory. */
  #outbox = 0;

  /**
   * Instantiates a module with the core in it, and boots it.
   *
   * @param imports What the module imports beside the core's own.
   * @throws {LocalError} BAD_ARGUMENT
   */
  constructor(
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
    options: CoreOptions,
    now: number,
  ) {
    const host = { hmac: (at = 0, length = 0, to = 0) => this.#hmac(at, length, to) };
    const { exports } = new WebAssembly.Instance(module, { ...imports, host });
    const core = this.exports = exports as unknown as CoreExports;
    this.#registers = core.registers();
    this.#view = new DataView(core.memory.buffer);
    this.boot(options, now);
  }

  /**
   * Boots the core again: it forgets everything, including messages that it had still to send.
   *
   * @throws {LocalError} BAD_ARGUMENT, and nothing is changed
   */
  boot(options: CoreOptions, now: number): void {
    checkSize(options);
    const core = this.exports;
    const { line, outbox, inbox, recent, window, timeout, dialect, key, suite = SEALED } = options;
    const { position = { epoch: 0, next: 0 } } = options;
    this.#proving = key && new Proving(key, suite);
    this.#bytes(this.#registers, R.SIZE).fill(0);
    const name = new TextEncoder().encode(`${nameOf(options)}\n`);
    this.#set(R.LINE, line);
    this.#set(R.OUTBOX, outbox);
    this.#set(R.INBOX, inbox);
    this.#set(R.RECENT, recent);
    this.#set(R.WINDOW, window);
    this.#set(R.TIMEOUT, timeout);
    this.#set(R.DIALECT, dialect);
    this.#set(R.ID_LEN, moreNonce(options) + name.length);
    this.#set(R.SUITE, key ? suite : 0);
    this.#set(R.SEED, randomWord());
    this.#set(R.TX_EPOCH, randomWord() || 1);
    this.#set(R.RX_EPOCH, position.epoch);
    this.#set(R.RX_NEXT, position.next);
    const end = core.init(0, now);
    this.#outbox = end - outbox;
    if (options.stream) {
      const { epoch, first } = options.stream;
      this.#set(R.TX_EPOCH, epoch);
      this.#set(R.TX_FIRST, first);
      this.#set(R.TX_NEXT, first);
    }
    const missing = Math.ceil((end - core.memory.buffer.byteLength) / 65536);
    if (missing > 0) core.memory.grow(missing);
    this.#view = new DataView(core.memory.buffer);
    const at = this.#id = this.#get(R.PTR) + moreNonce(options);
    this.#bytes(at, name.length).set(name);
    this.#clock = options.metadata?.endsWith(NO_MS) ? options.clock : undefined;
    this.#digits = at + name.length - 1 - MS_DIGITS;
  }

  #hmac(at: number, length: number, to: number): void {
    const digits = this.#proving!.hmac(this.#bytes(at, length));
    new TextEncoder().encodeInto(digits, this.#bytes(to, PROOF_DIGITS));
  }

  /** Whether this connection is sealed after its greeting. */
  get isSealed(): boolean {
    return this.#proving?.isSealed ?? false;
  }

  /** Once the server has proven its key, a new seal for what follows the proof and the welcome. Undefined for an
   * ephemeral key that shares no secret, although the link is up then. */
  get seal(): Seal | undefined {
    const keys = this.#proving?.sealKeys;
    const [own, others] = [this.#get(R.LINE), this.#get(R.PEER_LINE) >>> 0];
    return keys && new Seal(keys.toServer, keys.toDevice, own, others);
  }

  #get(register: number): number {
    return this.#view.getInt32(this.#registers + register, true);
  }

  #set(register: number, value: number): void {
    this.#view.setUint32(this.#registers + register, value, true);
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, at, length);
  }

  /** What to do now, an `Event`. */
  poll(now: number, can: number): number {
    return this.exports.poll(now, can);
  }

  /** After `Event.send` or `Event.message`: its bytes, valid until the next call. */
  get piece(): Uint8Array {
    return this.#bytes(this.#get(R.PTR), this.#get(R.LEN));
  }

  /** After `Event.none`: when to poll again, in ms. */
  get wait(): number {
    return this.#get(R.WAIT);
  }

  /** After `Event.none`: how many bytes may be received. */
  get roomToReceive(): number {
    return this.#get(R.RX_ROOM);
  }

  get state(): number {
    return this.#get(R.STATE);
  }

  /** Why the last connection ended. */
  get reason(): PeerCode {
    const reason = this.#get(R.REASON);
    return reason >= R.REFUSED ? "REFUSED" : REASONS[reason] ?? "LOST"; // 0: no reason was given
  }

  /** The code that the server gave, if the reason is REFUSED. */
  get refusal(): number {
    return this.#get(R.REASON) - R.REFUSED;
  }

  /** After a change it must be stored durably before the next `poll`. */
  get position(): Position {
    return { epoch: this.#get(R.RX_EPOCH) >>> 0, next: this.#get(R.RX_NEXT) >>> 0 };
  }

  /** Only without a link: the message at the position counts as taken. */
  skip(): void {
    this.#set(R.RX_NEXT, this.#get(R.RX_NEXT) + 1);
  }

  /** Epoch of the stream that it sends. It changes if the server claims to have more of it than was sent. */
  get epoch(): number {
    return this.#get(R.TX_EPOCH) >>> 0;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#get(R.CONNECTS);
  }

  /** Longest text that can be written; the server's limit, once known, may lower it. */
  get longest(): number {
    return Math.min(this.#get(R.LINE), this.#get(R.PEER_LINE) >>> 0);
  }

  /** How many messages were accepted, modulo 2^32. */
  get queued(): number {
    return this.#get(R.TX_NEXT) >>> 0;
  }

  /** How many of them left the outbox, modulo 2^32. */
  get done(): number {
    return this.#get(R.TX_FIRST) >>> 0;
  }

  /** The texts in the outbox, oldest first; undefined for one that was withdrawn. Undefined as a whole if the next
   * greeting must first decide about one. Dialect 2. */
  get outbox(): (Uint8Array | undefined)[] | undefined {
    const texts: (Uint8Array | undefined)[] = [];
    const count = this.queued - this.done >>> 0;
    for (let at = this.#outbox; texts.length < count;) {
      const length = this.#view.getUint16(at, true); // length of the line: an id, the text, a newline
      const flags = this.#view.getUint8(at + 3);
      const text = at + OUTBOX_HEADER + 2;
      at += OUTBOX_HEADER + length;
      if (flags === Flag.late) return undefined;
      if (flags === Flag.doneWith) continue; // it has left
      // A message withdrawn before an earlier sleep has a NUL instead of the flag.
      const isWithdrawn = flags === Flag.withdrawn || this.#view.getUint8(text) === 0;
      texts.push(isWithdrawn ? undefined : this.#bytes(text, length - FRAME).slice());
    }
    return texts;
  }

  opened(now: number): void {
    const key = this.#proving?.begin();
    if (key === undefined) {
      crypto.getRandomValues(this.#bytes(this.#registers + R.NONCE, NONCE_BYTES));
    } else this.#sayKey(key);
    if (this.#clock) {
      const ms = (Math.floor(this.#clock()) % 2 ** 32).toString().padStart(MS_DIGITS, "0");
      new TextEncoder().encodeInto(ms, this.#bytes(this.#digits, MS_DIGITS));
    }
    this.exports.opened(now);
  }

  /** Sets the nonce of this connection's hello: the core makes half of the digits, the others are put before the id. */
  #sayKey(key: string): void {
    for (let at = 0; at < NONCE_BYTES; at += 4) {
      this.#set(R.NONCE + at, parseInt(key.slice(at * 2, at * 2 + 8), 16));
    }
    const rest = key.slice(NONCE_DIGITS);
    new TextEncoder().encodeInto(rest, this.#bytes(this.#id - rest.length, rest.length));
  }

  closed(now: number): void {
    this.exports.closed(now);
  }

  /** Passes bytes from the socket to the core, at most `roomToReceive`. */
  receive(bytes: Uint8Array, now: number): void {
    this.#bytes(this.#get(R.RX_PTR), bytes.length).set(bytes);
    this.exports.received(bytes.length, now);
  }

  /** To be called when the application has the message of `Event.message`. */
  take(): void {
    this.exports.take();
  }

  /**
   * Accepts a message, if there is room (and, without qos, a link).
   *
   * @param wasSent Whether an earlier process may have sent it.
   */
  write(text: Uint8Array, qos: boolean, wasSent = false): boolean {
    const at = this.exports.room(text.length);
    if (at === 0) return false;
    this.#bytes(at, text.length).set(text);
    return this.exports.write(text.length, qos ? (wasSent ? 3 : 1) : 0) === 1;
  }

  /**
   * A message is past its deadline. If it may be at the server, call this again before each `poll` until it has left
   * the outbox.
   *
   * @param number Modulo 2^32.
   * @returns its fate, if it was withdrawn now
   */
  expire(number: number): "EXPIRED" | "UNDECIDED" | undefined {
    return FATES[this.exports.expire(number | 0)];
  }

  /** Accepts a placeholder for a withdrawn message: it keeps its number, and nobody will see it. Dialect 2. */
  writeWithdrawn(): boolean {
    const at = this.exports.room(1);
    if (at === 0) return false;
    this.#bytes(at, 1)[0] = 0x2d;
    if (this.exports.write(1, 1) === 0) return false;
    this.#bytes(at, 1)[0] = 0; // `write` refuses NUL
    return true;
  }
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

let compiled: WebAssembly.Module | undefined;

/** The compiled core. */
export function coreModule(): WebAssembly.Module {
  return compiled ??= new WebAssembly.Module(CORE_WASM);
}

/**
 * Loads a .wasm of `client-as/build/`.
 *
 * @throws {LocalError} NOT_BUILT if there is no such file
 * @throws {WebAssembly.CompileError} if it is not a module
 */
export function loadModule(file: URL | string): WebAssembly.Module {
  try {
    return new WebAssembly.Module(Deno.readFileSync(file));
  } catch (cause) {
    if (!(cause instanceof Deno.errors.NotFound)) throw cause;
    const path = file instanceof URL ? file.pathname : file;
    throw new LocalError("NOT_BUILT", `${path} is missing: run \`deno task build\``, { cause });
  }
}
