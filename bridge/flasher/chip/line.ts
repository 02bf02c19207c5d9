/**
 * The serial line under esptool-js, in place of its own `Transport`. That one polls for bytes with a 1 ms timer (4 ms
 * in a browser), copies a packet again for each of its bytes, silently drops writes when the board is unplugged and
 * then waits for their answers, one timeout after the other, and never closes a port in which a write hangs.
 *
 * @module
 */
import type { Transport } from "esptool-js";
import { FlashError } from "./errors.ts";
import { BUFFER, type Port } from "./serial.ts";

/** The methods that esptool-js calls. */
type Needed = Omit<
  { [K in keyof Transport]: Transport[K] },
  | "appendArray"
  | "device"
  | "flushOutput"
  | "rawRead"
  | "returnTrace"
  | "setDeviceLostCallback"
  | "slipReaderEnabled"
  | "slipWriter"
  | "updateDevice"
  | "waitForUnlock"
>;

const END = 0xc0, ESC = 0xdb, ESC_END = 0xdc, ESC_ESC = 0xdd;

/** How long closing an unplugged port may take before it counts as closed, in ms. */
const CLOSING = 2000;
/** How long the adapter may take for a packet, in ms: 16 KB take 1.5 s at 115200 baud. */
const WRITING = 15_000;

export class Line implements Needed {
  tracing = false;
  baudrate = 0;
  _DTR_state = false;
  /** Bytes received since the port was first opened. */
  heard = 0;

  #input = new Uint8Array(0);
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> = Promise.resolve();
  #wake = () => {};
  #lost: FlashError | undefined;
  #closing = false;
  readonly #gone = Promise.withResolvers<never>();
  readonly #onDisconnect = () => this.#lose("the port is gone");

