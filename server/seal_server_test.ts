/** Sealed links over real sockets, with an attacker on the path who reads, changes, repeats, reorders, leaves out and adds. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  dial,
  greet,
  KEY,
  locked,
  OTHER_KEY,
  SHORT,
  SHORTEST,
  turnedAway,
} from "../tests/support/callers.ts";
import { helloLine, refusal } from "../tests/support/greeting.ts";
import { Random } from "../tests/support/random.ts";
import { Relay, type Way } from "../tests/support/relay.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { zeros } from "../tests/vectors/seal/vectors.ts";

/** Options of a server whose device "1" must use a sealed link. */
const sealing = { open: false, keys: [["1", `03:${KEY}`]] } as const;

for (const suite of [2, 3] as const) {
  Deno.test(`what a relay without the key achieves that speaks for both ends after the greeting, in suite 0${suite}`, async () => {
    await using scene = await Scene.start({ ...locked, timeout: SHORTEST });
    await using relay = new Relay(scene.server.port);
    const [client, reasons] = dial(relay, { key: KEY, suite, timeout: SHORTEST });
    await using _ = client;
    const device = await scene.server.device("1");
    await until(() => client.connected && device.connected);
    const connects = client.connects;
    await relay.say("toServer", "00unlock the door\n");
    await relay.say("toDevice", "00open valve\n");
    if (suite === 2) {
      assertEquals(await device.readline(), "unlock the door");
      assertEquals(await client.readline(), "open valve");
      return;
    }
    await until(() => client.connects > connects && device.connected);
    const codes = [...scene.codes("disconnected"), ...reasons.map(({ code }) => code)];
    assert(codes.includes("BAD_SEAL"), codes.join());
    const written = [device.write("down"), client.write("up")];
    assertEquals([await device.readline(), await client.readline()], ["up", "down"]);
    await Promise.all(written);
  });

  Deno.test(`what a relay achieves that swallows a message and acknowledges it, in suite 0${suite}`, async () => {
    await using scene = await Scene.start({ ...locked, timeout: SHORTEST });
    await using relay = new Relay(scene.server.port);
    const [client] = dial(relay, { key: KEY, suite, timeout: SHORTEST });
    await using _ = client;
    const device = await scene.server.device("1");
    await until(() => client.connected && device.connected);
    relay.meddle = (way, bytes) => way === "toServer" ? [] : [bytes];
    const written = client.write("never arrives?");
    await until(() => relay.heard.at(-1)?.way === "toServer");
    await relay.say("toDevice", "00\n");
    if (suite === 2) {
      assertEquals(await written, true); // it is lost, and its writer was told otherwise
      assertEquals(device.connects, 1);
      return;
    }
    relay.meddle = (_, bytes) => [bytes];
    assertEquals(await device.readline(), "never arrives?");
    await written;
    assertEquals(client.connects, 2);
  });
}

Deno.test("an eavesdropper can read only the greeting", async () => {
  await using scene = await Scene.start(sealing);
  await using relay = new Relay(scene.server.port);
  const [client] = dial(relay, { key: KEY });
  await using _ = client;
  const device = await scene.server.device("1");
  const texts = Array.from({ length: 50 }, (_, n) => `secret ${n}`);
  for (const text of texts) {
    await Promise.all([
      client.write(text),
      device.readline(),
      device.write(text),
      client.readline(),
    ]);
  }
  for (const [way, lines] of [["toServer", 2], ["toDevice", 1]] as const) {
    const heard = relay.textOf(way);
    assert(heard.length > 50 * (RECORD + 10));
    assert(!heard.includes("secret"), heard);
    assertEquals(
      heard.split("\n").slice(0, lines).map((line) => line.charCodeAt(0)),
      way === "toServer" ? [1, 3] : [2],
    );
  }
});

/** The bytes that a record adds to what it seals. */
const RECORD = 18;

Deno.test("whatever an attacker on the path does, nothing that was not written is delivered, and nothing is lost", async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const random = new Random(seed);
    await using scene = await Scene.start({ ...sealing, timeout: SHORTEST / 2 });
    await using relay = new Relay(scene.server.port);
    let mischief = 0;
    const kept: Record<Way, Uint8Array[]> = { toServer: [], toDevice: [] };
    relay.meddle = (way, bytes) => {
      const earlier = kept[way];
      earlier.push(bytes.slice());
      if (mischief === 40 || random.int(0, 5) > 0) return [bytes];
      mischief++;
      const old = random.pick(
        random.int(0, 3) > 0 ? earlier : kept[way === "toServer" ? "toDevice" : "toServer"],
      ) ?? bytes;
      const at = random.int(0, bytes.length - 1);
      switch (random.int(0, 6)) {
        case 0: // changed
          bytes[at]! ^= 1 << random.int(0, 7);
          return [bytes];
        case 1: // repeated
          return [bytes, old];
        case 2: // an earlier one, of this or another connection, or from the other end
          return [old, bytes];
        case 3: // in another order
          return [bytes.slice(at), bytes.slice(0, at)];
        case 4: // cut off
          return [bytes.slice(0, at)];
        case 5: // left out
          return [];
        default: // made up
          return [Uint8Array.from({ length: random.int(1, 60) }, () => random.int(0, 255)), bytes];
      }
    };
    const [client] = dial(relay, { key: KEY, timeout: SHORTEST / 5 });
    await using _ = client;
    const device = await scene.server.device("1");
    const texts = Array.from({ length: 80 }, (_, n) => `${n} ${"x".repeat(random.int(0, 300))}`);
    const write = async (end: { write(text: string): Promise<boolean> }) => {
      for (const text of texts) await end.write(text);
    };
    const read = async (end: { readline(): Promise<string> }) => {
      for (const text of texts) assertEquals(await end.readline(), text);
    };
    await Promise.all([write(client), write(device), read(device), read(client)]);
    assert(mischief > 5, `seed ${seed}: ${mischief}`);
  }
});

