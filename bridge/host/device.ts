import { LocalError, type PeerError } from "../../server/errors.ts";
import { chipSize, type CoreExports, type CoreSize } from "./core.ts";
import { Link, type LinkOptions, now } from "./link.ts";

/** What a simulated board must and can be told. */
export interface BoardOptions extends LinkOptions {
  /** The application, of `client-as/build/`: see {@linkcode loadModule}. */
  application: WebAssembly.Module;
  /** Memory of the core. Default: what it has on a chip. */
  size?: Partial<CoreSize>;
  /** How many times faster than it asks for the application's `onTick` is called. Above 0, default 1. */
  speed?: number;
  /** Called with each line that the application logs. */
  onLog?: (line: string) => void;
  /** Called when the application makes a pin an output, or changes its level: 0 or 1. */
  onPin?: (pin: number, level: number) => void;
}

/** What an application's module exports besides the core. */
interface Application extends CoreExports {
  onStart?(): void;
  onMessage?(ptr: number, length: number): void;
  onState?(up: number): void;
  onTick?(): void;
}

/** What makes a module one that is compiled with the core. */
const CORE_EXPORTS: readonly (keyof CoreExports)[] = [
  "memory",
  "registers",
  "init",
  "opened",
  "closed",
  "received",
  "poll",
  "take",
  "room",
  "write",
];

/** Pins of the simulated board: 0 to 16, without those of the flash. */
const MOST_PIN = 16;
const FLASH_PINS = { from: 6, to: 11 };

/** What `free_memory` says, in bytes: there is no heap that could be measured. */
const FREE_MEMORY = 20_000;

/** More ms than this a timer takes for 1. */
const LONGEST_INTERVAL = 2 ** 31 - 1;

const decoder = new TextDecoder(); // a log shows what it can

/**
 * A board without a board: runs a device application, as it would be flashed, over a real socket. Its
 * pins, clock and log are simulated; `client-as/assembly/board.ts` says what they are to do.
 *
 * ```ts
 * import { Server } from "@holdfast/holdfast";
 * import { Board, loadModule } from "@holdfast/holdfast/client";
 *
 * await using server = await Server.listen({ port: 0, open: true });
 * await using board = new Board({
 *   application: loadModule("client-as/build/main.wasm"),
 *   id: "1",
 *   port: server.port,
 *   speed: 1000, // sends every 5 ms instead of every 5 s
 * });
 * const device = await server.device("1");
 * console.log(await device.readline()); // [1,0,20000]
 * ```
 */
export class Board implements AsyncDisposable {
  /** Settles when the board has stopped: resolves after `close`, rejects if the application failed. */
  readonly ended: Promise<void>;
  /** What the analogue input reads, 0 to 1023. */
  analogue = 0;
  #ended = Promise.withResolvers<void>();
  #outputs = new Map<number, number>();
  #inputs = new Map<number, number>();
  #application: Application;
  #link: Link;
  #speed: number;
  #wasUp = false;
  #timer: ReturnType<typeof setInterval> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Starts the application.
   *
   * @throws {LocalError} BAD_ARGUMENT; also for a module that is no application
   */
  constructor(options: BoardOptions) {
    const { application, speed = 1 } = options;
    if (!(speed > 0)) throw badArgument(`speed must be above 0, not ${speed}`);
    this.#speed = speed;
    this.ended = this.#ended.promise;
    const board = this.#imports(options);
    checkApplication(application, Object.keys(board));
    const owner = {
      exchange: () => {},
      canReceive: () => true,
      receive: (message: Uint8Array) => {
        this.#run(() => this.#application.onMessage?.(message.byteOffset, message.length));
        return true;
      },
      positionChanged: () => {},
      stateChanged: (connected: boolean, reason?: PeerError) => {
        options.onState?.(connected, reason);
        if (connected === this.#wasUp) return; // one more attempt to connect has failed
        this.#wasUp = connected;
        this.#run(() => this.#application.onState?.(connected ? 1 : 0));
      },
    };
    this.#link = new Link(owner, application, { board }, options, { ...chipSize, ...options.size });
    this.#application = this.#link.core.exports;
    this.#run(() => this.#application.onStart?.());
    this.#link.pump();
  }

  /** Whether the link is up at present. */
  get connected(): boolean {
    return this.#link.up;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#link.core.connects;
  }

  /** A pin's level: the application's if that has made it an output, else what `setPin` has set, else 1. */
  pin(pin: number): number {
    return isPin(pin) ? this.#outputs.get(pin) ?? this.#inputs.get(pin) ?? 1 : 0;
  }

  /**
   * Pulls a pin to a level from outside, as a switch does; the application sees it if it is an input.
   *
   * @throws {LocalError} BAD_ARGUMENT if the board has no such pin
   */
  setPin(pin: number, level: number): void {
    if (!isPin(pin)) throw badArgument(`there is no pin ${pin}`);
    this.#inputs.set(pin, level ? 1 : 0);
  }

  #imports({ onLog, onPin }: BoardOptions): Record<string, (...args: number[]) => number | void> {
    return {
      gpio_write: (pin = 0, value = 0) => {
        const level = value ? 1 : 0;
        if (!isPin(pin) || this.#outputs.get(pin) === level) return;
        this.#outputs.set(pin, level);
        onPin?.(pin, level);
      },
      gpio_read: (pin = 0) => this.pin(pin),
      adc_read: () => Math.min(Math.max(Math.trunc(this.analogue), 0), 1023),
      log: (ptr = 0, length = 0) => {
        const { buffer } = this.#application.memory;
        if (ptr >= 0 && length >= 0 && ptr + length <= buffer.byteLength) {
          onLog?.(decoder.decode(new Uint8Array(buffer, ptr, length)));
        }
      },
      millis: now,
      random: () => crypto.getRandomValues(new Int32Array(1))[0]!,
      free_memory: () => FREE_MEMORY,
      every: (ms = 0) => {
        clearInterval(this.#timer);
        if (ms <= 0 || this.#closing) return;
        this.#timer = setInterval(this.#tick, Math.min(ms / this.#speed, LONGEST_INTERVAL));
      },
    };
  }

  #tick = (): void => {
    this.#run(() => this.#application.onTick?.());
    this.#link.pump();
  };

  /** Runs a function of the application. If it traps, there is nothing to go on with. */
  #run(call: () => void): void {
    if (this.#closing) return;
    try {
      call();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#stop();
      this.#ended.reject(error);
    }
  }

  #stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.#closing ??= this.#link.close();
  }

  /** Switches the board off. */
  async close(): Promise<void> {
    await this.#stop();
    this.#ended.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isPin(pin: number): boolean {
  if (!Number.isInteger(pin) || pin < 0 || pin > MOST_PIN) return false;
  return pin < FLASH_PINS.from || pin > FLASH_PINS.to;
}

/** @throws {LocalError} BAD_ARGUMENT */
function checkApplication(module: WebAssembly.Module, board: string[]): void {
  const exports = WebAssembly.Module.exports(module).map(({ name }) => name);
  const lacking = CORE_EXPORTS.find((name) => !exports.includes(name));
  if (lacking) throw badArgument(`this is no application: it does not export \`${lacking}\``);
  const unknown = WebAssembly.Module.imports(module).find(({ module, name, kind }) =>
    module !== "host" && (module !== "board" || kind !== "function" || !board.includes(name))
  );
  if (unknown) {
    throw badArgument(
      `the application imports \`${unknown.module}.${unknown.name}\`, which a board does not have`,
    );
  }
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
