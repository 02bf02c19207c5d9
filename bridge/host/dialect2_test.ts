/** What a client of dialect 2 reports and does when a server misbehaves. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Server, type ServerOptions } from "../../server/mod.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { RawPeer, RawServer } from "../../tests/support/raw.ts";
import { toolTest } from "../../tests/support/tools.ts";
import { until } from "../../tests/support/wait.ts";
import { Client, type ClientOptions, LocalError, type PeerError } from "./mod.ts";

/** In ms. After a refusal a client pauses for 4 of them. */
const TIMEOUT = 400;

/** For tests in which nothing may be taken for an outage: a busy machine can stand still for seconds. */
const PATIENT = { timeout: 60_000 };

const KEY = "0123456789abcdef".repeat(4);
const OTHER_KEY = "f".repeat(64);

function listen(options: ServerOptions): Promise<Server> {
  return Server.listen({ hostname: "127.0.0.1", port: 0, timeout: TIMEOUT, ...options });
}

/** A client, and why it has no link. */
function dial(
  port: number,
  options: Partial<ClientOptions> = {},
): [Client, (PeerError | LocalError)[]] {
  const reasons: (PeerError | LocalError)[] = [];
  const onState = (_: boolean, reason?: PeerError | LocalError) => reason && reasons.push(reason);
  return [new Client({ id: "1", port, timeout: TIMEOUT, onState, ...options }), reasons];
}

/** The first reason, as people and programs see it. */
async function firstReason(reasons: (PeerError | LocalError)[]): Promise<string> {
  await until(() => reasons.length > 0, { what: "a reason" });
  return `${reasons[0]!.code}: ${reasons[0]!.message}`;
}

// Limits.

Deno.test("a server that comes back with shorter lines: what waits and does not fit is refused, the rest goes on", async () => {
  await using cable = await FaultProxy.start({ target: { port: 1 } });
  await using first = await listen({ open: true });
  cable.retarget(first.port);
  const [client, reasons] = dial(cable.port);
  await using _ = client;
  await client.write("hello");
  cable.blackhole();
  const texts = ["a", "é".repeat(100), "b", "x".repeat(150), "y".repeat(151), "c"];
  const written = texts.map((text) => client.write(text).catch((error: LocalError) => error));
  await until(() => !client.connected, { what: "the outage" });
  const late = client.write("z".repeat(500)).catch((error: LocalError) => error);
  await first.close();
  await using second = await listen({ open: true, limits: { lineBytes: 150 } });
  cable.retarget(second.port);
  cable.restore({ drop: true });
  const device = await second.device("1");
  const read = [];
  while (read.length < 4) read.push(await device.readline());
  assertEquals(read, ["a", "b", "x".repeat(150), "c"]);
  const outcomes = await Promise.all([...written, late]);
  const codes = outcomes.map((it) => it instanceof LocalError ? `${it.code}: ${it.message}` : it);
  const refused = "BAD_TEXT: the server takes at most 150 bytes";
  assertEquals(codes, [true, refused, true, true, refused, true, refused]);
  assert(reasons.every(({ code }) => code !== "LINE_TOO_LONG"));
  await assertRejects(() => client.write("y".repeat(151)), LocalError, "at most 150 bytes");
});

// Keys.

Deno.test("a key that both know opens the link, and messages go both ways", async () => {
  await using server = await listen({ keys: [["1", KEY]], ...PATIENT });
  for (const key of [KEY, KEY.toUpperCase(), Uint8Array.fromHex(KEY)]) {
    const [client, reasons] = dial(server.port, { key, ...PATIENT });
    await using _ = client;
    const device = await server.device("1");
    assertEquals(await Promise.all([client.write("up"), device.readline()]), [true, "up"]);
    assertEquals(await Promise.all([device.write("down"), client.readline()]), [true, "down"]);
    assertEquals(reasons, []);
  }
});

