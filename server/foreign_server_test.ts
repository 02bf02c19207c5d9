/** Programs other than devices connect: the log says once what they were, and what to do. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { makeCertificate } from "../tests/support/certificate.ts";
import { helloLine } from "../tests/support/greeting.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";
import { Client } from "../bridge/host/mod.ts";

/** The log's advice about other programs. */
function advice(scene: Scene): string[] {
  return scene.log.filter(({ code }) => code === "WRONG_PROTOCOL").map(({ message }) => message!);
}

/** Calls `come` twice: the peer is refused each time, and advice is logged once. */
async function isAdvised(scene: Scene, come: () => Promise<unknown>, words: string) {
  for (const times of [1, 2]) {
    await come();
    await until(() => scene.codes("refused").length === times, { what: () => `${scene.log}` });
  }
  assertEquals(scene.codes("refused"), ["BAD_HELLO", "BAD_HELLO"]);
  assertEquals(advice(scene).length, 1);
  assertStringIncludes(advice(scene)[0]!, words);
  assertEquals(scene.server.devices, []);
  await scene.isWell();
}

Deno.test("a browser is recognised as no device", async () => {
  await using scene = await Scene.start();
  const url = `http://127.0.0.1:${scene.server.port}/`;
  await isAdvised(scene, () => fetch(url).catch(() => {}), "another HTTP client has connected");
  const { message } = await scene.logs("refused");
  assertEquals(message, "this is HTTP, not a hello");
});

Deno.test("HTTP is known from its first line, however long that is", async () => {
  for (
    const request of [
      "GET / HTTP/1.1\r\n",
      "HEAD /status HTTP/1.0\r\n",
      `POST /${"x".repeat(400)} HTTP/1.1\r\n`,
      "OPTIONS * HTTP/1.1\r\n",
      "CONNECT example.com:443 HTTP/1.1\r\n",
      "GET http://example.com/ HTTP/1.1\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
  ) {
    await using scene = await Scene.start();
    await (await scene.dial()).sayIfHeard(request);
    const { message } = await scene.logs("refused");
    assertEquals(message, "this is HTTP, not a hello", request);
  }
});

Deno.test("a client that speaks TLS to a port without it is recognised at once", async () => {
  await using scene = await Scene.start();
  const { port } = scene.server;
  const come = async () => {
    const conn = await Deno.connectTls({ hostname: "127.0.0.1", port }).catch(() => undefined);
    await conn?.handshake().catch(() => {}); // it may be connected before the handshake begins
    conn?.close();
  };
  await isAdvised(scene, come, "start the server with --tls-cert and --tls-key");
});

for (
  const [version, connect] of [
    ["3.1.1", "\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test"],
    ["3.1", "\x10\x12\0\x06MQIsdp\x03\x02\0\x3c\0\x04test"],
    ["5, with a long packet", "\x10\xac\x02\0\x04MQTT\x05\x02\0\x3c\0\0\x04test"],
  ] as const
) {
  Deno.test(`an MQTT client is recognised at once: version ${version}`, async () => {
    await using scene = await Scene.start();
    const bytes = Uint8Array.from(connect, (character) => character.charCodeAt(0));
    const come = async () => {
      const peer = await scene.dial();
      await peer.say(bytes);
      await peer.end();
    };
    await isAdvised(scene, come, "this is not a broker");
  });
}

Deno.test("a board with kevinkk525's fork is admitted by its name, as before, and reported once", async () => {
  await using scene = await Scene.start();
  for (const _ of [1, 2]) {
    await using peer = await RawPeer.dial(scene.server.port);
    await peer.say('2c00ffkk1\n000001"echo"\n');
    await peer.hears("00");
  }
  await scene.server.device("2c00ffkk1");
  assertEquals(advice(scene).length, 1);
  assertStringIncludes(advice(scene)[0]!, "kevinkk525's fork of micropython-iot");
});

Deno.test("a refused board with kevinkk525's fork is reported, too", async () => {
  await using scene = await Scene.start({ open: false, stock: ["1"] });
  await (await scene.dial("2c00ffkk1\n")).end();
  const { claimed, code } = await scene.logs("refused");
  assertEquals([claimed, code], ["2c00ffkk1", "NOT_ADMITTED"]);
  await until(() => advice(scene).length === 1);
});

Deno.test("a client of version 0.1, whose messages have no ids, is reported once", async () => {
  await using scene = await Scene.start();
  for (const times of [1, 2]) {
    const peer = await scene.dial("1\n");
    await peer.say('\n["1", 23, 4]\n');
    await peer.end();
    await until(() => scene.codes("disconnected").length === times);
  }
  assertEquals(scene.codes("disconnected"), ["BAD_LINE", "BAD_LINE"]);
  assertEquals(advice(scene).length, 1);
  assertStringIncludes(advice(scene)[0]!, "micropython-iot 0.1, from 2018");
});

Deno.test("one of our devices that sends one wrong line is not mistaken for another program", async () => {
  await using scene = await Scene.start();
  await (await scene.dial("1\n00an honest message\nno id\n")).end();
  const second = await scene.dial(`${helloLine({ id: "2" })}\n`);
  await until(() => second.lines.length > 0);
  await second.say("no id\n");
  await second.end();
  await (await scene.dial("\x07\n")).end();
  await (await scene.dial("x".repeat(400))).end();
  await until(() =>
    scene.codes("disconnected").length === 2 && scene.codes("refused").length === 2
  );
  assertEquals(advice(scene), []);
});

Deno.test("names that look like another protocol are accepted", async () => {
  await using scene = await Scene.start();
  for (const name of ["GET", "GET / HTTP/1.1", "POST /x", "MQTT", "TLS", "2c00ff", "2C00FFkk1"]) {
    await using peer = await RawPeer.dial(scene.server.port);
    await peer.say(`${name}\n00here\n`);
    await peer.hears("00");
    assert(scene.server.devices.some(({ id }) => id === name));
  }
  assertEquals(advice(scene), []);
});

toolTest("a client without TLS on a port with TLS is reported, and the reverse", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const tls = await makeCertificate(openssl);
  await using scene = await Scene.start({ tls });
  await (await scene.dial("1\n00hello\n")).end();
  const { message } = await scene.logs("refused", "LOST");
  assertEquals(message, "the other end does not speak TLS");
  await until(() => advice(scene).length === 1);
  assertStringIncludes(advice(scene)[0]!, "TLS is on at one end and off at the other");

  await using plain = await Scene.start();
  const reasons: (string | undefined)[] = [];
  await using _ = new Client({
    id: "1",
    port: plain.server.port,
    tls: { caCert: tls.cert },
    onState: (_connected, reason) => reasons.push(reason?.message),
  });
  await until(() => reasons.length > 0 && advice(plain).length === 1);
});
