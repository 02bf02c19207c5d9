/** Dialect 2 over real sockets: greetings, keys, and what does not disturb a link. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Client, type ClientOptions, type PeerError } from "../bridge/host/mod.ts";
import {
  helloLine,
  parseWelcome,
  proveLine,
  refusal,
  type Said,
} from "../tests/support/greeting.ts";
import { type RawPeer, RawServer } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";
import { parseKey } from "./protocol/proof.ts";
import { logTo, type ServerOptions } from "./mod.ts";

const KEY = "a1b2c3d4e5f60718".repeat(4);
const OTHER_KEY = "0f1e2d3c4b5a6978".repeat(4);

/** Where a quarter of the timeout is waited for, in ms: short, and a link lives with it on a busy machine. */
const SHORT = 4000;
/** Where all of it is. */
const SHORTEST = 2000;

/** Of a server where only device "1" may connect, with its key. */
const locked: ServerOptions = { open: false, keys: [["1", KEY]] };

/** A client, and why its link was lost or could not be made, each time. */
function dial(
  { port }: { port: number },
  options: Partial<ClientOptions> = {},
): [Client, PeerError[]] {
  const reasons: PeerError[] = [];
  const client = new Client({
    id: "1",
    port,
    timeout: 60_000,
    onState: (_, reason) => reason && reasons.push(reason),
    ...options,
  });
  return [client, reasons];
}

/** Says hello, hears the welcome, and proves itself if there is a key. */
async function greet(
  scene: Scene,
  { key, ...said }: Partial<Said> & { key?: string } = {},
): Promise<RawPeer> {
  const hello = helloLine({ suite: key ? "01" : "00", ...said });
  const peer = await scene.dial(`${hello}\n`);
  const welcome = await until(() => peer.lines[0]);
  await peer.say(key ? proveLine(parseKey("1", key), hello, welcome) : "\n");
  return peer;
}

/** Waits for the end of a connection that is turned away. */
async function turnedAway(scene: Scene, peer: RawPeer, code: string): Promise<string> {
  await peer.end();
  await scene.logs("refused", code);
  return peer.heard;
}

// Links.

Deno.test("client and server with the same key talk, and both have proved it", async () => {
  await using scene = await Scene.start(locked);
  const [client] = dial(scene.server, { key: KEY });
  await using _ = client;
  const device = await scene.server.device("1");
  assertEquals(await client.write("to the server"), true);
  assertEquals(await device.readline(), "to the server");
  const written = device.write("to the device");
  assertEquals(await client.readline(), "to the device");
  assertEquals(await written, true);
  assertEquals((await scene.logs("connected")).dialect, 2);
});

Deno.test("suite mismatch: a device with a key, and a server without one for it: refusal 04", async () => {
  for (const options of [{}, { open: false, keys: [["2", KEY]] }] as ServerOptions[]) {
    await using scene = await Scene.start(options);
    const [client, reasons] = dial(scene.server, { key: KEY });
    await using _ = client;
    const { code, message } = await until(() => reasons[0]);
    assertEquals(code, "REFUSED");
    assertStringIncludes(message, "cannot prove itself");
    await scene.logs("refused", "NOT_ADMITTED");
    assertEquals(scene.server.devices, []);
  }
});

Deno.test("suite mismatch: a device without a key that the server has one for: refusal 03", async () => {
  for (const open of [true, false]) {
    await using scene = await Scene.start({ ...locked, open });
    const [client, reasons] = dial(scene.server);
    await using _ = client;
    const { code, message } = await until(() => reasons[0]);
    assertEquals(code, "REFUSED");
    assertStringIncludes(message, "this device gave none");
    assertEquals(scene.server.devices, []);
  }
});

Deno.test("a client with a wrong key proves nothing to the server, as the server proves nothing to it", async () => {
  await using scene = await Scene.start(locked);
  const [client, reasons] = dial(scene.server, { key: OTHER_KEY });
  await using _ = client;
  assertEquals((await until(() => reasons[0])).code, "BAD_PROOF");
  await scene.logs("refused", "LOST");
  assertEquals(scene.server.devices, []);
});

