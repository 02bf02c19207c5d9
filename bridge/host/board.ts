import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import { LONGEST_TIMER, type Platform } from "../../server/transport/platform.ts";
import { CORE_EXPORTS } from "../../server/protocol/module.ts";
import { type CoreExports, type Position } from "./core.ts";
import { chipSize, type CoreSize, leastLine } from "./core_size.ts";
import { type Fields, readFields } from "./fields.ts";
import { ClientDriver } from "./driver.ts";
import type { BootOptions, ConnectionOptions } from "./options.ts";
import { Kept, KEPT_BYTES, keptPart } from "./kept.ts";
import { type Asleep, DRAIN, Sleep, SLEEPING_WINDOW } from "./sleep.ts";

/** What a board's pins are connected to: implements the imports of `client-as/assembly/board.ts`. */
export interface Wires {
  /** The level of a pin, 0 or 1. It is an input, unless `write` was called for it. */
  read(pin: number): number;
  /** Sets the level of a pin. */
  write(pin: number, level: number): void;
  /** Starts to use two pins as an I2C bus, at this many bits a second. */
  i2cBegin(scl: number, sda: number, hz: number): void;
  /** Writes `bytes`, and returns what `i2c_write` does. */
  i2cWrite(address: number, bytes: Uint8Array): number;
  /** Fills `bytes`, and returns what `i2c_read` does. */
  i2cRead(address: number, bytes: Uint8Array): number;
}

/** Results of `wifi`. */
export const Wifi = { off: 0, joining: 1, up: 2, failed: 3 } as const;

/** Error results of the I2C imports. */
export const I2c = { noDevice: -1, stuck: -2, bad: -3 } as const;

/** The settings of a board. */
export interface BoardSettings extends Omit<ConnectionOptions, "id"> {
  /** Not needed by an application that configures itself. */
  id?: string;
}

/** Options of a simulated board. */
export interface BoardOptions extends BoardSettings {
  /** The application, of `client-as/build/`: see {@linkcode loadModule}. */
  application: WebAssembly.Module;
  /** Memory of the core. Default: what it has on a chip. */
  size?: Partial<CoreSize>;
  /** Speeds up the application's `onTick`, and the time until its link is given up when it wants to sleep, by this
   * factor. Above 0, default 1. */
  speed?: number;
  /** Called with each line that the application logs. */
  onLog?: (line: string) => void;
  /** Called when the application makes a pin an output, or changes its level: 0 or 1. */
  onPin?: (pin: number, level: number) => void;
  /** Called when the application calls `pwm_write`: duty, 0 to 1023, and Hz, 1 to 1000. */
  onPwm?: (pin: number, duty: number, hz: number) => void;
  /** What the pins are connected to. Default: pins that `setPin` pulls, and no I2C device anywhere. */
  wires?: Wires;
  /** What the previous board has kept over its reset. Default: the power was off. */
  kept?: Kept;
  /** Called when the application configures the board, with the fields that it sets. */
  onConfigure?: (fields: Fields) => void;
}

/** Exports of an application's module besides the core's. */
interface Application extends CoreExports {
  onStart?(): void;
  canReceive?(): number;
  onMessage?(ptr: number, length: number): number | void;
  onState?(up: number): void;
  onTick?(): void;
}

/** Exports of every module that is compiled with the core. */
const EXPORTS: readonly (keyof CoreExports)[] = ["memory", ...CORE_EXPORTS];

/** Pins of the simulated board: 0 to 16, without those of the flash. */
const MOST_PIN = 16;
const FLASH_PINS = { from: 6, to: 11 };

/** Greatest duty of `pwm_write`. */
const MOST_DUTY = 1023;
const MOST_HZ = 1000;

/** Result of `free_memory`, in bytes: there is no heap to measure. */
const FREE_MEMORY = 20_000;

const decoder = new TextDecoder(); // not fatal: a log shows what it can