  constructor(readonly port: Port) {
    this.#gone.promise.catch(() => {}); // whoever waits for it gets the error; often nobody does
    port.addEventListener("disconnect", this.#onDisconnect);
  }

  async connect(baud = 115200): Promise<void> {
    try {
      await this.port.open({ baudRate: baud, bufferSize: BUFFER });
    } catch (cause) {
      throw new FlashError("PORT_BUSY", `the port does not open: ${text(cause)}`, undefined, {
        cause,
      });
    }
    this.baudrate = baud;
  }

  async disconnect(): Promise<void> {
    this.#closing = true;
    // They reject if the port is gone, and may never settle.
    await soon(this.#reader?.cancel(), CLOSING);
    await soon(this.#reading, CLOSING);
    await soon(this.port.close(), CLOSING);
    this.#input = new Uint8Array(0);
    this.#closing = false;
  }

  /** Disconnects, and forgets the port. */
  async dispose(): Promise<void> {
    this.port.removeEventListener("disconnect", this.#onDisconnect);
    await this.disconnect();
  }

  async changeBaudrate(baud: number): Promise<boolean> {
    await this.disconnect();
    await this.connect(baud);
    void this.readLoop();
    return true;
  }

  readLoop(): Promise<void> {
    this.#reading = this.#readAll();
    return this.#reading;
  }

  async #readAll(): Promise<void> {
    // Framing errors and the like end a stream, not the port, which then has a new stream.
    while (this.port.readable && !this.#lost) {
      const reader = this.port.readable.getReader();
      this.#reader = reader;
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return this.#closing ? undefined : this.#lose("it ended");
          this.heard += value.length;
          const input = new Uint8Array(this.#input.length + value.length);
          input.set(this.#input);
          input.set(value, this.#input.length);
          this.#input = input;
          this.#wake();
        }
      } catch (error) {
        const passing = ["BufferOverrunError", "BreakError", "FramingError", "ParityError"];
        if (!(error instanceof Error && passing.includes(error.name))) {
          return this.#lose(text(error));
        }
      } finally {
        this.#reader = undefined;
        reader.releaseLock();
      }
    }
    if (!this.#lost && this.port.readable === null) this.#lose("the port has closed");
  }

  #lose(why: string): void {
    this.#lost ??= new FlashError("LOST", `the connection to the board was lost: ${why}`);
    this.#gone.reject(this.#lost);
    this.#wake();
  }

  /** Sends a packet. */
  async write(data: Uint8Array): Promise<void> {
    const framed = new Uint8Array(2 * data.length + 2);
    let length = 0;
    framed[length++] = END;
    for (const byte of data) {
      if (byte === END || byte === ESC) {
        framed[length++] = ESC;
        framed[length++] = byte === END ? ESC_END : ESC_ESC;
      } else framed[length++] = byte;
    }
    framed[length++] = END;
    if (this.#lost) throw this.#lost;
    const writer = this.port.writable?.getWriter();
    if (!writer) throw new FlashError("LOST", "the connection to the board was lost");
    let timer;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the adapter takes no data")), WRITING);
    });
    try {
      await Promise.race([writer.write(framed.slice(0, length)), this.#gone.promise, late]);
    } catch (error) {
      void writer.abort(error).catch(() => {}); // a hanging write would keep the port locked
      this.#lose(text(error));
      throw this.#lost;
    } finally {
      clearTimeout(timer);
      writer.releaseLock();
    }
  }

  /**
   * The next packet. Throws when nothing comes for `timeout` ms, at noise between packets, and at once
   * when the port is gone.
   */
  async read(timeout: number): Promise<Uint8Array> {
    let packet: number[] | undefined;
    let escaped = false;
    for (;;) {
      const input = await this.#next(timeout);
      for (let at = 0; at < input.length; at++) {
        const byte = input[at]!;
        if (packet === undefined) {
          if (byte !== END) throw new Error(`noise on the line (${byte.toString(16)})`);
          packet = [];
        } else if (escaped) {
          if (byte !== ESC_END && byte !== ESC_ESC) throw new Error("noise in a packet");
          packet.push(byte === ESC_END ? END : ESC);
          escaped = false;
        } else if (byte === ESC) escaped = true;
        else if (byte === END) {
          this.#input = input.slice(at + 1);
          return Uint8Array.from(packet);
        } else packet.push(byte);
      }
    }
  }

  /** Waits for bytes, and returns all of them. */
  async #next(timeout: number): Promise<Uint8Array> {
    if (this.#input.length === 0 && !this.#lost) {
      let timer;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, timeout);
      });
      clearTimeout(timer);
    }
    if (this.#lost) throw this.#lost;
    if (this.#input.length === 0) throw new Error(`no answer within ${timeout} ms`);
    const input = this.#input;
    this.#input = new Uint8Array(0);
    return input;
  }

  /** Discards what arrives until the line has been quiet for `quietMs`, but for at most `maxMs`. */
  async drainInput(quietMs = 100, maxMs = 400): Promise<void> {
    for (let waited = 0, before = -1; waited < maxMs && before !== this.heard; waited += quietMs) {
      before = this.heard;
      await sleep(quietMs);
    }
    this.flushInput();
  }

  flushInput(): void {
    this.#input = new Uint8Array(0);
  }

  inWaiting(): number {
    return this.#input.length;
  }

  peek(): Uint8Array {
    return this.#input;
  }

  // Some Windows drivers pass RTS on only when DTR is set as well.
  async setRTS(state: boolean): Promise<void> {
    await this.setSignals(this._DTR_state, state);
  }

  async setDTR(state: boolean): Promise<void> {
    this._DTR_state = state;
    await this.#signal({ dataTerminalReady: state });
  }

  async setSignals(dtr = this._DTR_state, rts = false): Promise<void> {
    this._DTR_state = dtr;
    await this.#signal({ dataTerminalReady: dtr, requestToSend: rts });
  }

  async #signal(signals: Parameters<Port["setSignals"]>[0]): Promise<void> {
    if (this.#lost) throw this.#lost;
    try {
      await this.port.setSignals(signals);
    } catch (error) {
      this.#lose(text(error));
      throw this.#lost;
    }
  }

  getInfo(): string {
    return "";
  }

  getVid(): number | undefined {
    return this.port.getInfo().usbVendorId;
  }

  getPid(): number | undefined {
    return this.port.getInfo().usbProductId;
  }

  trace(): void {}

  hexify(): string {
    return "";
  }

  hexConvert(): string {
    return "";
  }
}

/** A pause that the chip requires. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until a promise settles, successfully or not, for at most `ms`. */
async function soon(promise: Promise<unknown> | undefined, ms: number): Promise<void> {
  let timer;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
  await Promise.race([promise?.catch(() => {}), late]);
  clearTimeout(timer);
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
