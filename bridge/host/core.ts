/**
 * The client core's .wasm as a JavaScript object. What the core is, and what each call does, stands in
 * `client-as/assembly/core.ts`: this is the host's side of the contract written there.
 */
import { createHmac } from "node:crypto";
import { LocalError, type PeerCode } from "../../server/protocol/errors.ts";
import { TAB } from "../../server/protocol/greeting.ts";
import { byteLength, FRAME } from "../../server/protocol/lines.ts";

/** Byte offsets in the core's register block. */
const Register = {
  state: 0,
  ptr: 4,
  len: 8,
  rxRoom: 12,
  timeout: 16,
  dialect: 20,
  txEpoch: 24,
  txFirst: 28,
  rxEpoch: 32,
  rxNext: 36,
  window: 40,
  line: 48,
  nonce: 52,
  wait: 68,
  rxPtr: 72,
  reason: 76,
  connects: 80,
  txNext: 84,
  outbox: 88,
  inbox: 92,
  recent: 96,
  seed: 100,
  idLength: 104,
  suite: 108,
  peerLine: 136,
} as const;

const NONCE_BYTES = 16;
const PROOF_DIGITS = 32;
/** Bytes of dialect 2's hello before the id, and of its welcome before the proof. */
const GREETING = 91;

/** What `poll` asks for. */
export const Event = { none: 0, connect: 1, close: 2, send: 3, message: 4 } as const;

/** What a host can do, for `poll`. */
export const Can = { send: 1, receive: 2 } as const;

/** `Core.state` while messages can be sent. */
export const UP = 3;

/** Why a connection ended, by the core's number. */
const REASONS: readonly PeerCode[] = [
  "LOST",
  "LOST",
  "NO_ANSWER",
  "NO_GREETING",
  "SILENT",
  "STALLED",
  "LINE_TOO_LONG",
  "BAD_LINE",
  "GAP",
  "BAD_POSITION",
  "BAD_GREETING",
  "BAD_PROOF",
];

/** Bytes of the register block. */
const REGISTERS = 140;

/** From here on, the number is this and the server's code for a refusal. */
const REFUSED = 16;

/** How much memory a core gets. */
export interface CoreSize {
  /** Longest text of a message in bytes, 1 (dialect 2: 121) to 32,000. */
  line: number;
  /** Bytes for messages to be sent, `line` + 7 to 16 Mi. */
  outbox: number;
  /** Bytes for messages received, 2 * (`line` + 3) and (dialect 2) `line` + 95 + those of the id, and of
   * metadata with a byte between them, to 16 Mi. */
  inbox: number;
  /** How many received messages are remembered to recognise repeats, 1 to 223. */
  recent: number;
  /** Most messages in the outbox, 1 to 64. */
  window: number;
}

/** What a program on a PC can afford. */
export const pcSize: Readonly<CoreSize> = {
  line: 16 * 1024,
  outbox: 64 * 1024,
  inbox: 64 * 1024,
  recent: 223,
  window: 64,
};

/** What a microcontroller can. */
export const chipSize: Readonly<CoreSize> = {
  line: 512,
  outbox: 1024,
  inbox: 1100,
  recent: 64,
  window: 8,
};

/** @throws {LocalError} BAD_ARGUMENT if the core would run into its own memory, or never send */
function checkSize(options: CoreOptions): void {
  const { line, outbox, inbox, recent, window, dialect } = options;
  // A welcome, with its proof and newline, is a line like any other.
  check("line", line, dialect === 2 ? GREETING + PROOF_DIGITS + 1 - FRAME : 1, 32_000);
  check("outbox", outbox, line + FRAME + 4, 2 ** 24);
  // In dialect 2 a whole line is read behind the hello.
  const hello = GREETING + byteLength(nameOf(options)) + 1;
  const longest = line + FRAME;
  check("inbox", inbox, Math.max(2 * longest, dialect === 2 ? hello + longest : 0), 2 ** 24);
  check("recent", recent, 1, 223);
  check("window", window, 1, 64);
}

function check(name: keyof CoreSize, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new LocalError("BAD_ARGUMENT", `size.${name} must be ${least} to ${most}, not ${value}`);
}

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
}

/** How far a device has got in the stream of messages that its server sends. */
export interface Position {
  /** Names the stream; 0: none is known. */
  epoch: number;
  /** Number of the next message in it. */
  next: number;
}

/** What a core is told at its boot. */
export interface CoreOptions extends CoreSize {
  id: string;
  /** See `LinkOptions`; "": none. */
  metadata?: string | undefined;
  /** In ms. */
  timeout: number;
  dialect: 1 | 2;
  /** Proves the device to the server, and the server to the device. */
  key?: Uint8Array | undefined;
  /** What `Core.position` was before. */
  position?: Position | undefined;
}

/** What the hello ends in. */
function nameOf({ id, metadata }: CoreOptions): string {
  return metadata ? `${id}${TAB}${metadata}` : id;
}

