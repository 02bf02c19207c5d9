/** Addresses of this machine that can be entered on a board. */

/** The part of a network interface that is needed here. */
export interface Interface {
  name: string;
  family: string;
  address: string;
}

/** Networks inside this machine, and tunnels: no board can reach these. */
const VIRTUAL =
  /^(lo|docker|podman|br-|bridge|veth|virbr|vmnet|vboxnet|lxc|lxd|cni|flannel|cali|tun|tap|utun|wg|zt|tailscale|awdl|llw|vEthernet|VirtualBox|VMware)/i;

/** Private networks, the most common first. */
const PRIVATE = [/^192\.168\./, /^10\./, /^172\.(1[6-9]|2\d|3[01])\./];

/** Most addresses that are printed: among more, nobody could tell which to use. */
const MOST = 3;

/** IPv4 addresses at which boards can probably reach this machine, the likeliest first. */
export function boardAddresses(interfaces: readonly Interface[] = present()): string[] {
  const rank = (address: string) => {
    const at = PRIVATE.findIndex((network) => network.test(address));
    return at < 0 ? PRIVATE.length : at;
  };
  const addresses = interfaces
    .filter(({ name, family, address }) =>
      family === "IPv4" && !VIRTUAL.test(name) && !/^(127|169\.254)\./.test(address)
    )
    .map(({ address }) => address);
  return [...new Set(addresses)].sort((a, b) => rank(a) - rank(b)).slice(0, MOST);
}

/** The machine's interfaces; empty if we may not list them. */
function present(): Interface[] {
  try {
    return Deno.networkInterfaces();
  } catch {
    return [];
  }
}
