/** Texts for the simulated applications: unique in their stream, of all lengths, and of all widths of UTF-8. */
import type { Stream } from "./promises.ts";
import type { Random } from "../../bridge/testing/random.ts";

const DIGITS =
  "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_+*.,:;!?#%&/()[]{}<>=";
const FILLERS = ["x", "0a", "7f ", "ä", "€", "😀", "\t", "\u0001", "\u007f", "\r", "\ufeff"];

/**
 * A text that is not in the stream yet; undefined if none was found that fits.
 *
 * @param long Share of texts of the maximum length.
 * @param count A number that no other text of the stream has.
 */
export function newText(
  stream: Stream,
  random: Random,
  mostBytes: number,
  long: number,
  count: number = stream.size,
): string | undefined {
  let text = number(count);
  if (random.chance(0.8)) text = `${stream.name} ${text}`;
  if (text.length > mostBytes) text = number(count);
  if (text.length > mostBytes || stream.has(text)) return undefined;
  const filler = random.pick(FILLERS);
  const bytes = byteLengths.get(filler)!;
  const room = mostBytes - text.length;
  const isLong = random.chance(long);
  if (room === 0 || (!isLong && random.chance(0.4))) return text;
  const length = isLong ? room : random.skewed(0, room);
  const filling = filler.repeat(Math.floor(length / bytes));
  return random.chance(0.5) ? text + filling : filling + text;
}

const byteLengths = new Map(
  FILLERS.map((filler) => [filler, new TextEncoder().encode(filler).length]),
);

function number(value: number): string {
  let digits = "";
  do {
    digits = DIGITS[value % DIGITS.length] + digits;
    value = Math.floor(value / DIGITS.length);
  } while (value > 0);
  return digits;
}
