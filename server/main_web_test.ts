/** The page's options and commands: who may open it, and what is refused. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { makeCertificate } from "../tests/support/certificate.ts";
import { fails, folder, MAIN, start } from "../tests/support/main_process.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";

/** Runs a command with something on stdin. @returns exit code, stdout, stderr */
async function run(args: string[], stdin = ""): Promise<[number, string, string]> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", MAIN, ...args],
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return [code, decoder.decode(stdout), decoder.decode(stderr)];
}

Deno.test("a password and a token are created, and the token gives access", async () => {
  using place = folder();
  const file = `${place.path}/web.json`;
  assertEquals(await run(["web", "password", "--file", file], "correct horse\n"), [0, "", ""]);
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  const [code, token] = await run(["web", "token", "grafana", "--file", file]);
  assertEquals(code, 0);
  assertMatch(token, /^hft_[\w-]{43}\n$/);
  await run(["web", "token", "robot", "--act", "--file", file]);
  const [, list] = await run(["web", "list", "--file", file]);
  assertEquals(list, "grafana may look\nrobot may act\n");
  assertEquals((await run(["web", "remove", "robot", "--file", file]))[0], 0);

  await using server = start("--open", "--web", "0", "--web-password-file", file);
  const { address } = await server.logs("page");
  const get = async (headers: Record<string, string>) => {
    const response = await fetch(new URL("/api/devices", address), { headers });
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await get({}), 401);
  assertEquals(await get({ authorization: `Bearer ${token.trim()}` }), 200);
});

Deno.test("the server does not start if others can reach the page and there is no password", async () => {
  const [code, message] = await fails("--open", "--web", "0", "--web-host", "0.0.0.0");
  assertEquals(code, 2);
  assertStringIncludes(message, "needs a password");
});

Deno.test("wrong options of the page are reported", async () => {
  using place = folder();
  const file = `${place.path}/web.json`;
  Deno.writeTextFileSync(file, '{"password": "plain"}');
  for (
    const [args, words] of [
      [
        ["--web-password-file", `${file}.not`],
        "create it with `holdfast web password --file FILE`",
      ],
      [["--web-password-file", file], "must be a hash made by `web password`"],
      [["--web-url", "holdfast.example"], "--web-url takes a URL"],
      [["--web-url", "https://me@holdfast.example/"], "--web-url takes a URL"],
    ] as const
  ) {
    const [code, message] = await fails("--open", "--web", "0", ...args);
    assertEquals(code, 2);
    assertStringIncludes(message, words);
  }
  const [short, , why] = await run(["web", "password", "--file", file], "short\n");
  assertEquals(short, 2);
  assertStringIncludes(why, "8 to 256 characters");
  const [none, , usage] = await run(["web", "tokens"]);
  assertEquals(none, 2);
  assertStringIncludes(usage, "web takes password, token NAME, remove NAME or list");
});

toolTest(
  "on SIGHUP the page's certificate, password and tokens are read again; invalid ones are reported, and the old ones stay",
  {
    openssl: "openssl",
  },
  async ({ openssl }) => {
    using place = folder();
    const file = (name: string) => `${place.path}/${name}`;
    const certify = async () => {
      const { cert, key } = await makeCertificate(openssl);
      Deno.writeTextFileSync(file("key.pem"), key, { mode: 0o600 });
      Deno.writeTextFileSync(file("cert.pem"), cert);
      return cert;
    };
    const token = async (name: string) =>
      (await run(["web", "token", name, "--file", file("web.json")]))[1].trim();
    const first = await certify();
    const old = await token("old");
    await using server = start(
      ...["--open", "--web", "0", "--web-host", "0.0.0.0", "--web-password-file", file("web.json")],
      ...["--tls-cert", file("cert.pem"), "--tls-key", file("key.pem")],
    );
    const { address } = await server.logs("page");
    const url = `https://127.0.0.1:${new URL(address!).port}/api/devices`;
    const ask = async (caCert: string, token: string) => {
      using client = Deno.createHttpClient({ caCerts: [caCert] });
      const response = await fetch(url, { client, headers: { authorization: `Bearer ${token}` } });
      await response.body?.cancel();
      return response.status;
    };
    assertEquals(await ask(first, old), 200);
    const warnings = () =>
      server.log.flatMap(({ event, message = "" }) => event === "warning" ? [message] : []);

    const key = Deno.readTextFileSync(file("key.pem"));
    const good = Deno.readTextFileSync(file("web.json"));
    Deno.writeTextFileSync(file("key.pem"), (await makeCertificate(openssl)).key);
    Deno.writeTextFileSync(file("web.json"), '{"password": "plain"}');
    server.kill("SIGHUP");
    await until(() =>
      warnings().some((message) => /the old certificate and its key stay/.test(message))
    );
    await until(() =>
      warnings().some((message) =>
        message.includes("web.json") &&
        /must be a hash .*the old password and tokens of the page stay/.test(message)
      )
    );
    assertEquals(await ask(first, old), 200);

    Deno.writeTextFileSync(file("key.pem"), key);
    Deno.writeTextFileSync(file("web.json"), good);
    const second = await certify();
    await run(["web", "remove", "old", "--file", file("web.json")]);
    const other = await token("other");
    server.kill("SIGHUP");
    await server.logs("certificate");
    await until(() =>
      server.log.some(({ event, message }) =>
        event === "credentials" && message === `for the page from ${file("web.json")}`
      )
    );
    assertEquals([await ask(second, other), await ask(second, old)], [200, 401]);
  },
);
