/** `vectors.json` for tests, as bytes and settings. */
import vectors from "./vectors.json" with { type: "json" };
import { type Damage, SECTOR_BYTES, type Settings } from "../../../bridge/formats/settings.ts";

/** Settings with bytes as hex. */
type Written = Omit<Settings, "key" | "unknown"> & {
  key?: string;
  unknown?: Record<string, string>;
};

/** A sector and its contents. */
export type SectorVector =
  & { name: string; bytes: string; order?: string }
  & (
    | { state: "ok"; settings: Written; missing: string[] }
    | { state: "blank" }
    | { state: "damaged"; damage: Damage }
  );

/** Changed fields and the result; null: the change is refused. */
export interface ChangeVector {
  name: string;
  before: string;
  changes: string;
  after: string | null;
}

export function loadVectors(): { sectors: SectorVector[]; changes: ChangeVector[] } {
  return vectors as { sectors: SectorVector[]; changes: ChangeVector[] };
}

export function bytesOfHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}

/** The whole sector. */
export function sectorOf({ bytes }: SectorVector): Uint8Array<ArrayBuffer> {
  const sector = new Uint8Array(SECTOR_BYTES).fill(0xff);
  sector.set(bytesOfHex(bytes));
  return sector;
}

export function settingsOf({ key, unknown, ...rest }: Written): Settings {
  const settings: Settings = rest;
  if (key !== undefined) settings.key = bytesOfHex(key);
  if (unknown !== undefined) {
    settings.unknown = Object.fromEntries(
      Object.entries(unknown).map(([tag, hex]) => [tag, bytesOfHex(hex)]),
    );
  }
  return settings;
}
