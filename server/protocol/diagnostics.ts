/** Diagnostics: facts about a device, in its hello's metadata or as channels. */

/** How a diagnostic is shown to people. */
export interface DiagnosticName {
  /** Its name in words. */
  readonly name: string;
  /** Its unit, unless the channel's description gives another; undefined: it needs none. */
  readonly unit?: string;
}

/** Names of channels and metadata keys that are diagnostics. */
export const DIAGNOSTICS: Readonly<Record<string, DiagnosticName>> = {
  signal: { name: "Signal", unit: "dBm" },
  rssi: { name: "Signal", unit: "dBm" },
  heap: { name: "Free heap", unit: "B" },
  uptime: { name: "Uptime" },
};

/** Keys and values of a hello's metadata: `key=value` pairs separated by spaces. */
export function pairsOf(metadata: string): [key: string, value: string][] {
  return metadata.split(" ").filter((pair) => pair !== "").map((pair) => {
    const at = pair.indexOf("=");
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
}
