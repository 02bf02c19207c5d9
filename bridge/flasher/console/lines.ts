/** Bytes of a serial line to lines for people. */

/** Longest line that is shown; a board that sends no end of line must not fill the page. */
const LONGEST = 400;

export class LineReader {
  readonly #decoder = new TextDecoder();
  #line = "";

  /** The lines that end in these bytes, without what cannot be shown. */
  push(bytes: Uint8Array): string[] {
    this.#line += this.#decoder.decode(bytes, { stream: true });
    const lines = this.#line.split(/\r?\n|\r/);
    this.#line = lines.pop()!;
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

/**
 * The chip's ROM greets at 74880 baud, which is noise here: a line that is mostly noise is left out, and
 * what is left of others is trimmed.
 */
function printable(line: string): string {
  // deno-lint-ignore no-control-regex
  const clean = line.replace(/[\x00-\x1f\x7f-\x9f\ufffd]/g, "");
  const known = clean.match(/(holdfast|app): .*$/);
  if (known) return known[0]; // noise before it, or none
  return clean.length * 2 < line.length || !/[ -~]{2}/.test(clean) ? "" : clean;
}
