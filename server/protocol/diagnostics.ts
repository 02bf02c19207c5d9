/** Diagnostics: what a device may say about itself, in its hello's metadata or as channels. */

/** How it is shown to people. */
export interface DiagnosticName {
  /** In words. */
  readonly name: string;
  /** Where the channel's description says no other; undefined: it says itself what it is. */
  readonly unit?: string;
}

/** Names, of channels and in metadata, that count as such. */
export const DIAGNOSTICS: Readonly<Record<string, DiagnosticName>> = {
  signal: { name: "Signal", unit: "dBm" },
  rssi: { name: "Signal", unit: "dBm" },
  heap: { name: "Free heap", unit: "B" },
  uptime: { name: "Uptime" },
};

/** Keys and values of a hello's metadata, `key=value` pairs with a space between them. */
export function pairsOf(metadata: string): [key: string, value: string][] {
  return metadata.split(" ").filter((pair) => pair !== "").map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
}