for (
  const [what, access, options, reason] of [
    [
      "has another key",
      { keys: [["1", OTHER_KEY]] },
      { key: KEY },
      "BAD_PROOF: the server does not have this device's key",
    ],
    [
      "has a key where the device has none",
      { keys: [["1", KEY]], open: true },
      {},
      "REFUSED: the server refuses this device: it has a key for this id, but this device gave none",
    ],
    [
      "has no key where the device has one",
      { open: true },
      { key: KEY },
      "REFUSED: the server refuses this device: it has no key for this id, so it cannot prove itself",
    ],
    [
      "does not know the device",
      { keys: [["2", KEY]] },
      {},
      "REFUSED: the server refuses this device: it has no key for this id, and is not open",
    ],
    [
      "is full",
      { open: true, limits: { devices: 1 } },
      {},
      "REFUSED: the server refuses this device: it has too many connections or devices",
    ],
  ] as [string, ServerOptions, Partial<ClientOptions>, string][]
) {
  Deno.test(`a server that ${what} is reported with the reason, and messages wait for a better one`, async () => {
    await using server = await listen(access);
    if (access.limits) {
      await using first = new Client({ id: "first", port: server.port });
      await first.ready();
    }
    const [client, reasons] = dial(server.port, options);
    await using _ = client;
    const written = client.write("for a better one");
    assertEquals(await firstReason(reasons), reason);
    assertEquals([client.connected, client.connects], [false, 0]);
    const { port } = server;
    await server.close();
    const keys = options.key ? [["1", options.key] as const] : [];
    await using better = await listen({ port, open: true, keys });
    assertEquals(await (await better.device("1")).readline(), "for a better one");
    assertEquals(await written, true);
  });
}

Deno.test("a stranger's wrong proof does not keep a client at the same address out", async () => {
  await using server = await listen({ keys: [["1", KEY], ["2", KEY]], ...PATIENT });
  const words = ["1", "0", "0", "0", "40", "10000", "1000"].map((word) => word.padStart(8, "0"));
  await using stranger = await RawPeer.dial(server.port);
  await stranger.say(`\x0101${words.join("")}${"0".repeat(32)}2\n`);
  await until(() => stranger.heard.includes("\n"), { what: "the welcome" });
  await stranger.say(`\x03${"0".repeat(32)}\n`);
  const [client, reasons] = dial(server.port, { key: KEY, ...PATIENT });
  await using _ = client;
  await client.ready();
  assertEquals(reasons, []);
});

Deno.test("a key that is changed on the server cuts the link, and the old one opens it no more", async () => {
  await using server = await listen({ keys: [["1", KEY]] });
  const [client, reasons] = dial(server.port, { key: KEY });
  await using _ = client;
  await client.ready();
  server.setKeys([["1", OTHER_KEY]]);
  await until(() => reasons.some(({ code }) => code === "BAD_PROOF"), { what: "another proof" });
  assertEquals(client.connects, 1);
  server.setKeys([["1", KEY]]);
  await until(() => client.connects > 1, { what: "the link to be back" });
});

// Greetings.

Deno.test("a server that speaks micropython-iot's dialect is reported as such, with what to do", async () => {
  await using server = new RawServer((peer) => {
    void peer.sayIfHeard("\n");
    peer.keepAlive(50);
  });
  const [client, reasons] = dial(server.port);
  await using _ = client;
  const reason = await firstReason(reasons);
  assertStringIncludes(reason, "BAD_GREETING: ");
  assertStringIncludes(reason, "micropython-iot");
  assertStringIncludes(reason, "`dialect: 1`");
  await using stock = new Client({ id: "1", port: server.port, timeout: TIMEOUT, dialect: 1 });
  await stock.ready();
});

for (
  const [what, answer] of [
    ["is cut short", "\x0200\n"],
    ["is of another suite", `\x0203${"0".repeat(88)}\n`],
    ["says nothing but zeros", `\x0200${"0".repeat(88)}\n`],
    ["has letters in its numbers", `\x0200${"x".repeat(88)}\n`],
    ["is another protocol's", "HTTP/1.1 400 Bad Request\r\n\r\n"],
  ] as const
) {
  Deno.test(`a welcome that ${what} ends the connection, and the client pauses`, async () => {
    await using server = new RawServer((peer) => void peer.sayIfHeard(answer));
    const [client, reasons] = dial(server.port);
    await using _ = client;
    await until(() => reasons.length > 0, { what: "a reason" });
    assert(["BAD_GREETING", "BAD_LINE", "BAD_POSITION"].includes(reasons[0]!.code), `${reasons}`);
    assertEquals(client.connects, 0);
  });
}

