/**
 * A chip under esptool-js 0.7.0. Its faults on an ESP8266 are worked around here, each marked with its number;
 * `tests/browser/loader_test.ts` has a test for each.
 *
 * @module
 */
import { ESPLoader, type Transport } from "esptool-js";
import { ESP8266ROM } from "esptool-js/lib/targets/esp8266.js";
import type { Chip, ChipFacts, Progress } from "./chip.ts";
import { FlashError, hex } from "./errors.ts";
import { Line } from "./line.ts";
import { md5 } from "./md5.ts";
import { type Port, restart, SLOW } from "./serial.ts";

export { SLOW };
/** Four times as fast; every USB adapter on these boards supports it. */
export const FAST = 460800;

/** Written, compared and, if necessary, repeated as a whole: so the address of a fault is known, and little is done
 * twice. 64 KB is what flashes erase fastest. */
const PIECE = 65536;

/** The value at 0x40001000 in a chip's ROM. */
const MAGIC_REGISTER = 0x40001000;
const ESP8266 = 0xfff0c101;
const OTHER_CHIPS: Record<number, string> = {
  0x00f01d83: "ESP32",
  0x000007c6: "ESP32-S2",
  0x00000009: "ESP32-S3",
  0x6921506f: "ESP32-C3",
  0x1b31506f: "ESP32-C3",
  0x4881606f: "ESP32-C3",
  0x4361606f: "ESP32-C3",
  0x2ce0806f: "ESP32-C6",
  0x0c21e06f: "ESP32-C2",
  0x6f51306f: "ESP32-C2",
  0x7c41a06f: "ESP32-C2",
  0xd7b73e80: "ESP32-H2",
  0x97e30068: "ESP32-H2",
};

export interface OpenOptions {
  /** 460800 by default. */
  baud?: number;
  /** Called with what is being done, for the user. */
  onNote?: (note: string) => void;
  /** Stops the work at the next block; the pending call throws STOPPED. */
  signal?: AbortSignal;
}

/**
 * Resets the board into its loader, and puts the flashing program ("stub") into the chip's memory.
 *
 * @throws {FlashError} PORT_BUSY, LOST, NO_SYNC, SILENT, WRONG_CHIP, NO_STUB, FLASH_SILENT; the port is then closed
 */
export async function openChip(port: Port, options: OpenOptions = {}): Promise<Chip> {
  const chip = new LoaderChip(port, options);
  try {
    await chip.start();
    return chip;
  } catch (error) {
    await chip.close();
    throw error;
  }
}

class LoaderChip implements Chip {
  readonly #line: Line;
  readonly #options: OpenOptions;
  #loader: ESPLoader;
  #facts: ChipFacts | undefined;

  constructor(port: Port, options: OpenOptions) {
    this.#options = options;
    this.#line = new Line(port);
    this.#loader = this.#makeLoader(options.baud ?? FAST);
  }

  get facts(): ChipFacts {
    return this.#facts!;
  }

  get baud(): number {
    return this.#line.baudrate;
  }

  async start(): Promise<void> {
    await this.#connect();
    const chip = this.#loader.chip;
    const name = await chip.getChipDescription(this.#loader);
    const mac = await chip.readMac(this.#loader);
    await this.#startStub();
    await this.#speedUp();
    const id = await this.#attempt(() => this.#loader.readFlashId(), "FLASH_SILENT");
    const size = this.#loader.DETECTED_FLASH_SIZES[(id >> 16) & 0xff];
    const flashId = [id, id >> 8, id >> 16].map((b) => (b & 0xff).toString(16).padStart(2, "0"))
      .join("");
    if (size === undefined) {
      throw new FlashError("FLASH_SILENT", `the flash answers ${flashId}, which is no known flash`);
    }
    this.#facts = { name, mac, flashBytes: this.#loader.flashSizeBytes(size as "1MB"), flashId };
  }

  async write(address: number, data: Uint8Array, progress?: Progress): Promise<void> {
    for (let at = 0; at < data.length; at += PIECE) {
      const piece = data.subarray(at, at + PIECE);
      await this.#persist(address + at, "WRITE_FAILED", async () => {
        progress?.(at);
        await this.#writePiece(address + at, piece, (done) => progress?.(at + done));
      });
      progress?.(at + piece.length);
    }
  }