Deno.test("a wrong proof is refused by name, late, and no number of them keeps others at its address out", async () => {
  await using scene = await Scene.start({ ...locked, open: true });
  for (let n = 0; n < 10; n++) await greet(scene, { key: OTHER_KEY });
  const right = await greet(scene, { key: KEY });
  await right.say("00mine\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "mine");
  const other = await greet(scene, { id: "2" });
  await other.say("00without a key\n");
  assertEquals(await (await scene.server.device("2")).readline(), "without a key");
  const wrong = scene.peers.slice(0, 4);
  for (const peer of wrong) assertEquals([peer.ended, peer.lines.length], [undefined, 1]);
  await scene.logs("refused", "BAD_PROOF"); // those over the bound
});

Deno.test("a wrong proof is refused by name after a quarter of the timeout", async () => {
  await using scene = await Scene.start({ ...locked, timeout: SHORT });
  const since = performance.now();
  const peer = await greet(scene, { key: OTHER_KEY });
  assert((await turnedAway(scene, peer, "BAD_PROOF")).endsWith(refusal("02")));
  assert(performance.now() - since >= SHORT / 4);
});

Deno.test("strangers can fill an open server's store, and those with a key or a name have a place nevertheless", async () => {
  const limits = { devices: 2 };
  await using scene = await Scene.start({ ...locked, open: true, stock: ["old board"], limits });
  for (const id of ["x", "y"]) {
    await greet(scene, { id });
    await scene.server.device(id);
  }
  const late = await scene.dial(`${helloLine({ id: "z" })}\n`);
  assertEquals(await turnedAway(scene, late, "TOO_MANY_DEVICES"), refusal("06"));
  await greet(scene, { key: KEY });
  await scene.server.device("1");
  await scene.device("old board");
  assertEquals(scene.server.devices.length, 4);
});

Deno.test("hellos that nobody answers for use up no place in the store", async () => {
  await using scene = await Scene.start({ limits: { devices: 1 } });
  for (const id of ["x", "y", "z"]) {
    const peer = await scene.dial(`${helloLine({ id })}\n`);
    parseWelcome(await until(() => peer.lines[0]));
  }
  await greet(scene, { id: "1" });
  await scene.server.device("1");
});

Deno.test("--stock admits a named board in dialect 1; a device with a key is refused in it", async () => {
  await using scene = await Scene.start({ ...locked, stock: ["old board"] });
  const [device, board] = await scene.device("old board");
  await board.say("00hello\n");
  assertEquals(await device.readline(), "hello");
  for (const id of ["1", "another"]) {
    const peer = await scene.dial(`${id}\n00let me in\n`);
    assertEquals(
      await turnedAway(scene, peer, "NOT_ADMITTED"),
      "",
      "not a word: it would not know it",
    );
  }
  assertEquals(scene.server.devices, [device]);
});

Deno.test("what a device says about itself is the server's to read, and in its log", async () => {
  for (const options of [{}, locked]) {
    await using scene = await Scene.start(options);
    const metadata = "reset=watchdog version=0.1.0 ort=küche";
    const [client] = dial(scene.server, { metadata, ...(options === locked && { key: KEY }) });
    await using _ = client;
    const device = await scene.server.device("1");
    await client.ready();
    assertEquals([device.id, device.metadata], ["1", metadata]);
    assertEquals((await scene.logs("connected")).metadata, metadata);
  }
});

Deno.test("metadata are those of the newest connection", async () => {
  await using scene = await Scene.start();
  for (const metadata of ["reset=power-on", "reset=software", ""]) {
    await using peer = await greet(scene, { id: metadata ? `1\t${metadata}` : "1" });
    const device = await scene.server.device("1");
    await until(() => device.connected && device.metadata === metadata);
    peer.close();
    await until(() => !device.connected);
    assertEquals(device.metadata, metadata, "after it has gone, too");
  }
  const [, oldBoard] = await scene.device("1");
  assertEquals((await scene.server.device("1")).metadata, "");
  oldBoard.close();
});

Deno.test("a device's own log lines are logged as its own, and the application never sees them", async () => {
  await using scene = await Scene.start();
  const peer = await greet(scene);
  const device = await scene.server.device("1");
  await peer.say("00one\n01\x01heap 20000\n02two\n03\x01\x1b[2J\u202e\r\0\x9b\n04\x01\n05three\n");
  assertEquals(
    [await device.readline(), await device.readline(), await device.readline()],
    ["one", "two", "three"],
  );
  await until(() => peer.lines.includes("05"));
  const entries = scene.log.filter(({ event }) => event === "log");
  assertEquals(entries.map(({ device, message }) => [device, message]), [
    ["1", "heap 20000"],
    ["1", "\\u001b[2J\\u202e\\u000d\\u0000\\u009b"],
    ["1", ""],
  ]);
});

Deno.test("log lines are under the same credit as messages: a flood of them ends the connection", async () => {
  await using scene = await Scene.start({ limits: { lineBytes: 128 } });
  const peer = await greet(scene);
  const line = "x".repeat(120);
  const flood = (n: number) => `${(n & 255).toString(16).padStart(2, "0")}\x01${line}\n`;
  await peer.sayIfHeard(Array.from({ length: 65 }, (_, n) => flood(n)).join(""));
  await peer.end();
  assertEquals((await scene.logs("disconnected")).code, "CREDIT");
});

// What was recorded.

/** Lets a client's connection pass, and keeps what the client says. */
class Recorder implements AsyncDisposable {
  readonly port: number;
  said: Uint8Array<ArrayBuffer>[] = [];
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #conns: Deno.Conn[] = [];
  #work: Promise<void>;

  constructor(target: number) {
    this.port = this.#listener.addr.port;
    this.#work = this.#carry(target);
  }

  async #carry(port: number): Promise<void> {
    const client = await this.#listener.accept();
    const server = await Deno.connect({ hostname: "127.0.0.1", port });
    this.#conns.push(client, server);
    const copy = async (from: Deno.Conn, to: Deno.Conn, keep: boolean) => {
      const buffer = new Uint8Array(4096);
      try {
        for (let n; (n = await from.read(buffer)) !== null;) {
          const bytes = buffer.slice(0, n);
          if (keep) this.said.push(bytes);
          for (let at = 0; at < n;) at += await to.write(bytes.subarray(at));
        }
      } catch {
        // One of them is gone.
      }
    };
    await Promise.all([copy(client, server, true), copy(server, client, false)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.#conns) conn.close();
    this.#listener.close();
    await this.#work;
  }
}

for (const pace of ["byte by byte", "all at once"]) {
  Deno.test(`a recorded greeting that is replayed ${pace} is BAD_PROOF, and the live link goes on`, async () => {
    await using scene = await Scene.start({ ...locked, timeout: SHORT });
    await using recorder = new Recorder(scene.server.port);
    const [client, reasons] = dial(recorder, { key: KEY, timeout: SHORT });
    await using _ = client;
    const device = await scene.server.device("1");
    await client.write("recorded, too");
    const record = new Uint8Array(await new Blob(recorder.said).arrayBuffer());
    assertEquals(new TextDecoder().decode(record).split("\n")[0]?.slice(0, 3), "\x0101");

    const replay = await scene.dial();
    if (pace === "all at once") await replay.sayIfHeard(record);
    // Behind the hello, so that it does answer the welcome.
    const hello = record.indexOf(10) + 1;
    if (pace === "byte by byte") {
      for (const [at, byte] of record.entries()) {
        if (at === hello) await until(() => replay.lines.length > 0);
        if (!await replay.sayIfHeard(Uint8Array.of(byte))) break;
      }
    } else {
      await until(() => replay.lines.length > 0);
      await replay.sayIfHeard("\n");
    }
    assert((await turnedAway(scene, replay, "BAD_PROOF")).endsWith(refusal("02")));

    assertEquals([device.connects, device.connected, reasons], [1, true, []]);
    assertEquals(await device.readline(), "recorded, too");
    await client.write("undisturbed");
    assertEquals(await device.readline(), "undisturbed");
    const written = device.write("in both directions");
    assertEquals(await client.readline(), "in both directions");
    await written;
    assertEquals(scene.codes("replaced"), []);
  });
}

// Who replaces whom.

Deno.test("an unproven hello does not replace the live connection, with a key or without", async () => {
  await Promise.all([KEY, undefined].map(async (key) => {
    await using scene = await Scene.start({ timeout: SHORTEST, ...(key ? locked : {}) });
    const [client] = dial(scene.server, { timeout: SHORTEST, ...(key ? { key } : {}) });
    await using _ = client;
    const device = await scene.server.device("1");
    const peer = await scene.dial(`${helloLine({ suite: key ? "01" : "00" })}\n`);
    await until(() => peer.lines.length > 0);
    await turnedAway(scene, peer, "NO_HELLO");
    assertEquals([device.connects, device.connected], [1, true]);
    await client.write("still here");
    assertEquals(await device.readline(), "still here");
  }));
});

Deno.test("the newest proven connection wins over the live one", async () => {
  await using scene = await Scene.start(locked);
  const older = await greet(scene, { key: KEY });
  const device = await scene.server.device("1");
  await until(() => device.connected);
  const newer = await greet(scene, { key: KEY, nonce: "9".repeat(32) });
  await older.end();
  await newer.say("00from the newer\n");
  assertEquals(await device.readline(), "from the newer");
  assertEquals([device.connects, scene.codes("replaced").length], [2, 1]);
});

Deno.test("one of two that greet at the same time finds its welcome stale, and may come again", async () => {
  await using scene = await Scene.start();
  const peers = [];
  for (let n = 0; n < 2; n++) {
    const peer = await scene.dial(`${helloLine({ txEpoch: 5 + n })}\n`);
    await until(() => peer.lines.length > 0);
    peers.push(peer);
  }
  await peers[1]!.say("00from the second\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "from the second");
  await peers[0]!.say("00from the first\n");
  await turnedAway(scene, peers[0]!, "STALE_GREETING");
  assertEquals(device.connected, true);
});

Deno.test("two devices under one name and key replace each other, and nobody else minds", async () => {
  await using scene = await Scene.start({
    open: false,
    timeout: SHORT,
    keys: [["1", KEY], ["bystander", OTHER_KEY]],
    app: async (device) => {
      for await (const line of device) await device.write(`heard ${line}`);
    },
  });
  const [bystander] = dial(scene.server, { id: "bystander", key: OTHER_KEY, timeout: SHORT });
  await using _ = bystander;
  await bystander.ready();
  const [first] = dial(scene.server, { key: KEY, timeout: SHORT });
  {
    await using _ = first;
    const [second] = dial(scene.server, { key: KEY, timeout: SHORT });
    await using __ = second;
    await until(() => scene.codes("replaced").length >= 4);
    await bystander.write("all well?");
    assertEquals(await bystander.readline(), "heard all well?");
    await second.close();
    await first.write("alone again");
    const told = await first.readline();
    assertEquals(told, "heard alone again");
  }
  assertEquals(bystander.connects, 1);
  for (const { device } of scene.log.filter(({ event }) => event === "replaced")) {
    assertEquals(device, "1");
  }
});

// Hellos of both dialects.

Deno.test("hellos of both dialects on one connection: the second one is BAD_LINE", async () => {
  for (
    const [first, second, dialect] of [
      ["1\n", `${helloLine()}\n`, 1],
      [`${helloLine()}\n`, "kitchen\n", 2],
      [`${helloLine()}\n`, `${helloLine()}\n`, 2],
      ["1\n", "kitchen\n", 1],
    ] as const
  ) {
    await using scene = await Scene.start();
    const peer = await scene.dial(first);
    await until(() => peer.heard.includes("\n"));
    await peer.sayIfHeard(second);
    await peer.end();
    assertEquals((await scene.logs("disconnected")).code, "BAD_LINE");
    assertEquals((await scene.logs("connected")).dialect, dialect);
  }
});

Deno.test("hellos of both dialects, interleaved on two connections of one device: the later one wins", async () => {
  await using scene = await Scene.start();
  const [one, two] = [await scene.dial(), await scene.dial()];
  const hello = `${helloLine()}\n`;
  await one.say("1");
  await two.say(hello.slice(0, 40));
  await one.say("\n00in dialect 1\n");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "in dialect 1");
  await two.say(hello.slice(40));
  await until(() => two.lines.length > 0);
  await one.say("01still in dialect 1\n");
  assertEquals(await device.readline(), "still in dialect 1");
  await two.say("00in dialect 2\n");
  assertEquals(await device.readline(), "in dialect 2");
  await one.end();
  const three = await scene.dial("1\n00and back\n");
  assertEquals(await device.readline(), "and back");
  await two.end();
  await three.hears("00");
  assertEquals(device.connects, 3);
});

// Positions.

Deno.test("a position beyond what was ever sent is logged: STORE_IS_OLD; what is held goes out anew", async () => {
  await using scene = await Scene.start();
  const first = await greet(scene);
  const device = await scene.server.device("1");
  const written = device.write("from an old copy");
  await first.hears("00from an old copy");
  const { txEpoch } = parseWelcome(first.lines[0]!);
  const peer = await greet(scene, { rxEpoch: txEpoch, rxNext: 1000 });
  const { code } = await scene.logs("warning");
  assertEquals(code, "STORE_IS_OLD");
  assert(parseWelcome(peer.lines[0]!).txEpoch !== txEpoch);
  await peer.hears("00from an old copy");
  await peer.say("00\n");
  assertEquals(await written, true);
});

for (
  const [code, what, line] of [
    ["BAD_POSITION", "an ack for what was never sent", "05\n"],
    ["GAP", "a message out of turn", "07text\n"],
    ["BAD_UTF8", "a line that is not UTF-8", new Uint8Array([48, 48, 0xff, 10])],
    ["LINE_TOO_LONG", "a line longer than the server takes", `00${"x".repeat(16385)}\n`],
  ] as const
) {
  Deno.test(`${what} closes that connection by name, ${code}, and the device may come back`, async () => {
    await using scene = await Scene.start();
    const peer = await greet(scene);
    const device = await scene.server.device("1");
    await peer.sayIfHeard(line);
    await peer.end();
    assertEquals((await scene.logs("disconnected")).code, code);
    const back = await greet(scene);
    await back.say("00well again\n");
    assertEquals(await device.readline(), "well again");
  });
}

// Keys that change.

Deno.test("a device whose key is changed is cut off, and comes back with the new one alone", async () => {
  await using scene = await Scene.start({ open: false, keys: [["1", KEY], ["2", OTHER_KEY]] });
  const peer = await greet(scene, { key: KEY });
  const other = await greet(scene, { id: "2", key: OTHER_KEY });
  const [device, neighbour] = await scene.server.waitAll(["1", "2"]);
  scene.server.setKeys([["1", OTHER_KEY], ["2", OTHER_KEY]]);
  await peer.end();
  await until(() => !device!.connected);
  assertEquals(scene.codes("disconnected"), ["NOT_ADMITTED"]);
  await greet(scene, { key: OTHER_KEY });
  await until(() => device!.connected);
  await other.say("00never cut off\n");
  assertEquals(await neighbour!.readline(), "never cut off");
  scene.server.setKeys([["2", OTHER_KEY]]);
  await until(() => !device!.connected);
  const late = await scene.dial(`${helloLine({ suite: "01" })}\n`);
  assertEquals(await turnedAway(scene, late, "NOT_ADMITTED"), refusal("04"));
});

Deno.test("nothing that is logged has a key, a proof or a nonce in it", async () => {
  await using scene = await Scene.start({ ...locked, timeout: SHORT, limits: { devices: 1 } });
  const hello = helloLine({ suite: "01" });
  const told: string[] = [];
  const say = async (...lines: string[]) => {
    const peer = await scene.dial(`${hello}\n`);
    const welcome = await until(() => peer.lines[0]);
    if (welcome.startsWith("\x02")) {
      told.push(parseWelcome(welcome).proof, parseWelcome(welcome).nonce);
    }
    for (const line of lines) await peer.sayIfHeard(line);
    return peer;
  };
  const good = await scene.dial(`${hello}\n`);
  const proof = proveLine(parseKey("1", KEY), hello, await until(() => good.lines[0]));
  await good.say(proof);
  told.push(proof.trim().slice(1), KEY, OTHER_KEY, "0123456789abcdef0123456789abcdef");
  await scene.logs("connected");
  await good.sayIfHeard(proof); // once more
  await good.end();
  await scene.logs("disconnected", "BAD_LINE");
  await turnedAway(scene, await say(hello, "\n"), "BAD_LINE");
  await turnedAway(scene, await scene.dial(`${hello.slice(0, 80)}\n`), "BAD_GREETING");
  await turnedAway(scene, await scene.dial(`${proof}`), "BAD_HELLO");
  scene.server.setKeys([["1", OTHER_KEY]]);
  await turnedAway(scene, await say(proof), "BAD_PROOF");
  await turnedAway(scene, await scene.dial(`${helloLine()}\n`), "NOT_ADMITTED");
  const lines: string[] = [];
  for (const format of ["text", "json"] as const) {
    scene.log.forEach(logTo((line) => lines.push(line), format));
  }
  assert(lines.length > 12);
  for (const secret of told) {
    for (const part of [secret.slice(0, 16), secret.slice(-16)]) {
      assert(
        part.length === 16 && !lines.join("\n").includes(part),
        `${part} in ${lines.join("\n")}`,
      );
    }
  }
});

// The other end's half of the table of errors.

/** A server that answers every hello so. */
function answering(answer: (hello: string) => string): RawServer {
  return new RawServer(async (peer) => {
    const hello = await until(() => peer.lines[0]);
    await peer.sayIfHeard(answer(hello));
  });
}

/** A welcome that says something wrong. */
function welcome(hello: string, wrong: Partial<Said> = {}): string {
  const said = { txEpoch: 9, rxEpoch: parseInt(hello.slice(3, 11), 16), ...wrong, id: "" };
  return `\x02${helloLine(said).slice(1)}\n`;
}

for (
  const [what, code, dialect, answer] of [
    ["a welcome where dialect 1's keepalive should be", "BAD_LINE", 1, () => welcome("")],
    [
      "dialect 1's keepalive and message where a welcome should be",
      "BAD_GREETING",
      2,
      () => "\n00text\n",
    ],
    [
      "a welcome of another suite",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { suite: "01" }),
    ],
    [
      "a welcome that ends too early",
      "BAD_GREETING",
      2,
      (hello: string) => `${welcome(hello).slice(0, 50)}\n`,
    ],
    [
      "a welcome with a window of 0",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 0 }),
    ],
    [
      "a welcome with a window of 65",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 65 }),
    ],
    [
      "a welcome with a window of 2^31",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { window: 2 ** 31 }),
    ],
    [
      "a welcome with bytes below line + 3",
      "BAD_GREETING",
      2,
      (hello: string) => welcome(hello, { bytes: 514 }),
    ],
    [
      "a welcome for another stream",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxEpoch: 1 }),
    ],
    [
      "a position from the server beyond what was ever sent",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxNext: 1 }),
    ],
    [
      "a position from the server far beyond",
      "BAD_POSITION",
      2,
      (hello: string) => welcome(hello, { rxNext: 2 ** 31 }),
    ],
    [
      "an ack from the server for what was never sent",
      "BAD_POSITION",
      2,
      (hello: string) => `${welcome(hello)}00\n`,
    ],
    [
      "a message from the server out of turn",
      "GAP",
      2,
      (hello: string) => `${welcome(hello)}01text\n`,
    ],
    ["a second welcome", "BAD_LINE", 2, (hello: string) => welcome(hello).repeat(2)],
  ] as [string, string, 1 | 2, (hello: string) => string][]
) {
  Deno.test(`to a client, ${what} is ${code}`, async () => {
    await using server = answering(answer);
    const [client, reasons] = dial(server, { dialect });
    await using _ = client;
    assertEquals((await until(() => reasons[0])).code, code);
  });
}

