/** A device's diagnostics, as its page shows them. */
import type { Thing } from "../channels/thing.ts";
import type { Value } from "../protocol/channel_lines.ts";
import { DIAGNOSTICS, pairsOf } from "../protocol/diagnostics.ts";

/** One diagnostic. */
export interface Diagnostic {
  readonly name: string;
  readonly value: Value;
  readonly unit?: string;
  /** ISO 8601; undefined: when it last connected; null: unknown. */
  readonly at?: string | null;
}

/** All known diagnostics; a channel's report is newer than the hello. @param metadata From the last hello. */
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
