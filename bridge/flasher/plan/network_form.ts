/** The form's further network fields: a second address of the server, the board's own address, the country. */
import { parseIPv4, type StaticAddress, wrongStatic } from "../../formats/ipv4.ts";
import type { Settings } from "../../formats/settings.ts";
import { wrongServer } from "./checks.ts";

/** The form's fields as they are typed. */
export interface NetworkFields {
  /** A second address of the server; empty: none. */
  server2: string;
  /** The board's own address, and what belongs to it; empty except for the netmask: DHCP. */
  address: string;
  netmask: string;
  gateway: string;
  dns: string;
  /** Two letters; empty: none. */
  country: string;
}

/** What is wrong, in words, by field. */
export type NetworkProblems = Partial<Record<keyof NetworkFields, string>>;

/** Reads an address as people paste it: `tcp://` before it, a port and a slash after it. */
export function pasted(text: string): { host: string; port: string | undefined } {
  const [, host = "", port] = text.trim().match(/^(?:tcp:\/\/)?(.*?)(?::(\d+))?\/?$/) ?? [];
  return { host, port };
}

/**
 * Reads the network fields.
 *
 * @param known what the other fields say
 * @param told another board tells the device its server: the server's second address is ignored
 */
export function readNetwork(
  fields: NetworkFields,
  known: Settings,
  told: boolean,
): { settings: Pick<Settings, "server2" | "ip" | "country">; problems: NetworkProblems } {
  const problems: NetworkProblems = {};
  const server2 = told ? undefined : readSecond(fields.server2, known, problems);
  const ip = readAddress(fields, { ...known, server2 }, problems);
  const country = fields.country.trim().toUpperCase();
  if (!/^([A-Z]{2})?$/.test(country)) problems.country = "A country is two letters, like DE or US.";
  const settings = {
    ...(server2 === undefined ? {} : { server2 }),
    ...(ip === undefined ? {} : { ip }),
    ...(country === "" ? {} : { country }),
  };
  return { settings, problems };
}

function readSecond(
  typed: string,
  { server, port = 8123 }: Settings,
  problems: NetworkProblems,
): string | undefined {
  const { host, port: own } = pasted(typed);
  if (host === "") return undefined;
  if (!/^[0-9A-Za-z._-]{1,64}$/.test(host)) {
    problems.server2 =
      "A name or an IPv4 address of 64 characters at most: letters, digits, dots and hyphens.";
  } else if (wrongServer(host) !== undefined) {
    problems.server2 = wrongServer(host)!;
  } else if (host === server) {
    problems.server2 = "This is the first address again: enter another one, or leave it empty.";
  } else if (own !== undefined && Number(own) !== port) {
    problems.server2 = `The server has the same port at both addresses: ${port}.`;
  }
  return host;
}

function readAddress(
  fields: NetworkFields,
  { ssid, server, server2 }: { [Name in "ssid" | "server" | "server2"]?: string | undefined },
  problems: NetworkProblems,
): StaticAddress | undefined {
  const [address = "", netmask = "", gateway = "", dns = ""] = [
    fields.address,
    fields.netmask,
    fields.gateway,
    fields.dns,
  ].map((text) => text.trim());
  if (address === "" && gateway === "" && dns === "") return undefined; // the netmask is proposed
  if (address === "") {
    problems.address = "Enter the board’s address, too, or leave gateway and DNS server empty.";
    return undefined;
  }
  if (ssid === undefined) {
    problems.address = "An address belongs to a WiFi: enter its name, or leave this empty.";
    return undefined;
  }
  const ip: StaticAddress = {
    address,
    netmask,
    ...(gateway === "" ? {} : { gateway }),
    ...(dns === "" ? {} : { dns }),
  };
  const wrong = wrongStatic(ip);
  if (wrong) {
    problems[wrong.part] = WRONG_PARTS[wrong.part];
    return undefined;
  }
  const servers = [server, server2].filter((name) => name !== undefined);
  if (dns === "" && servers.some((name) => parseIPv4(name) === undefined)) {
    problems.dns =
      "The server is given by its name: enter who looks it up, mostly the gateway’s address.";
  }
  if (gateway === "" && [...servers, dns].some((other) => isElsewhere(other, ip))) {
    problems.gateway = "The server, or the DNS server, is in another network: enter the router.";
  }
  return ip;
}

/** Whether this address can be reached through a router only. */
function isElsewhere(other: string, { address, netmask }: StaticAddress): boolean {
  const [there, here, mask] = [other, address, netmask].map(parseIPv4);
  return there !== undefined && (there & mask!) !== (here! & mask!);
}

const WRONG_PARTS: Record<keyof StaticAddress, string> = {
  address: "An address is four numbers from 0 to 255, like 192.168.1.50; the first and the last " +
    "of a network are no device’s.",
  netmask: "A netmask is like 255.255.255.0, as the router says it.",
  gateway: "The gateway is the router’s address: in the same network as the board’s, and another.",
  dns: "A DNS server has an address like 192.168.1.1, and not the board’s own.",
};

/** Rows with the board's settings, for people. */
export function describeNetwork({ ip, country }: Settings): [name: string, value: string][] {
  const { address, netmask, gateway = "none", dns = "none" } = ip ?? {};
  return [
    [
      "Address",
      ip ? `${address}, netmask ${netmask}, gateway ${gateway}, DNS server ${dns}` : "by DHCP",
    ],
    ["Country", country ?? "none"],
  ];
}
