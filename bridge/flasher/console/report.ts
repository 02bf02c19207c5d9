/** The firmware's own lines on the console, taken apart: `holdfast: wifi up ip=192.168.1.31`. */

export const topics = [
  "boot",
  "crash",
  "settings",
  "application",
  "deploy",
  "wifi",
  "link",
] as const;

/** The subject of a line. */
export type Topic = typeof topics[number];

export interface Report {
  topic: Topic;
  /** The first words, up to the first value: `down`; empty if values come at once. */
  what: string;
  /** `reason=lost` and the like. */
  values: Record<string, string>;
}

/** Reads a line; undefined if it is not the firmware's. */
export function parseReport(line: string): Report | undefined {
  const [, topic, rest = ""] = line.match(/^holdfast: (\w+) ?(.*)$/) ?? [];
  if (!topics.some((known) => known === topic)) return undefined;
  const words: string[] = [];
  const values: Record<string, string> = {};
  for (const word of rest.split(" ")) {
    const at = word.indexOf("=");
    if (at > 0) values[word.slice(0, at)] = decode(word.slice(at + 1));
    else words.push(word);
  }
  return { topic: topic as Topic, what: words.join(" "), values };
}

/** Spaces, controls and % are percent-encoded in values. Other text stays as it is. */
function decode(text: string): string {
  const bytes: number[] = [];
  for (const [piece, code] of text.matchAll(/%([0-9a-fA-F]{2})|[^%]+|%/g)) {
    if (code === undefined) bytes.push(...new TextEncoder().encode(piece));
    else bytes.push(parseInt(code, 16));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
}