  async #writePiece(address: number, data: Uint8Array, progress: Progress): Promise<void> {
    await this.#loader.writeFlash({
      fileArray: [{ data, address }],
      flashMode: "keep",
      flashFreq: "keep",
      flashSize: "keep",
      eraseAll: false,
      compress: true,
      reportProgress: (_, sent, total) => {
        this.#checkStopped();
        progress(Math.floor(data.length * sent / total));
      },
      // Fault 3: without it nothing is compared, and a damaged block counts as a success.
      calculateMD5Hash: md5,
    });
  }

  async read(address: number, length: number, progress?: Progress): Promise<Uint8Array> {
    const data = new Uint8Array(length);
    for (let at = 0; at < length; at += PIECE) {
      const size = Math.min(PIECE, length - at);
      await this.#persist(address + at, "READ_FAILED", async () => {
        const piece = await this.#loader.readFlash(address + at, size, (_, done) => {
          this.#checkStopped();
          progress?.(at + done);
        });
        // Fault 6: esptool-js does not read the digest that the stub sends at the end.
        const digest = await this.#line.read(3000);
        const same = md5(piece) === Array.from(digest, (b) =>
          b.toString(16).padStart(2, "0")).join("");
        if (!same) throw new Error("what was read is not what is in the flash");
        data.set(piece, at);
      });
    }
    return data;
  }

  md5(address: number, length: number): Promise<string> {
    return this.#persist(
      address,
      "READ_FAILED",
      () => this.#loader.flashMd5sum(address, length),
    );
  }

  async erase(): Promise<void> {
    await this.#attempt(() => this.#loader.eraseFlash(), "ERASE_FAILED", 0);
  }

  close(): Promise<void> {
    return this.#line.dispose();
  }

  async leave(): Promise<void> {
    try {
      await restart(this.#line.port);
    } catch { // the board is gone, so there is nothing to start
    }
    await this.close();
  }

  #makeLoader(baudrate: number): ESPLoader {
    const loader = new ESPLoader({
      transport: this.#line as unknown as Transport,
      baudrate,
      romBaudrate: SLOW,
      terminal: {
        clean() {},
        write() {},
        writeLine: (text) => this.#options.onNote?.(text.trim()),
      },
    });
    // Fault 4: a block is sent up to three times, but the stub feeds what arrives to one stream of compressed data,
    // which a second copy breaks. So send it once; the whole piece is written again.
    loader.WRITE_BLOCK_ATTEMPTS = 1;
    // Fault 7: the answer to the ROM's last command must come within 200 ms, and is late if the computer is busy.
    loader.memFinish = async (entry) => {
      const words = Uint32Array.of(entry === 0 ? 1 : 0, entry);
      const data = new Uint8Array(words.buffer); // little-endian, like every computer with a browser
      await loader.checkCommand("start what was loaded", loader.ESP_MEM_END, data);
    };
    return loader;
  }

  /** Resets into the chip's loader, and makes sure that it is the right chip. */
  async #connect(): Promise<void> {
    const heard = this.#line.heard;
    try {
      await this.#loader.connect("default_reset", 7, false);
    } catch (cause) {
      if (cause instanceof FlashError) throw cause;
      // It reports every failure with the same words; bytes from the board tell the two cases apart.
      throw this.#line.heard > heard
        ? new FlashError("NO_SYNC", "the board says something, but its loader does not answer")
        : new FlashError("SILENT", "nothing is heard from a board");
    }
    // esptool-js would send GET_SECURITY_INFO first, which this chip does not know, and start over.
    const magic = await this.#attempt(() => this.#loader.readReg(MAGIC_REGISTER), "NO_SYNC") >>> 0;
    if (magic !== ESP8266) {
      const name = OTHER_CHIPS[magic] ?? `chip that is not known here (0x${magic.toString(16)})`;
      throw new FlashError("WRONG_CHIP", `this is an ${name}`);
    }
    const chip = new ESP8266ROM();
    // Fault 1: this chip has no such registers, but an offset of 0 counts as one. The length of the answer then goes
    // into the command register, and the flash's id is read wrong.
    chip.SPI_MOSI_DLEN_OFFS = undefined as unknown as number;
    chip.SPI_MISO_DLEN_OFFS = undefined as unknown as number;
    this.#loader.chip = chip;
  }

  async #startStub(): Promise<void> {
    await this.#attempt(() => this.#loader.runStub(), "NO_STUB");
    // Fault 5: without it the ROM's own commands would be used, which erase more than they are told.
    if (!this.#loader.IS_STUB) {
      throw new FlashError("NO_STUB", "the flashing program did not start");
    }
  }

  async #speedUp(): Promise<void> {
    if ((this.#options.baud ?? FAST) === SLOW) return;
    try {
      await this.#loader.changeBaud(); // falls back by itself if the chip does not follow
      if (!this.#loader.IS_STUB) throw new Error("the flashing program is gone");
    } catch (error) {
      if (error instanceof FlashError && error.code === "LOST") throw error;
      await this.#restartSlowly();
    }
  }

  /** Starts again, at a speed that always works. */
  async #restartSlowly(): Promise<void> {
    this.#options.onNote?.(`Going on at ${SLOW} baud`);
    await this.#line.disconnect();
    this.#loader = this.#makeLoader(SLOW);
    await this.#connect();
    await this.#startStub();
  }

  /**
   * Does something that may fail on a bad line up to three times: again at once, then with the chip restarted at the
   * slow speed.
   */
  async #persist<T>(
    address: number,
    code: "WRITE_FAILED" | "READ_FAILED",
    action: () => Promise<T>,
  ): Promise<T> {
    let failure: unknown;
    for (let attempt = 0; attempt < 3; attempt++) {
      this.#checkStopped(address);
      try {
        if (attempt === 1) await this.#resynchronize();
        if (attempt === 2) await this.#restartSlowly();
        return await action();
      } catch (error) {
        if (error instanceof FlashError && (error.code === "LOST" || error.code === "STOPPED")) {
          throw new FlashError(error.code, error.message, address, { cause: error });
        }
        failure = error;
        this.#options.onNote?.(`${hex(address)}: ${text(error)}`);
      }
    }
    const verify = /MD5/.test(text(failure));
    throw new FlashError(
      verify ? "VERIFY_FAILED" : code,
      verify
        ? `what is in the flash from ${hex(address)} on is not what was written`
        : `${code === "WRITE_FAILED" ? "writing" : "reading"} at ${hex(address)}: ${text(failure)}`,
      address,
      { cause: failure },
    );
  }

  /** After a fault the stub may be in the middle of a packet: the first command ends that one. */
  async #resynchronize(): Promise<void> {
    for (let attempt = 0;; attempt++) {
      await this.#line.drainInput();
      try {
        await this.#loader.readReg(MAGIC_REGISTER, 500);
        return;
      } catch (error) {
        if (error instanceof FlashError || attempt === 2) throw error;
      }
    }
  }

  #checkStopped(address?: number): void {
    if (this.#options.signal?.aborted) throw new FlashError("STOPPED", "stopped", address);
  }

  /** Turns an error of esptool-js into one with a code. */
  async #attempt<T>(
    action: () => Promise<T>,
    code: FlashError["code"],
    address?: number,
  ): Promise<T> {
    try {
      return await action();
    } catch (cause) {
      if (cause instanceof FlashError) throw cause;
      throw new FlashError(code, text(cause), address, { cause });
    }
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
