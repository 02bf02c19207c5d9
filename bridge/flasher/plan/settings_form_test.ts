import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { encodeChanges } from "../../formats/improv.ts";
import {
  changeSettings,
  decodeSettings,
  encodeSettings,
  type Settings,
  Tag,
} from "../../formats/settings.ts";
import {
  allChanges,
  describeSettings,
  doubtsAbout,
  type Fields,
  makeKey,
  parseKey,
  readFields,
} from "./settings_form.ts";

const KEY = "0123456789abcdef".repeat(4);

const FILLED: Fields = {
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  port: "8123",
  id: "kitchen",
  key: "",
  timeout: "2000",
  dialect: "2",
  forward: false,
  log: false,
  server2: "",
  address: "",
  netmask: "255.255.255.0",
  gateway: "",
  dns: "",
  country: "",
};

function read(fields: Partial<Fields>) {
  return readFields({ ...FILLED, ...fields });
}

/** Reads the form for a board that gets the rest from another one. */
function readTold(fields: Partial<Fields>) {
  const empty = { ssid: "", password: "", server: "", port: "", id: "", timeout: "" };
  return readFields({ ...FILLED, ...empty, ...fields }, true);
}

Deno.test("a filled form becomes a sector with just those fields", () => {
  const result = read({});
  assert("sector" in result);
  assertEquals(
    result.sector,
    encodeSettings({
      ssid: "Home",
      password: "correct horse",
      server: "192.168.1.10",
      id: "kitchen",
    }),
  );
});

Deno.test("every setting of the form is in the sector", () => {
  const result = read({ port: "9000", timeout: "5000", key: KEY, log: true });
  assert("sector" in result);
  assertEquals(decodeSettings(result.sector), {
    state: "ok",
    settings: {
      ssid: "Home",
      password: "correct horse",
      server: "192.168.1.10",
      port: 9000,
      id: "kitchen",
      key: parseKey(KEY)!,
      timeout: 5000,
      log: true,
    },
  });
});

Deno.test("an open network and dialect 1 are accepted", () => {
  const result = read({ password: "", dialect: "1" });
  assert("settings" in result);
  assertEquals(result.settings, {
    ssid: "Home",
    server: "192.168.1.10",
    id: "kitchen",
    dialect: 1,
  });
});

Deno.test("a server's address is accepted as it is pasted", () => {
  const pasted = {
    "192.168.1.10:9000": 9000,
    " tcp://192.168.1.10:9000/ ": 9000,
    "192.168.1.10": undefined,
  };
  for (const [server, port] of Object.entries(pasted)) {
    const result = read({ server });
    assert("settings" in result, server);
    assertEquals([result.settings.server, result.settings.port], ["192.168.1.10", port]);
  }
});

Deno.test("spaces at the ends belong to a WiFi name and its password, not to the rest", () => {
  const result = read({ ssid: " Home ", password: " 1234567 ", id: " hall ", port: " 1 " });
  assert("settings" in result);
  const { ssid, password, id, port } = result.settings;
  assertEquals([ssid, password, id, port], [" Home ", " 1234567 ", "hall", 1]);
});

/** Fields, and the one that must have a complaint, in these words. */
type Wrong = [Partial<Fields>, keyof Fields, RegExp];

function assertProblems(reader: typeof read | typeof readTold, wrong: readonly Wrong[]): void {
  for (const [fields, name, words] of wrong) {
    const result = reader(fields);
    assert("problems" in result, JSON.stringify(fields));
    assertEquals(Object.keys(result.problems), [name]);
    assertMatch(result.problems[name]!, words);
  }
}

Deno.test("settings that a sector can hold but that cannot work are refused", () => {
  assertProblems(read, [
    [{ server: "localhost" }, "server", /the board itself/],
    [{ server: "tcp://127.0.0.1:8123" }, "server", /the board itself/],
    [{ server: "0.0.0.0:8123" }, "server", /all of its addresses/],
    [{ server: "192.168.1.256" }, "server", /four numbers/],
    [{ server: "pi.local" }, "server", /\.local/],
    [{ password: "x".repeat(64) }, "password", /63 characters/],
  ]);
  assert("settings" in read({ password: "0a".repeat(32) }));
  assertEquals(doubtsAbout({ ssid: "Home", password: "12345678" }), {});
  assertEquals(Object.keys(doubtsAbout({ ssid: "Home ", password: " 12345678" })), [
    "ssid",
    "password",
  ]);
});

