/** The board's program on the serial line, at 115200 baud. */
import { FlashError } from "../chip/errors.ts";
import { BUFFER, type Port, restart, SLOW } from "../chip/serial.ts";
import { type Frame, FrameReader } from "../../formats/improv.ts";
import { LineReader } from "./lines.ts";

export interface ConsoleEvents {
  line(text: string): void;
  /** A frame of Improv-Serial, which come between the lines. */
  frame(frame: Frame): void;
  /** The port is gone. Not called after `close`. */
  lost(error: FlashError): void;
}

export class Console {
  readonly #port: Port;
  readonly #events: ConsoleEvents;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(port: Port, events: ConsoleEvents) {
    this.#port = port;
    this.#events = events;
  }

  /**
   * Opens the port, and starts the board's program anew if told, so that its first line is heard.
   *
   * @throws {FlashError} PORT_BUSY, LOST
   */
  static async open(port: Port, events: ConsoleEvents, fromStart: boolean): Promise<Console> {
    try {
      await port.open({ baudRate: SLOW, bufferSize: BUFFER });
    } catch (cause) {
      throw new FlashError("PORT_BUSY", `the port does not open: ${cause}`, undefined, { cause });
    }
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

  /** @throws {FlashError} LOST */
  async restart(): Promise<void> {
    try {
      await restart(this.#port);
    } catch (cause) {
      throw new FlashError("LOST", "the connection to the board was lost", undefined, { cause });
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
    try {
      await this.#reader?.cancel();
      await this.#reading;
    } catch { // the port is gone, and with it what was to be read
    }
    await this.#release();
  }

  /** A port that is gone is still open to the browser, and would not open again. */
  async #release(): Promise<void> {
    try {
      await this.#port.close();
    } catch { // or it is not
    }
  }

  async #read(): Promise<void> {
    const lines = new LineReader();
    const frames = new FrameReader();
    let why: unknown = "it ended";
    while (this.#port.readable && !this.#closed) {
      const reader = this.#port.readable.getReader();
      this.#reader = reader;
      try {
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          const pieces = frames.push(value);
          for (const line of lines.push(pieces.text)) this.#events.line(line);
          for (const frame of pieces.frames) this.#events.frame(frame);
        }
        break;
      } catch (error) {
        // A framing error ends the stream, and the port has another: 74880 baud bring some.
        const passing = ["BufferOverrunError", "BreakError", "FramingError", "ParityError"];
        why = error instanceof Error ? error.message : error;
        if (!(error instanceof Error && passing.includes(error.name))) break;
      } finally {
        reader.releaseLock();
      }
    }
    if (!this.#closed) {
      this.#closed = true;
      await this.#release();
      this.#events.lost(new FlashError("LOST", `the connection to the board was lost: ${why}`));
    }
  }
}
