/**
 * What the chip's ROM and the vendor's code print when the chip starts or stops: at 74880 baud, except on chips with a
 * crystal of 40 MHz, and after the firmware has set the speed.
 *
 * @module
 */

/** What one of those lines says. */
export type RomReport =
  /**
   * It starts. The cause, as the ROM numbers it, is that of the last reset by hardware: a program that restarts the
   * chip, or crashes, leaves it as it was. The mode is read from the pins, one bit each: GPIO15, GPIO0, GPIO2.
   */
  | { what: "start"; cause: number; mode: number }
  /** It loads a program from the flash. */
  | { what: "load" }
  /** A further line that adds nothing. */
  | { what: "more" }
  /** The program that it has loaded is damaged. */
  | { what: "checksum" }
  /** It finds no program to start. */
  | { what: "nothing" }
  /** The radio has no calibration data in the flash. */
  | { what: "calibration" }
  /** The program has crashed; the number of the exception. */
  | { what: "exception"; number: number }
  /** The watchdog of the vendor's code has ended a program that hung. */
  | { what: "watchdog" };

const LINES: [pattern: RegExp, report: (found: string[]) => RomReport][] = [
  [/rst cause: ?(\d+), boot mode: ?\((\d+),\d+\)/, ([, cause, mode]) => ({
    what: "start",
    cause: Number(cause),
    mode: Number(mode),
  })],
  [/^load 0x[0-9a-f]{8}, len -?\d+, room \d+/, () => ({ what: "load" })],
  [/csum err/, () => ({ what: "checksum" })],
  [/ets_main\.c/, () => ({ what: "nothing" })],
  [/rf_cal\[0\] ?!= ?0x05/, () => ({ what: "calibration" })],
  [/^(?:Fatal )?exception ?\(?(\d{1,2})\b/i, ([, number]) => ({
    what: "exception",
    number: Number(number),
  })],
  [/^soft wdt reset/i, () => ({ what: "watchdog" })],
  [/^(?:tail|chksum|csum|ho|epc1=?|wdt reset|waiting for host)\b/, () => ({ what: "more" })],
];

/** A chip that stops does so in the middle of a line. */
export const LAST_WORD = /ets_main\.c $/;

/** Reads a line; undefined if it is not one of these. */
export function parseRom(line: string): RomReport | undefined {
  for (const [pattern, report] of LINES) {
    const found = line.match(pattern);
    if (found) return report(found);
  }
  return undefined;
}
