/**
 * What the chip's ROM and the vendor's code say when the chip starts or stops: at 74880 baud, but for chips with a
 * crystal of 40 MHz, and for what happens after the firmware has set the speed.
 *
 * @module
 */

/** One of those lines. */
export type RomReport =
  /** It starts: why, in the firmware's words, and what its pins tell it: a bit each for GPIO15, GPIO0, GPIO2. */
  | { what: "start"; reason: string; mode: number }
  /** It loads a program from the flash. */
  | { what: "load" }
  /** The program that it has loaded is damaged. */
  | { what: "checksum" }
  /** It has no program to go on with. */
  | { what: "nothing" }
  /** The radio has no calibration data in the flash. */
  | { what: "calibration" }
  /** The program has crashed; the number of the exception. */
  | { what: "exception"; number: number }
  /** The watchdog has ended a program that hung. */
  | { what: "watchdog" };

/** By the ROM's numbers. */
const REASONS: Record<number, string> = {
  1: "power-on",
  2: "external",
  3: "watchdog",
  4: "watchdog",
};

const LINES: [pattern: RegExp, report: (found: string[]) => RomReport][] = [
  [/rst cause: ?(\d+), boot mode: ?\((\d+),\d+\)/, ([, cause, mode]) => ({
    what: "start",
    reason: REASONS[Number(cause)] ?? "unknown",
    mode: Number(mode),
  })],
  // Where nothing is in the flash, the sizes are those of blank memory: no program.
  [/^load 0x(?!ffffffff)[0-9a-f]{8}, len \d+, room \d+/, () => ({ what: "load" })],
  [/csum err/, () => ({ what: "checksum" })],
  [/ets_main\.c/, () => ({ what: "nothing" })],
  [/rf_cal\[0\] ?!= ?0x05/, () => ({ what: "calibration" })],
  [/^(?:Fatal )?exception ?\(?(\d{1,2})\b/i, ([, number]) => ({
    what: "exception",
    number: Number(number),
  })],
  [/^(?:soft )?wdt reset/i, () => ({ what: "watchdog" })],
];

/** Reads a line; undefined if it is none of these. */
export function parseRom(line: string): RomReport | undefined {
  for (const [pattern, report] of LINES) {
    const found = line.match(pattern);
    if (found) return report(found);
  }
  return undefined;
}
