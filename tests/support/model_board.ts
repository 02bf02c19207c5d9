/**
 * A board whose firmware takes deploys, on a real connection: the driver of the host client around a model of the
 * firmware.
 *
 * @module
 */
import { type Core, coreModule, type Position } from "../../bridge/host/core.ts";
import { chipSize } from "../../bridge/host/core_size.ts";
import { ClientDriver } from "../../bridge/host/driver.ts";
import type { BootOptions } from "../../bridge/host/options.ts";
import { ModelFirmware, type ModelOptions } from "./model_firmware.ts";

export interface BoardOptions extends ModelOptions {
  /** Why an application on trial falls back, by its bytes; undefined: it is kept. Default: it is kept. */
  falls?: (wasm: Uint8Array) => string | undefined;
  timeout?: number;
  /** Length of the trial, in ms. Default 20. */
  trial?: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class ModelBoard implements Disposable {
  readonly firmware: ModelFirmware;
  /** Messages that its application got. */
  readonly seen: string[] = [];
  readonly #driver: ClientDriver;
  readonly #options: BoardOptions;
  readonly #boot: BootOptions;
  #position: Position | undefined;
  #unsaid: string[] = [];
  #tellsFall = false; // until that is acknowledged
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(port: number, readonly id: string, options: BoardOptions = {}) {
    this.#options = options;
    const { timeout = 60_000, key } = options;
    this.firmware = new ModelFirmware(options);
    this.#boot = { id, port, timeout, ...(key && { key }) };
    const owner = {
      exchange: (core: Core) => this.#exchange(core),
      canReceive: () => true,
      receive: (text: Uint8Array) => {
        this.seen.push(decoder.decode(text));
        return true;
      },
      told: (text: Uint8Array) => {
        this.#unsaid.push(...this.firmware.hears(decoder.decode(text)));
        if (this.firmware.restarts) this.#later(20, () => this.#restart()); // the answer goes out first
        return true;
      },
      positionChanged: (position: Position) => void (this.#position = position),
      stateChanged: (up: boolean) => {
        if (up) this.#up();
      },
      clock: () => Date.now() % 2 ** 32,
    };
    const boot = { ...this.#boot, metadata: this.firmware.metadata };
    this.#driver = new ClientDriver(owner, coreModule(), {}, boot, chipSize);
    this.#driver.pump();
  }

  get up(): boolean {
    return this.#driver.up;
  }

  #later(ms: number, run: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(run, ms);
  }

  #exchange(core: Core): void {
    if (this.#tellsFall && this.#unsaid.length === 0 && core.queued === core.done) {
      this.firmware.told();
      this.#tellsFall = false;
    }
    while (this.#unsaid.length > 0 && core.write(encoder.encode(this.#unsaid[0]), true)) {
      this.#unsaid.shift();
    }
  }

  #up(): void {
    const { firmware } = this;
    const owed = firmware.up();
    this.#unsaid.push(...owed);
    this.#tellsFall = owed.length > 0;
    if (!firmware.onTrial) return;
    this.#later(this.#options.trial ?? 20, () => {
      const fall = this.#options.falls?.(Uint8Array.from(firmware.runs.written));
      if (fall === undefined) this.#unsaid.push(firmware.pass());
      else firmware.fail(fall);
      if (firmware.restarts) this.#restart();
      else this.#driver.pump();
    });
  }

  #restart(): void {
    if (this.#isClosed) return;
    this.#unsaid = [];
    this.#tellsFall = false;
    this.firmware.boot();
    const position = this.#position;
    this.#driver.boot({
      ...this.#boot,
      metadata: this.firmware.metadata,
      ...(position && { position }),
    });
    this.#driver.pump();
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#driver.close();
  }
}
