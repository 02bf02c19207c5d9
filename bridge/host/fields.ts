/**
 * The fields that an application gives to `configure`: those of a board's settings sector, each a tag, a
 * length and so many bytes of value.
 */

/** What fields say; what they do not say is undefined. */
export interface Fields {
  ssid?: string;
  /** "": an open network. */
  password?: string;
  host?: string;
  port?: number;
  id?: string;
  key?: Uint8Array;
  /** ms */
  timeout?: number;
  dialect?: 1 | 2;
  /** Longest text of a message, in bytes. */
  line?: number;
}

interface Field {
  name: keyof Fields | "log";
  /** Least and most bytes; between them only what is 0, if `orNone`. */
  bytes: [number, number];
  orNone?: true;
  /** Of a number. */
  range?: [number, number];
  /** What a text is made of. */
  pattern?: RegExp;
}

const FIELDS: Record<number, Field> = {
  1: { name: "ssid", bytes: [1, 32] },
  2: { name: "password", bytes: [8, 64], orNone: true },
  3: { name: "host", bytes: [1, 64], pattern: /^[0-9A-Za-z._-]*$/ },
  4: { name: "port", bytes: [2, 2], range: [1, 65535] },
  5: { name: "id", bytes: [1, 64] },
  6: { name: "key", bytes: [32, 32] },
  7: { name: "timeout", bytes: [4, 4], range: [100, 3_600_000] },
  8: { name: "dialect", bytes: [1, 1], range: [1, 2] },
  9: { name: "log", bytes: [1, 1], range: [0, 1] },
  10: { name: "line", bytes: [2, 2], range: [121, 512] },
};

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads fields; undefined if one is malformed, out of its range or there twice. An unknown one is ignored. */
export function readFields(bytes: Uint8Array): Fields | undefined {
  const fields: Record<string, unknown> = {};
  for (let at = 0; at < bytes.length;) {
    const [tag = 0, length] = bytes.subarray(at, at + 2);
    if (length === undefined || at + 2 + length > bytes.length) return undefined;
    const value = bytes.slice(at + 2, at + 2 + length);
    at += 2 + length;
    const field = FIELDS[tag];
    if (!field) continue;
    const { name, bytes: [least, most], orNone, range, pattern } = field;
    if (name in fields || length > most || (length < least && !(orNone && length === 0))) {
      return undefined;
    }
    fields[name] = range ? number(value, range) : name === "key" ? value : text(value);
    if (fields[name] === undefined || pattern?.test(fields[name] as string) === false) {
      return undefined;
    }
  }
  delete fields.log;
  return fields;
}

function number(bytes: Uint8Array, [least, most]: [number, number]): number | undefined {
  const value = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
  return value >= least && value <= most ? value : undefined;
}

function text(bytes: Uint8Array): string | undefined {
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) return undefined;
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined; // not UTF-8
  }
}
