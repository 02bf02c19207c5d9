/**
 * The emulated chip's WiFi: its requests to join, and their outcomes.
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
/** The outcome of a join. `silent`: the chip never gets an answer; `associated`: it gets nothing after that state. */
export type WifiOutcome = Exclude<typeof WIFI[number], "lost"> | "silent";

/** A chip's request to join a WiFi. */
export interface Join {
  ssid: string;
  password: string;
  /** Two letters, or empty. */
  country: string;
  /** The chip's address; undefined: from DHCP. */
  ip: StaticAddress | undefined;
  /** The access point of an earlier join; undefined: the WiFi must be searched for. */
  known?: Known;
}

/** An access point, and an address to use there. */
export interface Known {
  /** Twelve hex digits. */
  bssid: string;
  channel: number;
  /** The chip's address there; undefined: from DHCP. */
  ip: StaticAddress | undefined;
}

/** Bytes of firmware/port.h's `struct port_lease`. */
const LEASE_BYTES = STATIC_BYTES + 12;

/** DHCP's answer. */
const ADDRESS: StaticAddress = {
  address: "192.168.1.31",
  netmask: "255.255.255.0",
  gateway: "192.168.1.1",
  dns: "192.168.1.1",
};
const BSSID = "02005e1031a7";
const CHANNEL = 6;

/** Reads the payload of a `wifiJoin`. */
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

/** The chip's state in the network after a join, in its format: its address, and a lease of this many seconds. */
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
