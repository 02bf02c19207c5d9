/**
 * The client core's .wasm as a JavaScript object. What the core is, and what each call does, stands in
 * `client-as/assembly/core.ts`: this is the host's side of the contract written there.
 */
import { LocalError, type PeerCode } from "../../server/errors.ts";

/** Byte offsets in the core's register block. */
const Register = {
  line: 0,
  outbox: 4,
  inbox: 8,
  recent: 12,
  window: 16,
  timeout: 20,
  seed: 24,
  hello: 28,
  ptr: 32,
  len: 36,
  wait: 40,
  rxPtr: 44,
  rxRoom: 48,
  state: 52,
  reason: 56,
  connects: 60,
  queued: 64,
  done: 68,
} as const;

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
];

/** How much memory a core gets. */
export interface CoreSize {
  /** Longest text of a message in bytes, 1 to 65,000. */
  line: number;
  /** Bytes for messages to be sent, `line` + 7 to 16 Mi. */
  outbox: number;
  /** Bytes for messages received, 2 * (`line` + 3) to 16 Mi. */
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
function checkSize({ line, outbox, inbox, recent, window }: CoreSize): void {
  check("line", line, 1, 65_000);
  check("outbox", outbox, line + 7, 2 ** 24);
  check("inbox", inbox, 2 * (line + 3), 2 ** 24);
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

/** One core, booted. `now` is always in ms; see the core's own documentation for the rest. */
export class Core {
  #exports: CoreExports;
  #registers: number;
  #view: DataView;

  /**
   * @param hello The first line: the device's id and a newline.
   * @throws {LocalError} BAD_ARGUMENT
   */
  constructor(
    instance: WebAssembly.Instance,
    hello: Uint8Array,
    { timeout, seed, ...size }: CoreSize & { timeout: number; seed: number },
    now: number,
  ) {
    checkSize(size);
    const core = this.#exports = instance.exports as unknown as CoreExports;
    this.#registers = core.registers();
    this.#view = new DataView(core.memory.buffer);
    const settings = { ...size, timeout, seed, hello: hello.length };
    for (const [name, value] of Object.entries(settings)) {
      this.#view.setUint32(this.#registers + Register[name as keyof typeof Register], value, true);
    }
    const end = core.init(0, now);
    const missing = Math.ceil((end - core.memory.buffer.byteLength) / 65536);
    if (missing > 0) core.memory.grow(missing);
    this.#view = new DataView(core.memory.buffer);
    this.#bytes(this.#get("ptr"), hello.length).set(hello);
  }

  #get(register: keyof typeof Register): number {
    return this.#view.getInt32(this.#registers + Register[register], true);
  }

  #bytes(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer, at, length);
  }

  /** What to do now, an `Event`. */
  poll(now: number, can: number): number {
    return this.#exports.poll(now, can);
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
    return REASONS[this.#get("reason")]!;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#get("connects");
  }

  /** How many messages were accepted, modulo 2^32. */
  get queued(): number {
    return this.#get("queued") >>> 0;
  }

  /** How many of them left the outbox, modulo 2^32. */
  get done(): number {
    return this.#get("done") >>> 0;
  }

  opened(now: number): void {
    this.#exports.opened(now);
  }

  closed(now: number): void {
    this.#exports.closed(now);
  }

  /** Takes bytes from the socket, `roomToReceive` at most. */
  receive(bytes: Uint8Array, now: number): void {
    this.#bytes(this.#get("rxPtr"), bytes.length).set(bytes);
    this.#exports.received(bytes.length, now);
  }

  /** The application has the message of `Event.message`. */
  take(): void {
    this.#exports.take();
  }

  /** Accepts a message, if there is room (and, without qos, a link). */
  write(text: Uint8Array, qos: boolean): boolean {
    const at = this.#exports.room(text.length);
    if (at === 0) return false;
    this.#bytes(at, text.length).set(text);
    return this.#exports.write(text.length, qos ? 1 : 0) === 1;
  }
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