/** A suite that seals. */
interface Sealing {
  suite: 3 | 4;
  /** The refusal codes of a key that is only for this suite, by the suite of the hello. */
  refusals: Readonly<Record<string, string>>;
  /** A part of the error that a client of another suite gets. */
  told: string;
  /** The client's error when the suite is lowered on its way, and the key is for any suite. */
  lowered: string;
  /** In a hello: an ephemeral key of small order, where the suite has ephemeral keys. */
  nonce?: string;
}

const SUITES: readonly Sealing[] = [
  {
    suite: 3,
    refusals: { "00": "03", "02": "08" },
    told: "is for sealed links",
    lowered: "BAD_PROOF",
  },
  {
    suite: 4,
    refusals: { "00": "03", "02": "09", "03": "09" },
    told: "forward secrecy (suite 04)",
    lowered: "REFUSED", // the hello is longer: its end is taken for a part of the name
    nonce: zeros[0]!,
  },
];

for (const { suite, refusals, told, lowered, nonce } of SUITES) {
  const alone = { open: false, keys: [["1", `0${suite}:${KEY}`]] } as const;

  Deno.test(`a key that is for suite 0${suite} alone admits no hello of another suite, and the refusal says so`, async () => {
    await using scene = await Scene.start(alone);
    for (const [other, code] of Object.entries(refusals)) {
      const peer = await scene.dial(`${helloLine({ suite: other })}\n`);
      assertEquals(await turnedAway(scene, peer, "NOT_ADMITTED"), refusal(code));
    }
    for (const other of [2, 3] as const) {
      if (other === suite) continue;
      const [client, reasons] = dial(scene.server, { key: KEY, suite: other });
      await using _ = client;
      assertStringIncludes((await until(() => reasons[0])).message, told);
    }
    assertEquals(scene.server.devices, []);
  });

  Deno.test(`a hello of suite 0${suite} whose suite is lowered on its way leads to no link, whichever suites the key is for`, async () => {
    for (const options of [alone, locked]) {
      await using scene = await Scene.start({ ...options, timeout: SHORT });
      await using relay = new Relay(scene.server.port);
      const digit = (suite: number) => `${suite}`.charCodeAt(0);
      relay.meddle = (way, bytes) => {
        if (way === "toServer" && bytes[0] === 1) bytes[2] = digit(suite - 1);
        if (way === "toDevice" && bytes[0] === 2) bytes[2] = digit(suite);
        return [bytes];
      };
      const [client, reasons] = dial(relay, { key: KEY, suite, timeout: SHORT });
      await using _ = client;
      const { code } = await until(() => reasons[0]);
      assertEquals(code, options === alone ? "REFUSED" : lowered);
      assertEquals(scene.server.devices, []);
    }
  });

  Deno.test(`a device whose key is raised to suite 0${suite} is cut off, and comes back with it`, async () => {
    await using scene = await Scene.start(locked);
    const [before] = dial(scene.server, { key: KEY, suite: suite === 3 ? 2 : 3 });
    const device = await scene.server.device("1");
    await before.ready();
    scene.server.setKeys(alone.keys);
    await until(() => !device.connected);
    await before.close();
    const [client] = dial(scene.server, { key: KEY, suite });
    await using _ = client;
    await client.write("with another suite");
    assertEquals(await device.readline(), "with another suite");
    assertEquals(device.connects, 2);
  });

  Deno.test(`a wrong proof in suite 0${suite} ends the connection late and without a refusal, which would be in the clear`, async () => {
    await using scene = await Scene.start({ ...alone, timeout: SHORT });
    const since = performance.now();
    const said = nonce === undefined ? {} : { nonce };
    const peer = await greet(scene, { key: OTHER_KEY, suite: `0${suite}`, ...said });
    const heard = await turnedAway(scene, peer, "BAD_PROOF");
    assertEquals(heard.split("\n").length, 2); // the welcome alone
    assert(performance.now() - since >= SHORT / 4);
  });
}
