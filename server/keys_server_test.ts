/** Keys over real sockets: proofs, replays, keys that change, and no secret in the log. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  dial,
  greet,
  KEY,
  locked,
  OTHER_KEY,
  SHORT,
  turnedAway,
} from "../tests/support/callers.ts";
import { helloLine, parseWelcome, proveLine, refusal } from "../tests/support/greeting.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { parseKey } from "./protocol/proof.ts";
import { logTo, type ServerOptions } from "./mod.ts";

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

Deno.test("a client with a wrong key never sends its proof, because the server's proof fails first", async () => {
  await using scene = await Scene.start(locked);
  const [client, reasons] = dial(scene.server, { key: OTHER_KEY });
  await using _ = client;
  assertEquals((await until(() => reasons[0])).code, "BAD_PROOF");
  await scene.logs("refused", "LOST");
  assertEquals(scene.server.devices, []);
});

Deno.test("wrong proofs are refused late, and any number of them keeps no other device at their address out", async () => {
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
  await scene.logs("refused", "BAD_PROOF"); // those beyond the limit, which are not delayed
});

Deno.test("a wrong proof is refused as BAD_PROOF after a quarter of the timeout", async () => {
  await using scene = await Scene.start({ ...locked, timeout: SHORT });
  const since = performance.now();
  const peer = await greet(scene, { key: OTHER_KEY });
  assert((await turnedAway(scene, peer, "BAD_PROOF")).endsWith(refusal("02")));
  assert(performance.now() - since >= SHORT / 4);
});

Deno.test("strangers can fill an open server's store, but devices with a key or a stock name still get a place", async () => {
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

Deno.test("hellos whose welcome is never answered use up no place in the store", async () => {
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
      "dialect 1 has no refusals",
    );
  }
  assertEquals(scene.server.devices, [device]);
});

// Replays.

/** Relays a client's connection, and records what the client sends. */
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

for (
  const [suite, pace, code, told] of [
    [2, "byte by byte", "BAD_PROOF", refusal("02")],
    [2, "all at once", "BAD_LINE", ""], // the proof does not even answer the welcome
    [3, "byte by byte", "BAD_PROOF", ""], // a server sends no refusal in the clear
    [3, "all at once", "BAD_LINE", ""],
  ] as const
) {
  Deno.test(`a recorded greeting of suite 0${suite} that is replayed ${pace} is ${code}, and the live link goes on`, async () => {
    await using scene = await Scene.start({ ...locked, timeout: SHORT });
    await using recorder = new Recorder(scene.server.port);
    const [client, reasons] = dial(recorder, { key: KEY, suite, timeout: SHORT });
    await using _ = client;
    const device = await scene.server.device("1");
    await client.write("recorded, too");
    const record = new Uint8Array(await new Blob(recorder.said).arrayBuffer());
    assertEquals(new TextDecoder().decode(record).split("\n")[0]?.slice(0, 3), `\x010${suite}`);

    const replay = await scene.dial();
    if (pace === "all at once") await replay.sayIfHeard(record);
    else {
      const hello = record.indexOf(10) + 1;
      for (const [at, byte] of record.entries()) {
        // Wait for the welcome after the hello, so that the rest answers it.
        if (at === hello) await until(() => replay.lines.length > 0);
        if (!await replay.sayIfHeard(Uint8Array.of(byte))) break;
      }
    }
    assert((await turnedAway(scene, replay, code)).endsWith(told));

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

// Keys that change.

Deno.test("a device whose key is changed is cut off, and comes back only with the new one", async () => {
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
  const late = await scene.dial(`${helloLine({ suite: "02" })}\n`);
  assertEquals(await turnedAway(scene, late, "NOT_ADMITTED"), refusal("04"));
});

Deno.test("nothing that is logged has a key, a proof or a nonce in it", async () => {
  await using scene = await Scene.start({ ...locked, timeout: SHORT, limits: { devices: 1 } });
  const hello = helloLine({ suite: "02" });
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
