/** What a device has said about itself, as its page shows it. */
import type { Thing } from "../channels/thing.ts";
import type { Value } from "../protocol/channel_lines.ts";
import { DIAGNOSTICS, pairsOf } from "../protocol/diagnostics.ts";

/** One thing. */
export interface Diagnostic {
  readonly name: string;
  readonly value: Value;
  readonly unit?: string;
  /** ISO 8601; undefined: it said so when it connected last; null: nobody knows. */
  readonly at?: string | null;
}

/** What is known: what a channel says is newer than the hello of its connection. @param metadata of the last hello */
export function diagnosticsOf(thing: Thing, metadata: string): Diagnostic[] {
  const said = new Map(pairsOf(metadata));
  const found = new Map<string, Diagnostic>();
  for (const [key, { name, unit }] of Object.entries(DIAGNOSTICS)) {
    const reported = thing.reported(key);
    const value = reported?.value ?? said.get(key);
    if (value === undefined || (found.has(name) && !reported)) continue;
    const described = thing.description?.channels[key];
    const known = described && "unit" in described ? described.unit : unit;
    found.set(name, {
      name,
      value,
      ...(known !== undefined && { unit: known }),
      ...(reported && { at: reported.at?.toISOString() ?? null }),
    });
  }
  return [...found.values()];
}
