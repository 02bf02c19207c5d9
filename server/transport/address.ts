/** A host and a port as one text; an IPv6 address is in brackets. */
export function joinAddress(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}

/**
 * The peer behind an address, for limits: in IPv6 its /64 network, where a machine can use any number of addresses.
 * Link-local addresses share one network, so they count separately.
 *
 * @param hostname An address without a port or brackets.
 */
export function peerOf(hostname: string): string {
  const [address = ""] = hostname.split("%"); // without its zone
  const mapped = address.match(/^::ffff:(\d+(?:\.\d+){3})$/i);
  if (mapped) return mapped[1]!;
  if (!address.includes(":") || /^fe[89ab]/i.test(address)) return hostname;
  const [front = "", back] = address.split("::");
  const words = front === "" ? [] : front.split(":");
  if (back !== undefined) {
    // An IPv4 address at the end counts as two words.
    const behind = back === "" ? 0 : back.split(":").length + (back.includes(".") ? 1 : 0);
    while (words.length < 8 - behind) words.push("0");
    words.push(...back.split(":"));
  }
  const network = words.slice(0, 4).map((word) => parseInt(word, 16).toString(16));
  return `${network.join(":")}::/64`;
}

/** Whether only this machine can reach an address. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}
