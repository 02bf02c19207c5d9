/**
 * The emulated chip's WiFi: what it is told, and what it has been asked to join.
 *
 * @module
 */
import { decodeStatic, parseIPv4, STATIC_BYTES, type StaticAddress } from "../../formats/ipv4.ts";

/** What the chip is told of its WiFi, in the firmware's order. */
export const WIFI = [
  "up",
  "lost",
  "not-found",
  "wrong-password",
  "refused",
  "no-dhcp",
  "associated",
] as const;
/** What joining the WiFi leads to; `silent`: nothing ever comes of it; `associated`: nothing comes after that. */
export type WifiOutcome = Exclude<typeof WIFI[number], "lost"> | "silent";

/** What the chip has been told of a WiFi that it is to join. */
export interface Join {
  ssid: string;
  password: string;
  /** Two letters, or none. */
  country: string;
  /** Its address; undefined: from DHCP. */
  ip: StaticAddress | undefined;
}

/** What DHCP gives it. */
const ADDRESS = "192.168.1.31";

/** Reads what the chip asks for. */
export function readJoin(payload: Uint8Array): Join {
  const ip = decodeStatic(payload);
  const texts = new TextDecoder().decode(payload.subarray(STATIC_BYTES)).split("\0");
  const [ssid = "", password = "", country = ""] = texts;
  return { ssid, password, country, ip: ip.address === "0.0.0.0" ? undefined : ip };
}

/** The address that it has then, as bytes. */
export function addressAfter(join: Join | undefined): Uint8Array {
  const address = parseIPv4(join?.ip?.address ?? ADDRESS)!;
  return Uint8Array.from([24, 16, 8, 0].map((shift) => address >>> shift & 255));
}
