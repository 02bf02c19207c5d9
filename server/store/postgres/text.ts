/** Encodes texts for PostgreSQL, whose texts cannot contain NUL, unlike messages. */

// deno-lint-ignore no-control-regex -- they are what is looked for
const ESCAPED = /[\0\x01]/g;

/** NUL becomes \x01 and a 0, \x01 becomes \x01 and a 1; everything else stays readable for SQL. */
export function toText(text: string): string {
  // Most texts have neither, and a search alone costs little.
  if (text.search(ESCAPED) < 0) return text;
  return text.replaceAll(ESCAPED, (char) => char === "\0" ? "\x010" : "\x011");
}

/** The inverse of `toText`. */
export function fromText(text: string): string {
  if (!text.includes("\x01")) return text;
  // deno-lint-ignore no-control-regex -- as above
  return text.replaceAll(/\x01([01])/g, (_, digit) => digit === "0" ? "\0" : "\x01");
}

/** Formats a text as an element of a PostgreSQL array. */
export function toElement(text: string): string {
  return `"${toText(text).replaceAll(/["\\]/g, "\\$&")}"`;
}

/** Formats an array of texts. */
export function toArray(texts: readonly string[]): string {
  return `{${texts.map(toElement).join()}}`;
}
