/**
 * The chip's address space: the words that identify the chip and its MAC address, the SPI controller through which a
 * loader accesses the flash, and RAM.
 *
 * @module
 */
import type { Flash } from "./flash.ts";

/** A word of the ROM by which loaders identify the chip. */
export const MAGIC_ADDRESS = 0x40001000;
export const ESP8266_MAGIC = 0xfff0c101;
/** An ESP32, for a page that must refuse it. */
export const ESP32_MAGIC = 0x00f01d83;

const EFUSE = 0x3ff00050;
const UART_CLKDIV = 0x60000014;
/** Old clients distinguish the ESP8266 from the ESP32 by the date in it. */
const UART_DATE = 0x60000078;
const SPI = 0x60000200;
const SPI_CMD = SPI;
const SPI_USR1 = SPI + 0x20;
const SPI_USR2 = SPI + 0x24;
const SPI_W0 = SPI + 0x40;

/** In SPI_CMD: carry out what SPI_USR… say. Reads as 0 when done. */
const SPI_CMD_USR = 1 << 18;
const RDID = 0x9f;
const RDSR = 0x05;

/** Crystal of every module seen. */
const CRYSTAL_HZ = 26_000_000;

/** Six bytes of a MAC address written with colons. */
export function macBytes(mac: string): number[] {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac)) throw new RangeError(`no MAC address: ${mac}`);
  return mac.split(":").map((part) => parseInt(part, 16));
}

/** The words of a chip. */
export class Registers {
  #words = new Map<number, number>();
  #flash: Flash;

  /**
   * @param mac With colons, lower case.
   * @param magic The word at {@linkcode MAGIC_ADDRESS}.
   * @param embedded Whether the flash is inside the chip: an ESP8285.
   */
  constructor(flash: Flash, mac: string, magic: number, embedded = false) {
    this.#flash = flash;
    const [a, b, c, d, e, f] = macBytes(mac) as [number, number, number, number, number, number];
    this.#set(EFUSE, f << 24 | (embedded ? 0x10 : 0) | 0x01);
    this.#set(EFUSE + 4, 0x02 << 24 | d << 8 | e);
    this.#set(EFUSE + 8, 0xf200b000);
    this.#set(EFUSE + 12, a << 16 | b << 8 | c);
    this.#set(MAGIC_ADDRESS, magic);
    if (magic === ESP8266_MAGIC) this.#set(UART_DATE, 0x00062000);
    this.#set(SPI + 0x1c, 0x80000000);
    this.#set(SPI_USR1, 0x5c000000);
    this.#set(SPI_USR2, 0x70000000);
  }

  /** The UART was set to this rate, in baud. */
  set baud(rate: number) {
    this.#set(UART_CLKDIV, Math.round(CRYSTAL_HZ * 2 / rate));
  }

  read(address: number): number {
    return this.#words.get(address >>> 0) ?? 0;
  }

  write(address: number, value: number, mask = 0xffffffff): void {
    const word = (value & mask) | (this.read(address) & ~mask);
    this.#set(address, word);
    if (address >>> 0 === SPI_CMD && (word & SPI_CMD_USR) !== 0) {
      this.#transact();
      this.#set(SPI_CMD, 0);
    }
  }

  #set(address: number, value: number): void {
    this.#words.set(address >>> 0, value >>> 0);
  }

  /** One transaction with the flash. Only as many bits arrive as SPI_USR1 asks for. */
  #transact(): void {
    const command = this.read(SPI_USR2) & 0xff;
    const bits = ((this.read(SPI_USR1) >>> 8) & 0x1ff) + 1;
    const answer = command === RDID ? this.#flash.id : command === RDSR ? 0 : undefined;
    if (answer === undefined) return;
    this.#set(SPI_W0, bits >= 32 ? answer : answer & ((1 << bits) - 1));
  }
}
