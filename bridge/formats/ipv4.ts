/**
 * IPv4 addresses as text and as bytes, and static addresses of boards. Runs in a browser, too.
 *
 * @module
 */

/** A board's IPv4 configuration in a network without DHCP. Each address is four numbers with dots. */
export interface StaticAddress {
  /** The board's own. */
  address: string;
  /** Which part of the address is the network's: usually 255.255.255.0. */
  netmask: string;
  /** The router, in the same network. Default: none, and the board reaches only that network. */
  gateway?: string;
  /** The DNS server. Default: none, and `server` must be an address, not a name. */
  dns?: string;
}

/** Bytes of a static address in the settings: address, netmask, gateway and DNS; 0.0.0.0 for one that is missing. */
export const STATIC_BYTES = 16;

/** The part of a static address that is wrong, and what it must be. */
export interface WrongPart {
  part: keyof StaticAddress;
  what: string;
}

/** An address as a number; undefined if the text is not one. Leading zeros are refused: some programs read them as octal. */
export function parseIPv4(text: string): number | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part))) {
    return undefined;
  }
  const numbers = parts.map(Number);
  if (numbers.some((number) => number > 255)) return undefined;
  return numbers.reduce((sum, number) => sum * 256 + number, 0);
}

/** The text of an address. */
export function formatIPv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => address >>> shift & 255).join(".");
}

/** The first fault of a static address; undefined: it has none. */
export function wrongStatic(
  { address, netmask, gateway, dns }: StaticAddress,
): WrongPart | undefined {
  const own = parseIPv4(address);
  if (own === undefined || !isHost(own)) {
    return { part: "address", what: "must be a host's address, like 192.168.1.50" };
  }
  const mask = parseIPv4(netmask);
  if (mask === undefined || !isNetmask(mask)) {
    return { part: "netmask", what: "must be 128.0.0.0 to 255.255.255.252, like 255.255.255.0" };
  }
  if (!isWithin(own, mask)) {
    return {
      part: "address",
      what: "must not be the network's own or broadcast address under this netmask",
    };
  }
  if (gateway !== undefined) {
    const router = parseIPv4(gateway);
    const isInside = router !== undefined && isHost(router) &&
      (router & mask) === (own & mask) && isWithin(router, mask);
    if (!isInside) {
      return { part: "gateway", what: "must be an address in the board's network" };
    }
    if (router === own) return { part: "gateway", what: "must differ from the board's address" };
  }
  if (dns !== undefined) {
    const server = parseIPv4(dns);
    if (server === undefined || !isHost(server) || server === own) {
      return { part: "dns", what: "must be another host's address, like the gateway's" };
    }
  }
  return undefined;
}

/** The bytes of a valid static address. */
export function encodeStatic({ address, netmask, gateway, dns }: StaticAddress): Uint8Array {
  const bytes = new Uint8Array(STATIC_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [at, part] of [address, netmask, gateway, dns].entries()) {
    view.setUint32(4 * at, part === undefined ? 0 : parseIPv4(part)!);
  }
  return bytes;
}

/** The opposite of {@linkcode encodeStatic}. The result may be invalid. */
export function decodeStatic(bytes: Uint8Array): StaticAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, STATIC_BYTES);
  const [address, netmask, gateway, dns] = [0, 4, 8, 12].map((at) => view.getUint32(at));
  return {
    address: formatIPv4(address!),
    netmask: formatIPv4(netmask!),
    ...(gateway ? { gateway: formatIPv4(gateway) } : {}),
    ...(dns ? { dns: formatIPv4(dns) } : {}),
  };
}

/** Whether it can be a host's: not "this network", loopback, multicast or reserved. */
function isHost(address: number): boolean {
  const first = address >>> 24;
  return first >= 1 && first <= 223 && first !== 127;
}

/** Ones, then at least two zeros: otherwise the network would have no room for two hosts. */
function isNetmask(mask: number): boolean {
  const hosts = ~mask >>> 0;
  return (hosts & hosts + 1) === 0 && hosts >= 3 && mask !== 0;
}

/** Whether it is neither the network's own address nor its broadcast address. */
function isWithin(address: number, mask: number): boolean {
  const hosts = ~mask >>> 0;
  const host = (address & hosts) >>> 0;
  return host !== 0 && host !== hosts;
}