// TLS.

/** A certificate for 127.0.0.1 that signs itself. */
async function certificate(openssl: string): Promise<{ cert: string; key: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const [keyFile, certFile] = [`${folder}/key.pem`, `${folder}/cert.pem`];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    // Not one of an authority, as openssl makes them otherwise: no server may show such a one.
    const extensions = ["subjectAltName=IP:127.0.0.1", "basicConstraints=critical,CA:FALSE"];
    const who = ["-subj", "/CN=holdfast test", ...extensions.flatMap((it) => ["-addext", it])];
    const files = ["-keyout", keyFile, "-out", certFile, "-days", "2"];
    const { success, stderr } = await new Deno.Command(openssl, {
      args: ["req", "-x509", ...curve, ...who, ...files],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return { cert: await Deno.readTextFile(certFile), key: await Deno.readTextFile(keyFile) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

toolTest("the same protocol over TLS, end to end", { openssl: "openssl" }, async ({ openssl }) => {
  const tls = await certificate(openssl);
  for (const dialect of [1, 2] as const) {
    await using scene = await Scene.start({ tls, ...(dialect === 2 ? locked : {}) });
    const [client] = dial(scene.server, {
      dialect,
      tls: { caCert: tls.cert },
      ...(dialect === 2 ? { key: KEY } : {}),
    });
    await using _ = client;
    const device = await scene.server.device("1");
    const text = "grün 🐙".repeat(500);
    for (let n = 0; n < 5; n++) {
      await client.write(`${n} ${text}`);
      assertEquals(await device.readline(), `${n} ${text}`);
      const written = device.write(`${n} back`);
      assertEquals(await client.readline(), `${n} back`);
      assertEquals(await written, true);
    }
  }
});

toolTest("a server's certificate that nobody vouches for is refused by the client", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const [tls, other] = [await certificate(openssl), await certificate(openssl)];
  await using scene = await Scene.start({ tls });
  for (const trusted of [{ caCert: other.cert }, true] as const) {
    const [client, reasons] = dial(scene.server, { tls: trusted });
    await using _ = client;
    const { code, message } = await until(() => reasons[0]);
    assertEquals(code, "LOST");
    assertStringIncludes(message.toLowerCase(), "certificate");
  }
  assertEquals(scene.server.devices, []);
});

toolTest("who speaks no TLS to a server that does is refused, and holds nobody up", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const tls = await certificate(openssl);
  await using scene = await Scene.start({ tls, timeout: SHORTEST });
  const plain = await scene.dial(`${helloLine()}\n`);
  await scene.dial(); // says nothing; Deno keeps its socket until the other end closes it
  const [client] = dial(scene.server, { tls: { caCert: tls.cert }, timeout: SHORTEST });
  await using _ = client;
  await client.write("not held up");
  await plain.end();
  await scene.logs("refused", "LOST");
  await scene.logs("refused", "NO_HELLO");
  assertEquals((await scene.server.device("1")).connected, true);
});