/**
 * A simulated board: runs a device application, as it would be flashed, over a real socket. Its pins,
 * clock and log are simulated; `client-as/assembly/board.ts` describes them.
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
  /** Settles when the board has stopped: resolves after `close`, or when it sleeps; rejects if the application failed. */
  readonly ended: Promise<void>;
  /** What the analogue input reads, 0 to 1023. */
  analogue = 0;
  /** The state of the WiFi that the application sees, one of `Wifi`. It does not affect the socket. */
  wifi: number = Wifi.up;
  #ended = Promise.withResolvers<void>();
  #outputs = new Map<number, number>();
  /** Outputs with PWM. */
  #pulsed = new Set<number>();
  #inputs = new Map<number, number>();
  #application: Application;
  #driver: ClientDriver;
  #options: BoardOptions;
  #speed: number;
  #kept: Kept;
  #wasUp = false;
  /** False until an application that configures itself has done so. */
  #configured = true;
  /** What to boot the link with once the application's call has returned. */
  #next: BootOptions | "restart" | undefined;
  #hasBus = false;
  readonly #sleep: Sleep;
  /** How far its clock is ahead of this process's: it runs on while the board sleeps. */
  #ahead = 0;
  /** The state with which it woke from sleep. */
  readonly #asleep: Asleep | undefined;
  readonly #platform: Platform;
  #cancelTick: (() => void) | undefined;
  #closed = false;

  /**
   * Starts the application.
   *
   * @param platform Clock and network. Default: those of this machine.
   * @throws {LocalError} BAD_ARGUMENT; also for a module that is not an application
   */
  constructor(options: BoardOptions, platform: Platform = nodePlatform) {
    const { application, speed = 1, kept = new Kept() } = options;
    if (!(speed > 0)) throw badArgument(`speed must be above 0, not ${speed}`);
    this.#options = options;
    this.#platform = platform;
    this.#speed = speed;
    this.#kept = kept;
    this.ended = this.#ended.promise;
    const board = { ...this.#imports(options), ...this.#busImports(options) };
    checkApplication(application, Object.keys(board));
    this.#configured = !WebAssembly.Module.imports(application)
      .some(({ module, name }) => module === "board" && name === "configure");
    if (this.#configured && options.id === undefined) throw badArgument("an id is missing");
    const asleep = this.#asleep = kept.asleep;
    kept.asleep = undefined; // once
    if (asleep) this.#ahead = asleep.clock - this.#millis();
    else kept.used = 0;
    const owner = {
      exchange: () => this.#sleep.exchange(),
      canReceive: () => this.#run(() => this.#application.canReceive?.()) !== 0,
      receive: ({ byteOffset, length }: Uint8Array) =>
        this.#run(() => this.#application.onMessage?.(byteOffset, length)) !== 0,
      positionChanged: (position: Position) => this.#kept.position = position,
      clock: () => this.#millis(),
      stateChanged: (connected: boolean, reason?: PeerError | LocalError) => {
        options.onState?.(connected, reason);
        if (connected === this.#wasUp) return; // only another attempt to connect has failed
        this.#wasUp = connected;
        this.#run(() => this.#application.onState?.(connected ? 1 : 0));
      },
    };
    const { size, ...settings } = options;
    const { dialect = 2 } = options;
    const first = { id: "unconfigured", ...settings, position: kept.position, ...this.#stream };
    const coreSize = {
      ...chipSize,
      ...(sleeps(application) && { window: SLEEPING_WINDOW }),
      ...size,
    };
    this.#driver = new ClientDriver(owner, application, { board }, first, coreSize, platform);
    const { core } = this.#driver;
    this.#application = core.exports;
    if (this.#configured) this.#replay();
    this.#sleep = new Sleep({
      core,
      dialect,
      room: () => KEPT_BYTES - kept.used,
      clock: platform,
      drain: DRAIN / speed,
      millis: () => this.#millis(),
      isUp: () => this.connected,
      pump: () => this.#pump(),
      end: () => this.#endLink(),
      asleep: (asleep) => {
        kept.asleep = asleep;
        void this.close();
      },
    });
    this.#run(() => this.#application.onStart?.());
    this.#pump();
  }

  /** Whether the link is up at present. */
  get connected(): boolean {
    return this.#driver.up;
  }

  /** How often the link came up. */
  get connects(): number {
    return this.#driver.core.connects;
  }

  /**
   * A pin's level: that of the application's output (with PWM, the level it mostly has), else what
   * `setPin` has set, else 1.
   */
  pin(pin: number): number {
    if (this.#options.wires) return this.#options.wires.read(pin);
    return isPin(pin) ? this.#outputs.get(pin) ?? this.#inputs.get(pin) ?? 1 : 0;
  }

  /**
   * Pulls a pin to a level from outside, as a switch does; the application sees it on an input.
   *
   * @throws {LocalError} BAD_ARGUMENT if the board has no such pin
   */
  setPin(pin: number, level: number): void {
    if (!isPin(pin)) throw badArgument(`there is no pin ${pin}`);
    this.#inputs.set(pin, level ? 1 : 0);
  }

  /** A range of the application's memory; undefined if it is out of bounds. */
  #memory(ptr: number, length: number): Uint8Array | undefined {
    const { buffer } = this.#application.memory;
    if (ptr < 0 || length < 0 || ptr + length > buffer.byteLength) return undefined;
    return new Uint8Array(buffer, ptr, length);
  }

  #imports(
    { onLog, onPin, onPwm, wires }: BoardOptions,
  ): Record<string, (...args: number[]) => number | void> {
    return {
      gpio_write: (pin = 0, value = 0) => {
        const level = value ? 1 : 0;
        if (wires && isPin(pin)) return wires.write(pin, level);
        if (!isPin(pin)) return;
        if (!this.#pulsed.delete(pin) && this.#outputs.get(pin) === level) return;
        this.#outputs.set(pin, level);
        onPin?.(pin, level);
      },
      pwm_write: (pin = 0, duty = 0, hz = 0) => {
        if (!isPin(pin) || hz < 1 || hz > MOST_HZ) return;
        duty = Math.min(Math.max(duty, 0), MOST_DUTY);
        this.#pulsed.add(pin);
        this.#outputs.set(pin, duty > MOST_DUTY / 2 ? 1 : 0);
        onPwm?.(pin, duty, hz);
      },
      gpio_read: (pin = 0) => isPin(pin) ? this.pin(pin) : 0,
      adc_read: () => Math.min(Math.max(Math.trunc(this.analogue), 0), 1023),
      log: (ptr = 0, length = 0) => {
        const bytes = this.#memory(ptr, length);
        if (bytes) onLog?.(decoder.decode(bytes));
      },
      millis: () => this.#millis(),
      random: () => crypto.getRandomValues(new Int32Array(1))[0]!,
      free_memory: () => FREE_MEMORY,
      every: (ms = 0) => {
        this.#cancelTick?.();
        if (ms > 0 && !this.#closed) this.#tickAfter(Math.min(ms / this.#speed, LONGEST_TIMER));
      },
      configure: (ptr = 0, length = 0) => this.#configure(this.#memory(ptr, length)),
      wifi: () => this.wifi,
      restart: () => void (this.#next = "restart"),
      sleep: (ms = 0) => this.#sleep.ask(ms) ? 1 : 0,
      woke: () => this.#asleep ? 1 : 0,
      keep: (at = 0, ptr = 0, length = 0) => {
        const from = this.#memory(ptr, length);
        const to = keptPart(this.#kept, at, ptr, length);
        if (!from || !to) return 0;
        to.set(from);
        return 1;
      },
      kept: (at = 0, ptr = 0, length = 0) => {
        const to = this.#memory(ptr, length);
        const from = keptPart(this.#kept, at, ptr, length);
        if (!from || !to) return 0;
        to.set(from);
        return 1;
      },
    };
  }

  #busImports({ wires }: BoardOptions): Record<string, (...args: number[]) => number | void> {
    const transfer = (
      direction: "i2cRead" | "i2cWrite",
      [address = 0, ptr = 0, length = 0]: number[],
    ): number => {
      const bytes = this.#memory(ptr, length);
      const isGood = length >= 1 && length <= 255 && address >= 0 && address <= 127;
      if (!this.#hasBus || !bytes || !isGood) return I2c.bad;
      return wires?.[direction](address, bytes) ?? I2c.noDevice;
    };
    return {
      i2c_begin: (scl = 0, sda = 0, hz = 0) => {
        this.#hasBus = isPin(scl) && isPin(sda) && scl !== sda && hz >= 1000 && hz <= 400_000;
        if (this.#hasBus) wires?.i2cBegin(scl, sda, hz);
      },
      i2c_write: (...args) => transfer("i2cWrite", args),
      i2c_read: (...args) => transfer("i2cRead", args),
    };
  }

  /** Prepares the next boot of the link: with the settings, overridden by these fields. */
  #configure(bytes: Uint8Array | undefined): 0 | 1 {
    const fields = bytes && readFields(bytes);
    const { id, host } = { ...this.#options, ...fields };
    if (!fields || id === undefined || host === undefined) return 0;
    const { line, ...given } = fields;
    const size = { ...this.#options.size, ...line !== undefined && { line } };
    const next = { ...this.#options, ...given, id, size, position: this.#kept.position };
    if (next.dialect === 1) delete next.key;
    if (!next.key) delete next.suite;
    if (line !== undefined && line < leastLine(next)) return 0;
    this.#next = next;
    this.#options.onConfigure?.(fields);
    return 1;
  }

  /** Calls the application's `onTick` repeatedly. */
  #tickAfter(ms: number): void {
    this.#cancelTick = this.#platform.after(ms, () => {
      this.#tickAfter(ms);
      this.#run(() => this.#application.onTick?.());
      this.#pump();
    });
  }

  /** Its own stream, which continues after a sleep. */
  get #stream(): Pick<BootOptions, "stream"> {
    return this.#asleep && this.#options.dialect !== 1 ? { stream: this.#asleep.stream } : {};
  }

  /** Writes the messages that waited in a sleep, after a boot with that stream. */
  #replay(): void {
    const { core } = this.#driver;
    for (const text of this.#stream.stream ? this.#asleep!.waiting : []) {
      if (text) core.write(text, true, true);
      else core.writeWithdrawn();
    }
  }

  /** Ends the link before the board sleeps. @returns false if it must not sleep any more */
  #endLink(): boolean {
    if (this.#closed) return false;
    if (this.connected) this.#driver.end(new PeerError("LOST", "the board is about to sleep"));
    return !this.#closed;
  }

  #millis(): number {
    return Math.floor(this.#platform.now()) + this.#ahead;
  }

  #pump(): void {
    if (this.#configured && !this.#closed) this.#driver.pump();
  }

  /** Calls a function of the application. If it traps, the board cannot continue. */
  #run<T>(call: () => T): T | undefined {
    if (this.#closed) return undefined;
    let result: T;
    try {
      result = call();
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      this.#stop();
      this.#ended.reject(error);
      return undefined;
    }
    if (this.#next) this.#startAnew(this.#next);
    return result;
  }

  /** Does what `configure` and `restart` have asked for. */
  #startAnew(next: BootOptions | "restart"): void {
    this.#next = undefined;
    if (next === "restart") {
      void this.close(); // the owner of the board starts another one
      return;
    }
    const wakes = !this.#configured;
    this.#driver.boot(wakes ? { ...next, ...this.#stream } : next);
    if (wakes) this.#replay();
    this.#configured = true;
    this.#wasUp = false;
    this.#run(() => this.#application.onStart?.());
    this.#driver.pump();
  }

  #stop(): void {
    this.#closed = true;
    this.#cancelTick?.();
    this.#sleep.cancel();
    this.#driver.close();
  }

  /** Switches the board off. */
  close(): Promise<void> {
    this.#stop();
    this.#ended.resolve();
    return Promise.resolve();
  }

  /** The same as `close`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isPin(pin: number): boolean {
  if (!Number.isInteger(pin) || pin < 0 || pin > MOST_PIN) return false;
  return pin < FLASH_PINS.from || pin > FLASH_PINS.to;
}

/** Whether an application may ask to sleep. */
function sleeps(application: WebAssembly.Module): boolean {
  return WebAssembly.Module.imports(application)
    .some(({ module, name }) => module === "board" && name === "sleep");
}

/** @throws {LocalError} BAD_ARGUMENT */
function checkApplication(module: WebAssembly.Module, board: string[]): void {
  const exports = WebAssembly.Module.exports(module).map(({ name }) => name);
  const lacking = EXPORTS.find((name) => !exports.includes(name));
  if (lacking) throw badArgument(`this is not an application: it does not export \`${lacking}\``);
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
