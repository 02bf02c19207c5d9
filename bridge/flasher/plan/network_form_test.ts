import { assertEquals } from "@std/assert";
import { type NetworkFields, type NetworkProblems, readNetwork } from "./network_form.ts";
import type { Settings } from "../../formats/settings.ts";

const EMPTY: NetworkFields = {
  server2: "",
  address: "",
  netmask: "255.255.255.0",
  gateway: "",
  dns: "",
  country: "",
};
const KNOWN: Settings = { ssid: "Home", server: "192.168.1.10", id: "kitchen" };

function read(fields: Partial<NetworkFields>, known = KNOWN, told = false) {
  return readNetwork({ ...EMPTY, ...fields }, known, told);
}

Deno.test("untouched fields add nothing to the settings", () => {
  assertEquals(read({}), { settings: {}, problems: {} });
  assertEquals(read({ netmask: "x", server2: " ", country: " " }), { settings: {}, problems: {} });
});

Deno.test("a second server address is accepted as pasted; the board's own address and a country are read", () => {
  const filled = {
    server2: " tcp://server.lan:8123/ ",
    address: "192.168.1.50 ",
    gateway: "192.168.1.1",
    dns: "9.9.9.9",
    country: "de",
  };
  const ip = {
    address: "192.168.1.50",
    netmask: "255.255.255.0",
    gateway: "192.168.1.1",
    dns: "9.9.9.9",
  };
  assertEquals(read(filled), {
    settings: { server2: "server.lan", ip, country: "DE" },
    problems: {},
  });
  // A Pyboard tells the board its server.
  assertEquals(read(filled, { ssid: "Home" }, true).settings, { ip, country: "DE" });
  const alone = { address: "192.168.1.50", netmask: "255.255.255.0" };
  assertEquals(read(alone), { settings: { ip: alone }, problems: {} });
});

/** Fields, what else is known, and the one field that must have a complaint. */
const wrong: [Partial<NetworkFields>, Settings, keyof NetworkProblems][] = [
  [{ server2: "my server" }, KNOWN, "server2"],
  [{ server2: "192.168.1.10" }, KNOWN, "server2"],
  [{ server2: "127.0.0.1" }, KNOWN, "server2"],
  [{ server2: "192.168.1.11:9000" }, KNOWN, "server2"],
  [{ server2: "192.168.1.11:8123" }, { ...KNOWN, port: 9000 }, "server2"],
  [{ server2: "a".repeat(65) }, KNOWN, "server2"],
  [{ address: "192.168.1" }, KNOWN, "address"],
  [{ address: "192.168.1.256" }, KNOWN, "address"],
  [{ address: "192.168.1.0" }, KNOWN, "address"],
  [{ address: "192.168.1.255" }, KNOWN, "address"],
  [{ address: "127.0.0.1" }, KNOWN, "address"],
  [{ gateway: "192.168.1.1" }, KNOWN, "address"],
  [{ dns: "192.168.1.1" }, KNOWN, "address"],
  [{ address: "192.168.1.50" }, { server: "192.168.1.10" }, "address"],
  [{ address: "192.168.1.50", netmask: "" }, KNOWN, "netmask"],
  [{ address: "192.168.1.50", netmask: "24" }, KNOWN, "netmask"],
  [{ address: "192.168.1.50", netmask: "255.0.255.0" }, KNOWN, "netmask"],
  [{ address: "192.168.1.50", gateway: "192.168.2.1" }, KNOWN, "gateway"],
  [{ address: "192.168.1.50", gateway: "192.168.1.50" }, KNOWN, "gateway"],
  [{ address: "192.168.1.50" }, { ...KNOWN, server: "10.0.0.1" }, "gateway"],
  [{ address: "192.168.1.50", server2: "10.0.0.1" }, KNOWN, "gateway"],
  [{ address: "192.168.1.50", dns: "9.9.9.9" }, KNOWN, "gateway"],
  [{ address: "192.168.1.50", dns: "9.9" }, KNOWN, "dns"],
  [{ address: "192.168.1.50", dns: "192.168.1.50" }, KNOWN, "dns"],
  [{ address: "192.168.1.50" }, { ...KNOWN, server: "server.lan" }, "dns"],
  [{ address: "192.168.1.50", server2: "server.lan" }, KNOWN, "dns"],
  [{ country: "Germany" }, KNOWN, "country"],
  [{ country: "D1" }, KNOWN, "country"],
];

Deno.test("an impossible value gets a complaint at its field", () => {
  for (const [fields, known, name] of wrong) {
    assertEquals(Object.keys(read(fields, known).problems), [name], JSON.stringify(fields));
  }
});
