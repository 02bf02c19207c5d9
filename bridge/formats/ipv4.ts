/**
 * IPv4 addresses as text and as bytes, and those that a board is given by hand. Runs in a browser, too.
 *
 * @module
 */

/** An IPv4 address for a board in a network without DHCP, and what goes with it. Each is four numbers with dots. */
export interface StaticAddress {
  /** The board's own. */
  address: string;
  /** Which part of it is the network's: 255.255.255.0 mostly. */
  netmask: string;
  /** The router, in the same network. Default: none, and the board reaches that network only. */
  gateway?: string;
  /** The server for names. Default: none, and the server must be given by its address. */
  dns?: string;
}

/** Bytes of one in the settings: address, netmask, gateway and DNS, 0.0.0.0 for one that is not there. */
export const STATIC_BYTES = 16;

/** The part of a static address that is wrong, and why: `what` it must be. */
export interface WrongPart {
  part: keyof StaticAddress;
  what: string;
}

/** An address as a number; undefined if the text is not an address. Leading zeros are refused, as some programs read them as octal. */
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

/** The first fault of an address that was typed; undefined: it is right. */
export function wrongStatic(
  { address, netmask, gateway, dns }: StaticAddress,
): WrongPart | undefined {
  const own = parseIPv4(address);
  if (own === undefined || !isHost(own)) {
    return { part: "address", what: "it is an address that a host can have, like 192.168.1.50" };
  }
  const mask = parseIPv4(netmask);
  if (mask === undefined || !isNetmask(mask)) {
    return { part: "netmask", what: "it is 128.0.0.0 to 255.255.255.252, like 255.255.255.0" };
  }
  if (!isWithin(own, mask)) {
    return {
      part: "address",
      what: "in this netmask, it is the name of a network or its broadcast",
    };
  }
  if (gateway !== undefined) {
    const router = parseIPv4(gateway);
    const isInside = router !== undefined && isHost(router) &&
      (router & mask) === (own & mask) && isWithin(router, mask);
    if (!isInside) {
      return { part: "gateway", what: "it is an address in the same network as the board's" };
    }
    if (router === own) return { part: "gateway", what: "it is another address than the board's" };
  }
  if (dns !== undefined) {
    const server = parseIPv4(dns);
    if (server === undefined || !isHost(server) || server === own) {
      return { part: "dns", what: "it is the address of another host, like the gateway's" };
    }
  }
  return undefined;
}

/** Its bytes, of one that is not wrong. */
export function encodeStatic({ address, netmask, gateway, dns }: StaticAddress): Uint8Array {
  const bytes = new Uint8Array(STATIC_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [at, part] of [address, netmask, gateway, dns].entries()) {
    view.setUint32(4 * at, part === undefined ? 0 : parseIPv4(part)!);
  }
  return bytes;
}

/** The opposite of {@linkcode encodeStatic}; it may be wrong. */
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

/** Whether it can be one host's: neither "this network", this host itself, a group's, nor reserved. */
function isHost(address: number): boolean {
  const first = address >>> 24;
  return first >= 1 && first <= 223 && first !== 127;
}

/** Ones, and then two zeros at least, or there would be no host in it but one. */
function isNetmask(mask: number): boolean {
  const hosts = ~mask >>> 0;
  return (hosts & hosts + 1) === 0 && hosts >= 3 && mask !== 0;
}

/** Whether it is neither the network's own name nor its broadcast. */
function isWithin(address: number, mask: number): boolean {
  const hosts = ~mask >>> 0;
  const host = (address & hosts) >>> 0;
  return host !== 0 && host !== hosts;
}