Deno.test("settings that are not in the form are removed from a board that has them", () => {
  const settings: Settings = { ssid: "Home", server: "10.0.0.2", id: "hall" };
  const changes = allChanges(settings);
  assertEquals(Object.keys(changes).sort(), Object.keys(Tag).sort());
  assertEquals([changes.ssid, changes.key, changes.timeout], ["Home", null, null]);
  const before = {
    ...settings,
    id: "kitchen",
    key: new Uint8Array(32).fill(1),
    timeout: 5000,
    log: true,
  };
  const frame = encodeChanges(changes)[0]!;
  assertEquals(changeSettings(before, frame.subarray(11, -2)), settings);
});

Deno.test("each field says what is wrong with it", () => {
  const wrong: Wrong[] = [
    [{ ssid: "" }, "ssid", /Enter the name/],
    [{ ssid: "x".repeat(33) }, "ssid", /32 bytes/],
    [{ ssid: "ü".repeat(17) }, "ssid", /32 bytes/],
    [{ password: "short" }, "password", /8 to 64/],
    [{ password: "x".repeat(65) }, "password", /8 to 64/],
    [{ server: " " }, "server", /Enter the address/],
    [{ server: "my server" }, "server", /letters, digits/],
    [{ server: "fe80::1" }, "server", /letters, digits/],
    [{ server: "a:99999" }, "port", /1 to 65535/],
    [{ port: "" }, "port", /1 to 65535/],
    [{ port: "0" }, "port", /1 to 65535/],
    [{ port: "80x" }, "port", /1 to 65535/],
    [{ id: "" }, "id", /Enter an id/],
    [{ id: "x".repeat(65) }, "id", /64 bytes/],
    [{ timeout: "99" }, "timeout", /100 to 3600000/],
    [{ timeout: "3600001" }, "timeout", /100 to 3600000/],
    [{ timeout: "2 s" }, "timeout", /100 to 3600000/],
    [{ key: KEY.slice(1) }, "key", /64 hex digits/],
    [{ key: `${KEY.slice(1)}g` }, "key", /64 hex digits/],
    [{ key: KEY, dialect: "1" }, "key", /Dialect 1 has no keys/],
  ];
  assertProblems(read, wrong);
});

Deno.test("a board that gets its settings from another needs none, and gets only those that it uses", () => {
  const good: [Partial<Fields>, Settings][] = [
    [{}, {}],
    [{ ssid: "Home", password: "correct horse" }, { ssid: "Home", password: "correct horse" }],
    [{ ssid: "Home" }, { ssid: "Home" }],
    [{ key: KEY, log: true }, { key: parseKey(KEY)!, log: true }],
    [{ key: KEY, forward: true }, { key: parseKey(KEY)!, suite: 4 }],
    [{ forward: true }, {}],
    [{ dialect: "1" }, { dialect: 1 }],
    // Left over from another firmware's form, and ignored.
    [{ server: "my server", port: "x", id: "kitchen", timeout: "2 s" }, {}],
  ];
  for (const [fields, settings] of good) {
    const result = readTold(fields);
    assert("sector" in result, JSON.stringify(fields));
    assertEquals(decodeSettings(result.sector), { state: "ok", settings });
  }
  const wrong: Wrong[] = [
    [{ password: "correct horse" }, "ssid", /Enter the name/],
    [{ ssid: "x".repeat(33) }, "ssid", /32 bytes/],
    [{ ssid: "Home", password: "short" }, "password", /8 to 64/],
    [{ key: "?" }, "key", /64 hex digits/],
    [{ key: KEY, dialect: "1" }, "key", /Dialect 1 has no keys/],
  ];
  assertProblems(readTold, wrong);
});

Deno.test("all errors are shown at once", () => {
  const result = read({ ssid: "", server: "", id: "", port: "x" });
  assert("problems" in result);
  assertEquals(Object.keys(result.problems).sort(), ["id", "port", "server", "ssid"]);
});

Deno.test("a made key is valid, and different each time", () => {
  assertEquals(parseKey(makeKey())?.length, 32);
  assertNotEquals(makeKey(), makeKey());
  assertEquals(parseKey(` ${KEY.toUpperCase()}\n`), parseKey(KEY));
});

Deno.test("a board's settings are shown without its secrets", () => {
  const rows = describeSettings({
    ssid: "Home",
    password: "correct horse",
    server: "192.168.1.10",
    id: "kitchen",
    key: parseKey(KEY)!,
  });
  const text = JSON.stringify(rows);
  assert(!text.includes("horse") && !text.includes("0123") && !text.includes("1,35"));
  assertEquals(Object.fromEntries(rows)["Server"], "192.168.1.10:8123");
  assertEquals(Object.fromEntries(rows)["Key"], "there is one");
  assertEquals(new Map(describeSettings({})).get("WiFi name"), "none");
});
