/** Turns the bytes of a serial line into readable lines. */
import { LAST_WORD } from "./rom.ts";

/** Longest line that is shown; a board that sends no end of line must not fill the page. */
const LONGEST = 400;

export class LineReader {
  readonly #decoder = new TextDecoder();
  #line = "";
  /** Whether the last bytes contained something that cannot be shown. */
  noisy = false;

  /** The lines that end in these bytes, without what cannot be shown. */
  push(bytes: Uint8Array): string[] {
    const text = this.#decoder.decode(bytes, { stream: true });
    this.noisy = NOISE.test(text.replace(COLOURS, "").replaceAll("\r", ""));
    this.#line += text;
    const lines = this.#line.split(/\r?\n|\r/);
    this.#line = lines.pop()!;
    if (LAST_WORD.test(this.#line)) { // nothing follows, not even an end of the line
      lines.push(this.#line);
      this.#line = "";
    }
    while (this.#line.length > LONGEST) {
      lines.push(this.#line.slice(0, LONGEST));
      this.#line = this.#line.slice(LONGEST);
    }
    return lines.flatMap((line) => {
      const clean = printable(line);
      return clean === "" ? [] : [clean.slice(0, LONGEST)];
    });
  }
}

/** Colours, as some programs send them. */
// deno-lint-ignore no-control-regex
const COLOURS = /\x1b\[[0-9;]*[A-Za-z]/g;
/** Noise: bytes that are not UTF-8, and controls. */
// deno-lint-ignore no-control-regex
const NOISE = /[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]+/;
/** Fewer characters than this, left of a noisy line, are noise that is readable by chance. */
const SHORTEST = 4;

/**
 * The chip's ROM prints at 74880 baud, which is noise here, and the program's first line follows without a break: of a
 * noisy line, the text after the noise is kept.
 */
function printable(line: string): string {
  const parts = line.replace(COLOURS, "").split(NOISE);
  const last = parts.at(-1)!;
  if (parts.length > 1 && last.length < SHORTEST) return "";
  const known = last.match(/(holdfast: (boot|settings) |app: ).*$/);
  return known && parts.length > 1 ? known[0] : last;
}
