/** The board's program on the serial line, at 115200 baud. */
import { FlashError } from "../chip/errors.ts";
import { BUFFER, type Port, restart, SLOW } from "../chip/serial.ts";
import { type Frame, FrameReader } from "../../formats/improv.ts";
import { LineReader } from "./lines.ts";

export interface ConsoleEvents {
  line(text: string): void;
  /** A frame of Improv-Serial; frames come between the lines. */
  frame(frame: Frame): void;
  /** Bytes arrived that are not text. */
  noise?(): void;
  /** The port is gone. Not called after `close`. */
  lost(error: FlashError): void;
}

export class Console {
  readonly #port: Port;
  readonly #events: ConsoleEvents;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> = Promise.resolve();
  #changing: Promise<void> = Promise.resolve();
  #paused = false;
  #baud = SLOW;
  #closed = false;

  private constructor(port: Port, events: ConsoleEvents) {
    this.#port = port;
    this.#events = events;
  }

  /**
   * Opens the port, and restarts the board's program if asked to, so that its first line is received.
   *
   * @throws {FlashError} PORT_BUSY, LOST
   */
  static async open(port: Port, events: ConsoleEvents, fromStart: boolean): Promise<Console> {
    await open(port, SLOW);
    const console = new Console(port, events);
    console.#reading = console.#read();
    try {
      if (fromStart) await console.restart();
      return console;
    } catch (error) {
      await console.close();
      throw error;
    }
  }

  /** Restarts the board's program, and listens at the firmware's speed. @throws {FlashError} LOST */
  async restart(): Promise<void> {
    await this.#changing;
    if (this.#baud !== SLOW) return await this.listenAt(SLOW, true);
    try {
      await restart(this.#port);
    } catch (cause) {
      throw new FlashError("LOST", "the connection to the board was lost", undefined, { cause });
    }
  }

  /**
   * Listens at another speed from now on. Nothing is received or sent while the port is reopened; if it is gone, `lost`
   * is called as usual.
   *
   * @param fromStart whether to restart the board's program then
   */
  async listenAt(baudRate: number, fromStart: boolean): Promise<void> {
    // One after the other: somebody may restart the board meanwhile.
    this.#changing = this.#changing.then(() => this.#change(baudRate, fromStart));
    await this.#changing;
  }

  async #change(baudRate: number, fromStart: boolean): Promise<void> {
    if (this.#closed) return;
    this.#paused = true;
    await this.#stop();
    await this.#release();
    if (this.#closed) return;
    try {
      await open(this.#port, baudRate);
    } catch (error) {
      this.#closed = true;
      return this.#events.lost(error as FlashError);
    }
    this.#baud = baudRate;
    this.#paused = false;
    this.#reading = this.#read();
    try {
      if (fromStart) await restart(this.#port);
    } catch { // it is gone, and its reader reports it
    }
  }

  /** Sends bytes to the board's program. @throws {FlashError} LOST */
  async send(bytes: Uint8Array): Promise<void> {
    const writer = this.#port.writable?.getWriter();
    try {
      if (!writer) throw new Error("the port is closed");
      await writer.write(bytes);
    } catch (cause) {
      throw new FlashError("LOST", "the connection to the board was lost", undefined, { cause });
    } finally {
      writer?.releaseLock();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#changing;
    await this.#stop();
    await this.#release();
  }

  async #stop(): Promise<void> {
    try {
      await this.#reader?.cancel();
      await this.#reading;
    } catch { // the port is gone, and with it everything unread
    }
  }

  /** To the browser an unplugged port is still open, and could not be opened again. */
  async #release(): Promise<void> {
    try {
      await this.#port.close();
    } catch { // it was closed already
    }
  }

  async #read(): Promise<void> {
    const lines = new LineReader();
    const frames = new FrameReader();
    let why: unknown = "it ended";
    while (this.#port.readable && !this.#closed && !this.#paused) {
      const reader = this.#port.readable.getReader();
      this.#reader = reader;
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          const pieces = frames.push(value);
          for (const line of lines.push(pieces.text)) this.#events.line(line);
          if (lines.noisy) this.#events.noise?.();
          for (const frame of pieces.frames) this.#events.frame(frame);
        }
        break;
      } catch (error) {
        // A framing error ends the stream, and the port gets a new one: 74880 baud causes some.
        const passing = ["BufferOverrunError", "BreakError", "FramingError", "ParityError"];
        why = error instanceof Error ? error.message : error;
        if (!(error instanceof Error && passing.includes(error.name))) break;
        this.#events.noise?.();
      } finally {
        reader.releaseLock();
      }
    }
    if (!this.#closed && !this.#paused) {
      this.#closed = true;
      await this.#release();
      this.#events.lost(new FlashError("LOST", `the connection to the board was lost: ${why}`));
    }
  }
}

async function open(port: Port, baudRate: number): Promise<void> {
  try {
    await port.open({ baudRate, bufferSize: BUFFER });
  } catch (cause) {
    throw new FlashError("PORT_BUSY", `the port does not open: ${cause}`, undefined, { cause });
  }
}
