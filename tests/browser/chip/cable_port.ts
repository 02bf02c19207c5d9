/** An emulated board as a port of Web Serial, for tests without a browser; with one there is `page/serial.ts`. */
import { Cable } from "./cable.ts";
import { Chip, type ChipOptions } from "./chip.ts";
import type { Port, PortInfo, Signals } from "../../../bridge/flasher/chip/serial.ts";

export class CablePort extends EventTarget implements Port {
  readonly chip: Chip;
  readonly cable: Cable;
  #readable: ReadableStream<Uint8Array> | null = null;
  #writable: WritableStream<Uint8Array> | null = null;
  /** Every speed at which it was opened. */
  readonly speeds: number[] = [];
  /** Changes bytes from the board. */
  spoil: ((bytes: Uint8Array) => Uint8Array) | undefined;

  constructor(options: ChipOptions = {}) {
    super();
    this.chip = new Chip(options);
    this.cable = new Cable(this.chip);
  }

  get readable(): ReadableStream<Uint8Array> | null {
    return this.#readable;
  }

  get writable(): WritableStream<Uint8Array> | null {
    return this.#writable;
  }

  getInfo(): PortInfo {
    return { usbVendorId: 0x1a86, usbProductId: 0x7523 };
  }

  // deno-lint-ignore require-await -- it rejects, as the browser's does
  async open({ baudRate }: { baudRate: number }): Promise<void> {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    this.cable.open(baudRate, {
      data: (bytes) => source?.enqueue(this.spoil?.(bytes) ?? bytes),
      lost: () => {
        this.#readable = this.#writable = null;
        source?.error(new DOMException("The device has been lost.", "NetworkError"));
        this.dispatchEvent(new Event("disconnect"));
      },
    });
    this.speeds.push(baudRate);
    this.#readable = new ReadableStream({
      start: (controller) => void (source = controller),
      cancel: () => void (source = undefined),
    });
    this.#writable = new WritableStream({ write: (bytes) => this.cable.write(bytes) });
  }

  async close(): Promise<void> {
    await this.#readable?.cancel();
    await this.#writable?.close();
    this.#readable = this.#writable = null;
    this.cable.close();
  }

  // deno-lint-ignore require-await -- it rejects, as the browser's does
  async setSignals({ dataTerminalReady, requestToSend }: Signals): Promise<void> {
    this.cable.setLines({
      ...(dataTerminalReady === undefined ? {} : { dtr: dataTerminalReady }),
      ...(requestToSend === undefined ? {} : { rts: requestToSend }),
    });
  }
}
