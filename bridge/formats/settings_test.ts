import { assert, assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "../../server/protocol/errors.ts";
import { randomTest } from "../../tests/support/random.ts";
import { crc32 } from "./crc32.ts";
import {
  changeSettings,
  decodeFields,
  decodeSettings,
  encodeFields,
  encodeSettings,
  missingSettings,
  SECTOR_BYTES,
  type Settings,
  USED_BYTES,
} from "./settings.ts";
import {
  bytesOfHex,
  loadVectors,
  sectorOf,
  settingsOf,
} from "../../tests/vectors/settings/vectors.ts";

const vectors = loadVectors();
const net = (parts: object) => ({ address: "192.168.1.50", netmask: "255.255.255.0", ...parts });
const least: Settings = { ssid: "Home", server: "192.168.1.10", id: "kitchen" };

for (const vector of vectors.sectors) {
  Deno.test(`a sector: ${vector.name}`, () => {
    const bytes = sectorOf(vector);
    const expected = vector.state === "ok"
      ? { state: "ok", settings: settingsOf(vector.settings) }
      : vector.state === "damaged"
      ? { state: "damaged", damage: vector.damage }
      : { state: "blank" };
    const sector = decodeSettings(bytes);
    assertEquals(sector, expected as typeof sector);
    assertEquals(decodeSettings(bytes.subarray(0, USED_BYTES)), sector);
    if (sector.state !== "ok" || vector.state !== "ok") return;
    assertEquals(missingSettings(sector.settings), vector.missing);
    const encoded = encodeSettings(sector.settings);
    assertEquals(encoded.length, SECTOR_BYTES);
    if (vector.order === undefined) assertEquals(encoded, bytes);
    else assertEquals(decodeSettings(encoded), sector);
  });
}

for (const { name, before, changes, after } of vectors.changes) {
  Deno.test(`a change: ${name}`, () => {
    const change = () => changeSettings(decodeFields(bytesOfHex(before)), bytesOfHex(changes));
    if (after === null) assertThrows(change, LocalError);
    else assertEquals(encodeFields(change()), bytesOfHex(after));
  });
}

Deno.test("a value out of range is refused, and the field named", () => {
  const cases: [object, string][] = [
    [{ ssid: "" }, "settings: ssid: must have 1 to 32 bytes, not 0"],
    [{ ssid: "é".repeat(17) }, "settings: ssid: must have 1 to 32 bytes, not 34"],
    [{ ssid: "a\u0000" }, "settings: ssid: must be text without control characters"],
    [{ ssid: "\ud800" }, "settings: ssid: must be text without control characters"],
    [{ id: 7 }, "settings: id: must be text without control characters"],
    [{ password: "short" }, "settings: password: must have 8 to 64 bytes, not 5"],
    [{ server: "10.0.0.1:8123" }, "(the port is a field of its own)"],
    [{ port: 0 }, "settings: port: must be 1 to 65535"],
    [{ port: 8123.5 }, "settings: port: must be 1 to 65535"],
    [{ port: "8123" }, "settings: port: must be 1 to 65535"],
    [{ timeout: 99 }, "settings: timeout: must be 100 to 3600000"],
    [{ dialect: 3 }, "settings: dialect: must be 1 to 2"],
    [{ log: 1 }, "settings: log: must be true or false"],
    [{ key: new Uint8Array(31) }, "settings: key: must have 32 bytes"],
    [{ key: "00".repeat(32) }, "settings: key: must have 32 bytes"],
    [{ key: new Uint8Array(32), dialect: 1 }, "settings: key: dialect 1 has no keys"],
    [{ unknown: { 5: new Uint8Array(1) } }, "a tag must be 0 to 255"],
    [{ unknown: { 256: new Uint8Array(1) } }, "a tag must be 0 to 255"],
    [{ unknown: { 10: new Uint8Array(256) } }, "a value has at most 255 bytes"],
    [
      { unknown: { 20: new Uint8Array(255), 21: new Uint8Array(255) } },
      "more than the 500 that fit the sector",
    ],
    [{ country: "de" }, "settings: country: must be two capital letters, like DE"],
    [{ country: "DEU" }, "settings: country: must have 2 to 2 bytes, not 3"],
    [{ server2: "a b" }, "settings: server2: must be a name or an IPv4 address"],
    [{ ip: net({ address: "192.168.1" }) }, "settings: ip.address: must be a host's address"],
    [
      { ip: net({ address: "192.168.1.256" }) },
      "settings: ip.address: must be a host's address",
    ],
    [
      { ip: net({ address: "192.168.01.5" }) },
      "settings: ip.address: must be a host's address",
    ],
    [{ ip: net({ address: "127.0.0.1" }) }, "settings: ip.address: must be a host's address"],
    [{ ip: net({ address: "192.168.1.255" }) }, "settings: ip.address: must not be the network's"],
    [{ ip: net({ netmask: "255.0.255.0" }) }, "settings: ip.netmask: must be 128.0.0.0 to"],
    [{ ip: net({ netmask: "24" }) }, "settings: ip.netmask: must be 128.0.0.0 to"],
    [{ ip: net({ gateway: "192.168.2.1" }) }, "settings: ip.gateway: must be an address in the"],
    [{ ip: net({ gateway: "192.168.1.50" }) }, "settings: ip.gateway: must differ from"],
    [{ ip: net({ dns: "0.0.0.0" }) }, "settings: ip.dns: must be another host's address"],
  ];
  for (const [settings, message] of cases) {
    const error = assertThrows(
      () => encodeSettings({ ...least, ...settings }),
      LocalError,
      message,
    ) as LocalError;
    assertEquals(error.code, "BAD_ARGUMENT");
  }
});

Deno.test("an error message shows no secret", () => {
  for (const password of ["hunter2", "hunter2\n"]) {
    const error = assertThrows(() => encodeSettings({ ...least, password }), LocalError) as Error;
    assert(!error.message.includes("hunter2"), error.message);
  }
});

Deno.test("a sector shorter than a header is damaged, not blank", () => {
  const short = { state: "damaged", damage: "length" } as const;
  assertEquals(decodeSettings(new Uint8Array(0)), short);
  assertEquals(decodeSettings(new Uint8Array(11).fill(0xff)), short);
  assertEquals(decodeSettings(encodeSettings(least).subarray(0, 11)), short);
});

randomTest(
  "settings are read as they were written, and one wrong bit is noticed",
  300,
  (random) => {
    const settings: Settings = { ...least };
    if (random.once(2)) settings.password = "p".repeat(random.int(8, 64));
    if (random.once(2)) settings.port = random.int(1, 65535);
    if (random.once(2)) settings.key = random.bytes(32);
    if (random.once(2)) settings.suite = random.pick([3, 4]);
    if (random.once(2)) settings.timeout = random.int(100, 3_600_000);
    if (random.once(2)) settings.log = random.once(2);
    if (random.once(2)) settings.country = random.pick(["DE", "US", "ZZ"]);
    if (random.once(2)) settings.server2 = "s".repeat(random.int(1, 64));
    if (random.once(2)) {
      settings.ip = {
        address: `10.${random.int(0, 255)}.${random.int(0, 255)}.${random.int(2, 254)}`,
        netmask: random.pick(["255.0.0.0", "255.255.0.0", "255.255.255.0"]),
        ...(random.once(2) ? { dns: "9.9.9.9" } : {}),
      };
    }
    if (random.once(2)) settings.unknown = { [random.int(15, 255)]: random.bytes(20) };
    const sector = encodeSettings(settings);
    assertEquals(decodeSettings(sector), { state: "ok", settings });
    const used = 12 + encodeFields(settings).length;
    sector[random.int(0, used - 1)]! ^= 1 << random.int(0, 7);
    assertEquals(decodeSettings(sector).state, "damaged");
  },
);

randomTest("no bytes in the sector make the decoder throw", 1000, (random) => {
  const fields = random.bytes(random.int(0, 60));
  const sector = encodeSettings(least);
  sector.set(fields, 12);
  new DataView(sector.buffer).setUint16(6, fields.length, true);
  new DataView(sector.buffer).setUint32(8, crc32(sector.subarray(4, 8), fields), true);
  const { state } = decodeSettings(sector);
  assert(state === "ok" || state === "damaged");
});
