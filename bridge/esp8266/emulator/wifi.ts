/**
 * The emulated chip's WiFi: what it is told, and what it has been asked to join.
 *
 * @module
 */
import {
  decodeStatic,
  encodeStatic,
  parseIPv4,
  STATIC_BYTES,
  type StaticAddress,
} from "../../formats/ipv4.ts";
import { u32 } from "./frames.ts";

/** States of the WiFi for the chip, in the firmware's order. */
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

/** A WiFi that the chip must join. */
export interface Join {
  ssid: string;
  password: string;
  /** Two letters, or none. */
  country: string;
  /** Its address; undefined: from DHCP. */
  ip: StaticAddress | undefined;
  /** How it was joined before; undefined: it must be looked for. */
  known?: Known;
}

/** An access point, and an address that may be used there. */
export interface Known {
  /** Twelve hex digits. */
  bssid: string;
  channel: number;
  /** Undefined: ask DHCP. */
  ip: StaticAddress | undefined;
}

/** Bytes of firmware/port.h's `struct port_lease`. */
const LEASE_BYTES = STATIC_BYTES + 12;

/** What DHCP gives it. */
const ADDRESS: StaticAddress = {
  address: "192.168.1.31",
  netmask: "255.255.255.0",
  gateway: "192.168.1.1",
  dns: "192.168.1.1",
};
const BSSID = "02005e1031a7";
const CHANNEL = 6;

/** Reads what the chip asks for. */
export function readJoin(payload: Uint8Array): Join {
  const texts = new TextDecoder().decode(payload.subarray(STATIC_BYTES + LEASE_BYTES)).split("\0");
  const [ssid = "", password = "", country = ""] = texts;
  const known = readKnown(payload.subarray(STATIC_BYTES));
  return { ssid, password, country, ip: readStatic(payload), ...(known ? { known } : {}) };
}

function readStatic(bytes: Uint8Array): StaticAddress | undefined {
  const ip = decodeStatic(bytes);
  return ip.address === "0.0.0.0" ? undefined : ip;
}

function readKnown(lease: Uint8Array): Known | undefined {
  const channel = lease[STATIC_BYTES + 6]!;
  if (channel === 0) return undefined;
  const bssid = lease.slice(STATIC_BYTES, STATIC_BYTES + 6).toHex();
  return { bssid, channel, ip: readStatic(lease) };
}

/** How the chip is in the network after a join, for it: its address, and a lease of this many seconds. */
export function addressAfter(join: Join | undefined, seconds: number): Uint8Array {
  const ip = join?.ip ?? join?.known?.ip;
  const address = parseIPv4((ip ?? ADDRESS).address)!;
  return Uint8Array.from([
    ...[24, 16, 8, 0].map((shift) => address >>> shift & 255),
    ...encodeStatic(ip ?? ADDRESS),
    ...Uint8Array.fromHex(BSSID),
    CHANNEL,
    0,
    ...u32(ip ? 0 : seconds),
  ]);
}
