/** Both dialects over TLS. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { dial, KEY, locked, SHORTEST } from "../tests/support/callers.ts";
import { makeCertificate } from "../tests/support/certificate.ts";
import { helloLine } from "../tests/support/greeting.ts";
import { Scene } from "../tests/support/scene.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";

toolTest("the same protocol over TLS, end to end", { openssl: "openssl" }, async ({ openssl }) => {
  const tls = await makeCertificate(openssl);
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

toolTest("a client refuses a server's certificate whose issuer it does not trust", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const [tls, other] = [await makeCertificate(openssl), await makeCertificate(openssl)];
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

toolTest("a client that speaks no TLS to a server with TLS is refused, and holds nobody up", {
  openssl: "openssl",
}, async ({ openssl }) => {
  const tls = await makeCertificate(openssl);
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