Deno.test("a client that is refused pauses for twice the timeout at least; one that is cut off does not", async () => {
  for (const [answer, pauses] of [["\x0401\n", true], ["", false]] as const) {
    const times: number[] = [];
    await using server = new RawServer((peer) => {
      times.push(performance.now());
      if (answer === "") peer.close();
      else void peer.sayIfHeard(answer);
    });
    const [client] = dial(server.port);
    await using _ = client;
    await until(() => times.length >= 3, { what: "three attempts" });
    const [first = 0, second = 0] = times;
    // Timers of a busy machine are late, never early (but for a rounded ms).
    if (pauses) assert(second - first >= 2 * TIMEOUT - 5, `${second - first} ms`);
  }
});

Deno.test("an unknown refusal code is a refusal like any other", async () => {
  await using server = new RawServer((peer) => void peer.sayIfHeard("\x042a\n"));
  const [client, reasons] = dial(server.port);
  await using _ = client;
  assertStringIncludes(
    await firstReason(reasons),
    "REFUSED: the server refuses this device: for a",
  );
});

// What the server takes.

Deno.test("a text longer than the server takes is refused at its writer, and others pass", async () => {
  await using server = await listen({ open: true, limits: { lineBytes: 200 }, ...PATIENT });
  const [client, reasons] = dial(server.port, PATIENT);
  await using _ = client;
  await client.ready();
  const device = await server.device("1");
  const longest = "é".repeat(100);
  const error = await assertRejects(() => client.write(`${longest}x`), LocalError, "200 bytes");
  assertEquals(error.code, "BAD_TEXT");
  assertEquals(await client.write(`${longest}x`, { qos: false }).catch(() => false), false);
  assertEquals(await Promise.all([client.write(longest), device.readline()]), [true, longest]);
  assertEquals(reasons, []);
});

Deno.test("a text that was written before the server's limit was known is refused when it is", async () => {
  await using server = await listen({ open: true, limits: { lineBytes: 200 } });
  const [client] = dial(server.port);
  await using _ = client;
  const results = ["first", "x".repeat(201), "last"].map((text) =>
    client.write(text).catch((error) => error.code)
  );
  const device = await server.device("1");
  assertEquals([await device.readline(), await device.readline()], ["first", "last"]);
  assertEquals(await Promise.all(results), [true, "BAD_TEXT", true]);
});

// TLS.

toolTest(
  "the link works the same over TLS, if the certificate is the right one",
  { openssl: "openssl" },
  async ({ openssl }) => {
    const folder = await Deno.makeTempDir();
    try {
      const [cert, key] = await certificate(openssl, folder);
      await using server = await listen({ keys: [["1", KEY]], tls: { cert, key } });
      const [client] = dial(server.port, { key: KEY, tls: { caCert: cert }, ...PATIENT });
      await using _ = client;
      const device = await server.device("1");
      assertEquals(await Promise.all([client.write("up"), device.readline()]), [true, "up"]);
      assertEquals(await Promise.all([device.write("down"), client.readline()]), [true, "down"]);

      const [other, reasons] = dial(server.port, { id: "2", tls: true, ...PATIENT });
      await using _other = other;
      assertStringIncludes(await firstReason(reasons), "LOST: ");
      assertEquals(other.connects, 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

/** A certificate for 127.0.0.1 that vouches for itself, and its key, in PEM. */
async function certificate(openssl: string, folder: string): Promise<[string, string]> {
  // deno-fmt-ignore
  const args = [
    "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=holdfast", "-addext", "subjectAltName=IP:127.0.0.1",
    "-addext", "basicConstraints=critical,CA:FALSE", // Deno accepts no CA certificate as a server's
    "-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`,
  ];
  const { success, stderr } = await new Deno.Command(openssl, { args }).output();
  assert(success, new TextDecoder().decode(stderr));
  return [
    await Deno.readTextFile(`${folder}/cert.pem`),
    await Deno.readTextFile(`${folder}/key.pem`),
  ];
}
