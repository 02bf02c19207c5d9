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

Deno.test("what can not be written is refused, and the field named", () => {
  const cases: [object, string][] = [
    [{ ssid: "" }, "settings: ssid: it has 0 bytes, and 1 to 32 are possible"],
    [{ ssid: "é".repeat(17) }, "settings: ssid: it has 34 bytes, and 1 to 32 are possible"],
    [{ ssid: "a\u0000" }, "settings: ssid: it is text without control characters"],
    [{ ssid: "\ud800" }, "settings: ssid: it is text without control characters"],
    [{ id: 7 }, "settings: id: it is text without control characters"],
    [{ password: "short" }, "settings: password: it has 5 bytes, and 8 to 64 are possible"],
    [{ server: "10.0.0.1:8123" }, "(a port is a field of its own)"],
    [{ port: 0 }, "settings: port: it is 1 to 65535"],
    [{ port: 8123.5 }, "settings: port: it is 1 to 65535"],
    [{ port: "8123" }, "settings: port: it is 1 to 65535"],
    [{ timeout: 99 }, "settings: timeout: it is 100 to 3600000"],
    [{ dialect: 3 }, "settings: dialect: it is 1 to 2"],
    [{ log: 1 }, "settings: log: it is true or false"],
    [{ key: new Uint8Array(31) }, "settings: key: a key has 32 bytes"],
    [{ key: "00".repeat(32) }, "settings: key: a key has 32 bytes"],
    [{ key: new Uint8Array(32), dialect: 1 }, "settings: key: dialect 1 has no keys"],
    [{ unknown: { 5: new Uint8Array(1) } }, "tags are 0 to 255"],
    [{ unknown: { 256: new Uint8Array(1) } }, "tags are 0 to 255"],
    [{ unknown: { 10: new Uint8Array(256) } }, "a value has 255 bytes at most"],
    [{ unknown: { 20: new Uint8Array(255), 21: new Uint8Array(255) } }, "has room for 500"],
    [{ country: "de" }, "settings: country: it is two capital letters, like DE"],
    [{ country: "DEU" }, "settings: country: it has 3 bytes, and 2 to 2 are possible"],
    [{ server2: "a b" }, "settings: server2: it is a name or an IPv4 address"],
    [{ ip: net({ address: "192.168.1" }) }, "settings: ip.address: it is an address that a host"],
    [
      { ip: net({ address: "192.168.1.256" }) },
      "settings: ip.address: it is an address that a host",
    ],
    [
      { ip: net({ address: "192.168.01.5" }) },
      "settings: ip.address: it is an address that a host",
    ],
    [{ ip: net({ address: "127.0.0.1" }) }, "settings: ip.address: it is an address that a host"],
    [{ ip: net({ address: "192.168.1.255" }) }, "settings: ip.address: in this netmask, it is the"],
    [{ ip: net({ netmask: "255.0.255.0" }) }, "settings: ip.netmask: it is 128.0.0.0 to"],
    [{ ip: net({ netmask: "24" }) }, "settings: ip.netmask: it is 128.0.0.0 to"],
    [{ ip: net({ gateway: "192.168.2.1" }) }, "settings: ip.gateway: it is an address in the same"],
    [{ ip: net({ gateway: "192.168.1.50" }) }, "settings: ip.gateway: it is another address than"],
    [{ ip: net({ dns: "0.0.0.0" }) }, "settings: ip.dns: it is the address of another host"],
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

Deno.test("an error shows no secret", () => {
  for (const password of ["hunter2", "hunter2\n"]) {
    const error = assertThrows(() => encodeSettings({ ...least, password }), LocalError) as Error;
    assert(!error.message.includes("hunter2"), error.message);
  }
});

Deno.test("less than a header is damaged, not blank", () => {
  const short = { state: "damaged", damage: "length" } as const;
  assertEquals(decodeSettings(new Uint8Array(0)), short);
  assertEquals(decodeSettings(new Uint8Array(11).fill(0xff)), short);
  assertEquals(decodeSettings(encodeSettings(least).subarray(0, 11)), short);
});

randomTest("what was written is read, and one wrong bit is noticed", 300, (random) => {
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
});

randomTest("no bytes make the decoder throw", 1000, (random) => {
  const fields = random.bytes(random.int(0, 60));
  const sector = encodeSettings(least);
  sector.set(fields, 12);
  new DataView(sector.buffer).setUint16(6, fields.length, true);
  new DataView(sector.buffer).setUint32(8, crc32(sector.subarray(4, 8), fields), true);
  const { state } = decodeSettings(sector);
  assert(state === "ok" || state === "damaged");
});
