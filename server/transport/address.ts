/** A host and a port as one text; an IPv6 address is in brackets. */
export function joinAddress(hostname: string, port: number): string {
  return hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