/** One core, booted. `now` is always in ms; see the core's own documentation for the rest. */
export class Core {
  /** The module's functions, for whoever knows of more than the core's. */
  readonly exports: CoreExports;
  #registers: number;
  #view: DataView;
  #key: Uint8Array | undefined;

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
    const host = { hmac: (at = 0, length = 0, to = 0) => this.#hmac(this.#key!, at, length, to) };
    const { exports } = new WebAssembly.Instance(module, { ...imports, host });
    const core = this.exports = exports as unknown as CoreExports;
    this.#registers = core.registers();
    this.#view = new DataView(core.memory.buffer);
    this.boot(options, now);
  }

  /**
   * Boots the core anew: it forgets everything, what it had still to send among that.
   *
   * @throws {LocalError} BAD_ARGUMENT, and nothing is changed
   */
  boot(options: CoreOptions, now: number): void {
    checkSize(options);
    const core = this.exports;
    const { id: _, metadata: __, key, position = { epoch: 0, next: 0 }, ...settings } = options;
    this.#key = key;
    this.#bytes(this.#registers, REGISTERS).fill(0);
    const name = new TextEncoder().encode(`${nameOf(options)}\n`);
    const words = {
      ...settings,
      idLength: name.length,
      suite: key ? 1 : 0,
      seed: randomWord(),
      txEpoch: randomWord() || 1,
      rxEpoch: position.epoch,
      rxNext: position.next,
    };
    for (const [word, value] of Object.entries(words)) {
      this.#view.setUint32(this.#registers + Register[word as keyof typeof words], value, true);
    }
    const end = core.init(0, now);
    const missing = Math.ceil((end - core.memory.buffer.byteLength) / 65536);
    if (missing > 0) core.memory.grow(missing);
    this.#view = new DataView(core.memory.buffer);
    this.#bytes(this.#get("ptr"), name.length).set(name);
  }

  #hmac(key: Uint8Array, at: number, length: number, to: number): void {
    const digits = createHmac("sha256", key).update(this.#bytes(at, length)).digest("hex");
    new TextEncoder().encodeInto(digits.slice(0, PROOF_DIGITS), this.#bytes(to, PROOF_DIGITS));
  }

  #get(register: keyof typeof Register): number {
    return this.#view.getInt32(this.#registers + Register[register], true);
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.exports.memory.buffer, at, length);
  }

  /** What to do now, an `Event`. */
  poll(now: number, can: number): number {
    return this.exports.poll(now, can);
  }

  /** After `Event.send` or `Event.message`: the bytes meant, until the next call. */
  get piece(): Uint8Array {
    return this.#bytes(this.#get("ptr"), this.#get("len"));
  }

  /** After `Event.none`: when to poll again, in ms. */
  get wait(): number {
    return this.#get("wait");
  }

  /** After `Event.none`: how many bytes may be received. */
  get roomToReceive(): number {
    return this.#get("rxRoom");
  }

  get state(): number {
    return this.#get("state");
  }

  /** Why the last connection ended. */
  get reason(): PeerCode {
    const reason = this.#get("reason");
    return reason >= REFUSED ? "REFUSED" : REASONS[reason]!;
  }

  /** The code that the server gave, if the reason is REFUSED. */
  get refusal(): number {
    return this.#get("reason") - REFUSED;
  }

  /** To be kept where it outlives this core, before the `poll` that follows a change. */
  get position(): Position {
    return { epoch: this.#get("rxEpoch") >>> 0, next: this.#get("rxNext") >>> 0 };
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#get("connects");
  }

  /** Longest text that can be written: the server's limit, once that is known, may be lower. */
  get longest(): number {
    return Math.min(this.#get("line"), this.#get("peerLine") >>> 0);
  }

  /** How many messages were accepted, modulo 2^32. */
  get queued(): number {
    return this.#get("txNext") >>> 0;
  }

  /** How many of them left the outbox, modulo 2^32. */
  get done(): number {
    return this.#get("txFirst") >>> 0;
  }

  opened(now: number): void {
    crypto.getRandomValues(this.#bytes(this.#registers + Register.nonce, NONCE_BYTES));
    this.exports.opened(now);
  }

  closed(now: number): void {
    this.exports.closed(now);
  }

  /** Takes bytes from the socket, `roomToReceive` at most. */
  receive(bytes: Uint8Array, now: number): void {
    this.#bytes(this.#get("rxPtr"), bytes.length).set(bytes);
    this.exports.received(bytes.length, now);
  }

  /** The application has the message of `Event.message`. */
  take(): void {
    this.exports.take();
  }

  /** Accepts a message, if there is room (and, without qos, a link). */
  write(text: Uint8Array, qos: boolean): boolean {
    const at = this.exports.room(text.length);
    if (at === 0) return false;
    this.#bytes(at, text.length).set(text);
    return this.exports.write(text.length, qos ? 1 : 0) === 1;
  }
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

let compiled: WebAssembly.Module | undefined;

/** The compiled core. @throws {LocalError} NOT_BUILT */
export function coreModule(): WebAssembly.Module {
  return compiled ??= loadModule(new URL("../../client-as/build/core.wasm", import.meta.url));
}

/**
 * Loads a .wasm of `client-as/build/`.
 *
 * @throws {LocalError} NOT_BUILT if there is no such file
 * @throws {WebAssembly.CompileError} if it is no module
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
