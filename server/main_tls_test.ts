/** TLS on the command line: `--tls-cert`, `--tls-key` and SIGHUP. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { makeCertificate, makeExpired } from "../tests/support/certificate.ts";
import { fails, folder, start } from "../tests/support/main_process.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";

/** Certificates and keys in files: a.pem and a.key, b.pem and b.key. */
async function certificates(openssl: string) {
  const place = folder();
  const file = (name: string) => `${place.path}/${name}`;
  const write = async (name: string) => {
    const { cert, key } = await makeCertificate(openssl);
    Deno.writeTextFileSync(file(`${name}.pem`), cert);
    Deno.writeTextFileSync(file(`${name}.key`), key, { mode: 0o600 });
  };
  for (const name of ["a", "b"]) await write(name);
  return { file, write, [Symbol.dispose]: () => place[Symbol.dispose]() };
}

toolTest("with --tls-cert and --tls-key the server uses TLS; files that do not match are refused", {
  openssl: "openssl",
}, async ({ openssl }) => {
  using files = await certificates(openssl);
  const { file } = files;
  const tls = ["--tls-cert", file("a.pem"), "--tls-key"];
  const wrong = {
    "b.key": "the private key does not belong to the certificate",
    "a.pem": "cannot be read",
  };
  for (const [name, message] of Object.entries(wrong)) {
    const [code, said] = await fails("--open", "--port", "0", ...tls, file(name));
    assertEquals(code, 2);
    assertStringIncludes(said, message);
  }
  await using process = start("--open", "--app", "echo", ...tls, file("a.key"));
  await using client = new Client({
    id: "1",
    port: await process.port(),
    tls: { caCert: Deno.readTextFileSync(file("a.pem")) },
  });
  await client.write("hello");
  assertEquals(await client.readline(), "echo hello");
});

toolTest(
  "on SIGHUP a new certificate is used; one with the wrong key is reported, and the old one stays",
  {
    openssl: "openssl",
  },
  async ({ openssl }) => {
    using files = await certificates(openssl);
    const { file, write } = files;
    const old = Deno.readTextFileSync(file("a.pem"));
    const tls = ["--tls-cert", file("a.pem"), "--tls-key", file("a.key")];
    await using process = start("--open", "--app", "echo", ...tls);
    const port = await process.port();
    const isServed = async (id: string, caCert: string) => {
      await using client = new Client({ id, port, tls: { caCert } });
      await client.write("hello");
      assertEquals(await client.readline(), "echo hello");
    };
    await using stays = new Client({ id: "stays", port, tls: { caCert: old } });
    await stays.write("before");
    Deno.copyFileSync(file("b.key"), file("a.key"));
    process.kill("SIGHUP");
    const { code, message } = await process.logs("warning");
    assertEquals(code, "BAD_ARGUMENT");
    assertMatch(
      message!,
      /private key does not belong to the certificate; the old certificate and its key stay/,
    );
    await isServed("1", old);
    await write("a");
    process.kill("SIGHUP");
    await process.logs("certificate");
    await isServed("2", Deno.readTextFileSync(file("a.pem")));
    await stays.write("after");
    assertEquals(stays.connects, 1, "a connected client is not disturbed");
  },
);

toolTest("a certificate that is empty, truncated or expired is reported, and the old one stays", {
  openssl: "openssl",
}, async ({ openssl }) => {
  using files = await certificates(openssl);
  const [cert, key] = [files.file("a.pem"), files.file("a.key")];
  const [good, secret] = [Deno.readTextFileSync(cert), Deno.readTextFileSync(key)];
  const tls = ["--tls-cert", cert, "--tls-key", key];
  const expired = await makeExpired(openssl, secret);
  const process = start("--open", "--app", "echo", ...tls);
  await using _ = process;
  const port = await process.port();
  const wrong: [string, string, string][] = [
    ["", secret, `--tls-cert ${cert} cannot be read: it does not hold a complete certificate`],
    [good.slice(0, 200), secret, `--tls-cert ${cert} cannot be read`],
    [good + good.slice(0, 200), secret, `--tls-cert ${cert} cannot be read`],
    [good, "", `--tls-key ${key} cannot be read: it does not hold a complete private key`],
    [good, secret.slice(0, 100), `--tls-key ${key} cannot be read`],
    [expired, secret, `${cert}: the certificate has expired`],
  ];
  for (const [ofCert, ofKey, reason] of wrong) {
    const before = process.log.length;
    Deno.writeTextFileSync(cert, ofCert);
    Deno.writeTextFileSync(key, ofKey);
    process.kill("SIGHUP");
    const { message = "" } = await until(() =>
      process.log.slice(before).find(({ code }) => code === "BAD_ARGUMENT")
    );
    assertStringIncludes(message, reason);
    assertStringIncludes(message, "the old certificate and its key stay");
    assert(!process.stderr.includes(secret.slice(40, 80)));
  }
  await using client = new Client({ id: "1", port, tls: { caCert: good } });
  await client.write("hello");
  assertEquals(await client.readline(), "echo hello");
  Deno.writeTextFileSync(cert, `\ufeff${good}`);
  Deno.writeTextFileSync(key, `\ufeff${secret}`);
  process.kill("SIGHUP");
  await process.logs("certificate");
  // A server starts even with an expired certificate, and warns.
  Deno.writeTextFileSync(cert, expired);
  await using late = start("--open", ...tls);
  await until(() => late.log.some(({ code }) => code === "CERTIFICATE_EXPIRED"));
});

toolTest(
  "a private key that others may read causes a warning",
  { openssl: "openssl" },
  async ({ openssl }) => {
    using files = await certificates(openssl);
    Deno.chmodSync(files.file("a.key"), 0o644);
    await using process = start(
      "--open",
      "--tls-cert",
      files.file("a.pem"),
      "--tls-key",
      files.file("a.key"),
    );
    const { message = "" } = await until(() =>
      process.log.find(({ code }) => code === "KEYS_EXPOSED")
    );
    assertStringIncludes(message, "can read the private key in");
  },
);
