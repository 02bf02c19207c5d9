/** Links with ephemeral keys over real sockets: what a recording shows once the device's key is known, and what an end tells a false peer. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { dial, greet, KEY, locked, SHORT, SHORTEST, turnedAway } from "../tests/support/callers.ts";
import { helloLine, saidAtFirst, welcomeProof } from "../tests/support/greeting.ts";
import { RawServer } from "../tests/support/raw.ts";
import { Relay, type Way } from "../tests/support/relay.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { zeros } from "../tests/vectors/seal/vectors.ts";
import { Ephemeral } from "./protocol/ephemeral.ts";
import { masked } from "./protocol/greeting.ts";
import { maskOf, parseKey } from "./protocol/proof.ts";
import { Seal, sealKeys } from "./protocol/seal.ts";

/** Options of a server whose device "1" must speak suite 04. */
const forward = { open: false, keys: [["1", `04:${KEY}`]] } as const;

const key = parseKey("1", KEY);
const decoder = new TextDecoder();

/** Start and end of the ephemeral key in a hello or welcome, in characters. */
const [FROM, TO] = [59, 123];
// deno-lint-ignore no-control-regex
const GREETING = /[\x01\x02]04[0-9a-f]{56}([0-9a-f]{64})/g;

/** What went one way: the lines of the greeting, and the bytes after them. */
function recorded(relay: Relay, way: Way): { lines: string[]; rest: Uint8Array } {
  const text = relay.textOf(way);
  const lines = text.split("\n").slice(0, way === "toServer" ? 2 : 1);
  const start = lines.reduce((sum, line) => sum + line.length + 1, 0);
  return { lines, rest: Uint8Array.from(text.slice(start), (c) => c.charCodeAt(0)) };
}

for (const [suite, reads] of [[3, "everything"], [4, "nothing"]] as const) {
  Deno.test(`an attacker who has recorded a link of suite 0${suite}, and gets the device's key later, reads ${reads}`, async () => {
    await using scene = await Scene.start(suite === 4 ? forward : locked);
    await using relay = new Relay(scene.server.port);
    const [client] = dial(relay, { key: KEY, suite });
    await using _ = client;
    const device = await scene.server.device("1");
    await Promise.all([client.write("yesterday"), device.readline()]);
    await Promise.all([device.write("noted"), client.readline()]);
    const [up, down] = [recorded(relay, "toServer"), recorded(relay, "toDevice")];
    assertEquals(up.lines[0]!.slice(0, 3), `\x010${suite}`);
    const { toServer, toDevice } = sealKeys(key, `${up.lines[0]}\n${down.lines[0]}\n`);
    const thief = new Seal(toDevice, toServer, 16_384, 16_384);
    const { bytes, error } = thief.open(up.rest);
    if (suite === 3) {
      assertStringIncludes(decoder.decode(bytes), "00yesterday\n");
      return;
    }
    assertEquals([decoder.decode(bytes), error?.code], ["", "BAD_SEAL"]);
    assertEquals(up.lines[0]!.slice(TO, TO + 5), "1\tms=");
    assert(!relay.textOf("toServer").includes("yesterday"));
    assert(!relay.textOf("toDevice").includes("noted"));
  });
}

Deno.test("each connection has new ephemeral keys, at both ends", async () => {
  await using scene = await Scene.start({ ...forward, timeout: SHORTEST });
  await using relay = new Relay(scene.server.port);
  const [client] = dial(relay, { key: KEY, suite: 4, timeout: SHORTEST });
  await using _ = client;
  for (let n = 1; n <= 3; n++) {
    await until(() => client.connects === n && client.connected);
    await relay.say("toDevice", "this is no record of the server's");
  }
  await until(() => client.connects === 4);
  const greetings = relay.textOf("toServer") + relay.textOf("toDevice");
  const keys = Array.from(greetings.matchAll(GREETING), ([, key]) => key);
  assertEquals([keys.length, new Set(keys).size], [8, 8]);
});

for (const [what, way] of [["the device's", "toServer"], ["the server's", "toDevice"]] as const) {
  Deno.test(`${what} ephemeral key is replaced on its way: no link, and nothing is proven`, async () => {
    await using scene = await Scene.start({ ...forward, timeout: SHORTEST });
    await using relay = new Relay(scene.server.port);
    const own = new TextEncoder().encode(new Ephemeral().publicKey);
    relay.meddle = (to, bytes) => {
      if (to === way && bytes[0]! <= 2) bytes.set(own, FROM);
      return [bytes];
    };
    const [client, reasons] = dial(relay, { key: KEY, suite: 4, timeout: SHORTEST });
    await using _ = client;
    assertEquals((await until(() => reasons[0])).code, "BAD_PROOF");
    assert(!relay.textOf("toServer").includes("\x03"));
    assertEquals(scene.server.devices, []);
  });
}

Deno.test("a device with the key, but an ephemeral key of small order, gets no link, and hears only the welcome", async () => {
  await using scene = await Scene.start({ ...forward, timeout: SHORT });
  for (const nonce of zeros) {
    const peer = await greet(scene, { key: KEY, suite: "04", nonce });
    const heard = await turnedAway(scene, peer, "BAD_SEAL");
    assertEquals(heard.split("\n").length, 2); // the welcome alone
  }
  assertEquals(scene.server.devices, []);
});

Deno.test("a server with the key, but an invalid ephemeral key or one of small order, hears only the hello", async () => {
  const nonces = [...zeros, "Z".repeat(64)];
  const cases = nonces.flatMap((nonce) => ["", "00open valve\n"].map((tail) => [nonce, tail]));
  for (const [nonce = "", tail = ""] of cases) {
    await using server = new RawServer(async (peer) => {
      const hello = await peer.firstLine();
      if (hello === undefined) return; // the client was closed
      const said = { ...saidAtFirst, txEpoch: 9, rxEpoch: parseInt(hello.slice(3, 11), 16) };
      const hidden = masked(said, maskOf(key, nonce));
      const line = helloLine({ ...hidden, suite: "04", nonce, id: "" });
      const welcome = `\x02${line.slice(1)}`;
      await peer.sayIfHeard(`${welcome}${welcomeProof(key, hello, welcome)}\n${tail}`);
      await peer.end();
      heard.push(peer.heard);
    });
    const heard: string[] = [];
    const [client, reasons] = dial(server, { key: KEY, suite: 4, timeout: SHORTEST });
    await using _ = client;
    let got = false;
    client.readline().then(() => got = true, () => {}); // it is closed
    assertEquals((await until(() => reasons[0])).code, "BAD_SEAL");
    assertEquals((await until(() => heard[0])).split("\n").length, 2); // the hello alone
    assert(!got);
  }
});
