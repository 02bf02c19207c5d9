import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { makeCertificate } from "../tests/support/certificate.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";
import type { LogEntry } from "./mod.ts";

const MAIN = new URL("./main.ts", import.meta.url).pathname;

/** The server as a process of its own. */
class Process implements AsyncDisposable {
  stdout = "";
  stderr = "";
  readonly ended: Promise<Deno.CommandStatus>;
  #child: Deno.ChildProcess;

  /** @param files How many files it may have open; as many as usual unless told. */
  constructor(args: string[], { cwd, files }: { cwd?: string; files?: number } = {}) {
    const deno = [Deno.execPath(), "run", "-A", "--no-check", MAIN, ...args];
    const limited = ["sh", "-c", `ulimit -n ${files}; exec "$@"`, "sh", ...deno];
    const [program, ...rest] = files === undefined ? deno : limited;
    this.#child = new Deno.Command(program!, {
      args: rest,
      env: { NO_COLOR: "1" },
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const collect = async (name: "stdout" | "stderr") => {
      const text = this.#child[name].pipeThrough(new TextDecoderStream());
      for await (const piece of text) this[name] += piece;
    };
    this.ended = Promise.all([this.#child.status, collect("stdout"), collect("stderr")])
      .then(([status]) => status);
  }

  get log(): LogEntry[] {
    const lines = this.stderr.slice(0, this.stderr.lastIndexOf("\n") + 1).split("\n");
    return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  logs(event: LogEntry["event"]): Promise<LogEntry> {
    return until(() => this.log.find((entry) => entry.event === event), {
      what: () => `${event} in ${this.stderr}`,
    });
  }

  async port(): Promise<number> {
    const { address } = await this.logs("listening");
    return Number(address!.split(":").at(-1));
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.ended;
  }
}

function start(...args: string[]): Process {
  return new Process(["--host", "127.0.0.1", "--port", "0", "--log", "json", ...args]);
}

/** The exit code of a server that does not start, and what it says. */
async function fails(...args: string[]): Promise<[number, string]> {
  await using process = new Process(args);
  const { code } = await process.ended;
  assertEquals(process.stdout, "");
  return [code, process.stderr];
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`the echo application answers, and ${signal} ends the server in good order`, async () => {
    await using process = start("--open", "--app", "echo");
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00hello\n");
    await peer.hears("00", "00echo hello");
    process.kill(signal);
    assertEquals((await process.ended).code, 0);
    assertEquals(await peer.end(), "closed");
    const { event, ...rest } = process.log.at(-2)!;
    assertEquals([event, rest.device, rest.code], ["disconnected", "1", "CLOSED"]);
    assertEquals(process.log.at(-1)?.event, "closed");
  });
}

Deno.test("a signal in the moment in which it starts ends the server in good order, too", async () => {
  await using process = start("--open");
  await until(() => process.stderr.includes("listening"));
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
});

Deno.test("a server that is not told who may connect refuses to start, and says why", async () => {
  const [code, text] = await fails("--port", "0");
  assertEquals(code, 2);
  assertStringIncludes(text, "--open");
  assertStringIncludes(text, "admit every device");
});

Deno.test("a wrong option is named, with exit code 2", async () => {
  const wrong: [string[], string][] = [
    [["--open", "--prot", "1"], "'--prot'"],
    [["--open", "stray"], "'stray'"],
    [["--open", "--port"], "'--port <value>' argument missing"],
    [["--open", "--port", "x"], "--port takes a whole number"],
    [["--open", "--port", "65536"], "port must be 0 to 65535"],
    [["--open", "--timeout", "99"], "timeout must be 100 to 3600000"],
    [["--open", "--store", ""], "--store takes the name of a file"],
    [["--open", "--store", "/"], 'the store "/" is a directory'],
    [["--open", "--store", "no/such/folder/my.db"], "is in a folder that does not exist"],
    [["--open", "--durability", "some"], "--durability takes full or normal"],
    [["--keys", "no-such-keys.json"], "does not exist: `keys add ID --keys FILE` creates one"],
    [["--stock", "1,,2"], "--stock takes ids with a comma between them"],
    [["--stock", ""], "--stock takes ids with a comma between them"],
    [["--open", "--tls-cert", "cert.pem"], "--tls-cert needs --tls-key"],
    [["--open", "--tls-key", "key.pem"], "--tls-key needs --tls-cert"],
    [["--open", "--tls-cert", "none.pem", "--tls-key", "none.pem"], "--tls-cert none.pem cannot"],
    [["--open", "--tls-cert", MAIN, "--tls-key", MAIN], "cannot be read"],
    [["keys"], "say keys add ID, keys remove ID or keys list"],
    [["keys", "make", "1"], "say keys add ID, keys remove ID or keys list"],
    [["keys", "add"], "keys add takes one id"],
    [["keys", "add", "1", "2"], "keys add takes one id"],
    [["keys", "list", "1"], "keys list takes no id"],
    [["keys", "list", "--replace"], "--replace belongs to keys add"],
    [["keys", "list", "--kees", "f"], "'--kees'"],
    [["keys", "list", "--keys", "no-such-keys.json"], "does not exist"],
    [["keys", "remove", "1", "--keys", "no-such-keys.json"], "has no key"],
    [["--open", "--log", "xml"], "--log takes text or json"],
    [["--open", "--limit", "inbocks=1"], "--limit inbocks: there is helloBytes,"],
    [["--open", "--limit", "inbox"], "--limit inbox takes a whole number"],
    [["--open", "--limit", "inbox=1=2"], "--limit inbox takes a whole number"],
    [["--open", "--limit", "inbox=0"], "limits.inbox must be 1 to"],
    [["--open", "--limit", "outboxAge=1h"], "--limit outboxAge takes a whole number"],
    [["--open", "--limit", "outboxAge=0"], "limits.outboxAge must be 1 to"],
    [["--open", "--app", "ekko"], "--app ekko cannot be loaded: Module not found"],
    [["--open", "--app", "./missing.ts"], "--app ./missing.ts cannot be loaded: Module not found"],
  ];
  for (const [args, reason] of wrong) {
    const [code, text] = await fails(...args);
    assertStringIncludes(text, `holdfast: `);
    assertStringIncludes(text, reason);
    assertEquals(code, 2, text);
  }
});

Deno.test("a port in use is said clearly, with exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const [code, text] = await fails("--open", "--host", "127.0.0.1", "--port", `${port}`);
  assertEquals(code, 1);
  const expected = `holdfast: cannot listen on 127.0.0.1:${port}: that port is in use. ` +
    "Stop the other server, or choose --port N\n";
  assertEquals(text, expected);
});

Deno.test("an address that is not this machine's is said clearly, with exit code 1", async () => {
  const [code, text] = await fails("--open", "--host", "192.0.2.1", "--port", "0");
  assertEquals(code, 1);
  assertStringIncludes(text, "holdfast: cannot listen on 192.0.2.1:0: ");
  assertEquals(text.trim().split("\n").length, 1);
});

Deno.test("--help tells the options on stdout, and starts nothing", async () => {
  await using process = new Process(["--help"]);
  assertEquals((await process.ended).code, 0);
  const options = ["open", "port", "timeout", "store", "app", "log", "limit", "keys", "stock"];
  for (const option of [...options, "tls-cert", "tls-key", "durability"]) {
    assertStringIncludes(process.stdout, `--${option}`);
  }
  assertEquals(process.stderr, "");
  await using keys = new Process(["keys", "--help"]);
  assertEquals((await keys.ended).code, 0);
  for (const word of ["add ID", "remove ID", "list", "--replace", "--keys FILE", "SIGHUP"]) {
    assertStringIncludes(keys.stdout, word);
  }
});

Deno.test("the log is lines of text unless told otherwise", async () => {
  await using process = new Process(["--open", "--host", "127.0.0.1", "--port", "0"]);
  await until(() => process.stderr.endsWith("\n"));
  assertMatch(process.stderr, /^\d{4}-\S+Z listening 127\.0\.0\.1:\d+\n$/);
});

Deno.test("an application of one's own is found from the working folder, and may fail", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${cwd}/shout.js`,
      `export default async function shout(device, server) {
        for await (const line of device) {
          if (line === "fail") throw new Error("as \\u001b[2J told");
          await device.write(line.toUpperCase() + " " + server.devices.length);
        }
      }`,
    );
    const args = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json"];
    await using process = new Process([...args, "--app", "./shout.js"], { cwd });
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00hello\n");
    await peer.hears("00HELLO 1");
    await peer.say("00\n01fail\n");
    const { device, message } = await process.logs("app_failed");
    assertEquals(device, "1");
    assertStringIncludes(message!, "Error: as \u001b[2J told");
    assertStringIncludes(message!, "shout.js:3");
    await using other = await RawPeer.dial(await process.port());
    await other.say("2\n00still\n");
    await other.hears("00STILL 2");
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("a file that has no application in it is refused by name", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/none.js`, "export const app = 1;");
    await Deno.writeTextFile(`${cwd}/broken.js`, "export default }{");
    await using none = new Process(["--open", "--app", "none.js"], { cwd });
    await using broken = new Process(["--open", "--app", "./broken.js"], { cwd });
    assertEquals([(await none.ended).code, (await broken.ended).code], [2, 2]);
    assertStringIncludes(none.stderr, "--app none.js has no default export that is a function");
    assertStringIncludes(broken.stderr, "--app ./broken.js cannot be loaded: ");
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});

Deno.test("a limit set on the command line holds", async () => {
  await using process = start("--open", "--limit", "connections=1", "--limit", "lineBytes=5");
  const port = await process.port();
  await using first = await RawPeer.dial(port);
  await first.say("1\n");
  await process.logs("connected");
  await using second = await RawPeer.dial(port);
  await second.end();
  assertEquals((await process.logs("refused")).code, "TOO_MANY_CONNECTIONS");
  await first.say("00five!!\n");
  assertEquals((await process.logs("disconnected")).code, "LINE_TOO_LONG");
});

Deno.test("more connections than the system allows files for do not end the server", async () => {
  const args = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json", "--timeout"];
  await using process = new Process([...args, "60000"], { files: 64 });
  const port = await process.port();
  const peers: RawPeer[] = [];
  try {
    for (let n = 0; n < 100; n++) peers.push(await RawPeer.dial(port));
    assertEquals((await process.logs("refused")).code, "NOT_ACCEPTED");
  } finally {
    for (const peer of peers) await peer[Symbol.asyncDispose]();
  }
  await using peer = await RawPeer.dial(port);
  await peer.say("1\n00is anybody there?\n");
  await peer.hears("00");
});

// Keys.

/** Runs `keys` to its end. */
async function keys(
  cwd: string,
  ...args: string[]
): Promise<[code: number, out: string, err: string]> {
  await using process = new Process(["keys", ...args], { cwd });
  const { code } = await process.ended;
  return [code, process.stdout, process.stderr];
}

/** A folder that is gone when the test is over. */
function folder(): Disposable & { path: string } {
  const path = Deno.makeTempDirSync();
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function dial(port: number, key: string): Client {
  return new Client({ id: "1", port, key });
}

Deno.test("keys: add prints a fresh key once, list prints ids alone, remove forgets", async () => {
  using place = folder();
  const [code, out, err] = await keys(place.path, "add", "küche 🐙");
  assertEquals([code, err], [0, ""]);
  assertMatch(out, /^[0-9a-f]{64}\n$/);
  const file = `${place.path}/keys.json`;
  assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  assertEquals(JSON.parse(Deno.readTextFileSync(file)), { "küche 🐙": out.trim() });
  const [again, nothing, reason] = await keys(place.path, "add", "küche 🐙");
  assertEquals([again, nothing], [2, ""]);
  assertStringIncludes(reason, "has a key: --replace gives it another");
  const [, other] = await keys(place.path, "add", "küche 🐙", "--replace");
  assert(/^[0-9a-f]{64}\n$/.test(other) && other !== out);
  await keys(place.path, "add", "2");
  const [, ids] = await keys(place.path, "list");
  assertEquals(ids.trim().split("\n").sort(), ["2", "küche 🐙"]);
  assertEquals(await keys(place.path, "remove", "küche 🐙"), [0, "", ""]);
  assertEquals(await keys(place.path, "list"), [0, "2\n", ""]);
});

Deno.test("keys: a file that everybody may read is a warning, also from the server, and goes on", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  await keys(place.path, "add", "1", "--keys", file);
  Deno.chmodSync(file, 0o644);
  const [code, out, err] = await keys(place.path, "list", "--keys", file);
  assertEquals([code, out], [0, "1\n"]);
  assertStringIncludes(err, "warning: every user of this machine can read the keys");
  await using process = start("--keys", file);
  await process.port();
  const { code: name, message } = await process.logs("warning");
  assertEquals(name, "KEYS_EXPOSED");
  assertStringIncludes(message!, "chmod 600");
});

Deno.test("a file of keys that is broken keeps a server from starting, and its content stays in it", async () => {
  using place = folder();
  const secret = "badc0ffee".repeat(8).slice(0, 64);
  const file = `${place.path}/keys.json`;
  for (const text of [`{ "1": "${secret}", }`, `{ "1": "x${secret}" }`, `{ "${secret}" "1" }`]) {
    Deno.writeTextFileSync(file, text, { mode: 0o600 });
    for (const args of [["--keys", file], ["keys", "add", "2", "--keys", file]]) {
      const [code, said] = await fails(...args);
      assertEquals(code, 2);
      assert(!said.includes(secret.slice(0, 12)), said);
    }
  }
});

Deno.test("a file without a key keeps a server from starting that admits nobody else", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  Deno.writeTextFileSync(file, "{}", { mode: 0o600 });
  const [code, said] = await fails("--keys", file);
  assertEquals(code, 2);
  assertStringIncludes(said, `there is no key in ${file}: keys add ID`);
});

Deno.test("with --keys a device with the key comes in, without it nobody, and no secret is said", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  const key = (await keys(place.path, "add", "1"))[1].trim();
  await using process = start("--keys", file, "--app", "echo");
  const port = await process.port();
  await using client = dial(port, key);
  await client.write("hello");
  assertEquals(await client.readline(), "echo hello");
  await using stranger = await RawPeer.dial(port);
  await stranger.say("1\n");
  await stranger.end();
  assertEquals((await process.logs("refused")).code, "NOT_ADMITTED");
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
  assert(!process.stderr.includes(key.slice(0, 12)), process.stderr);
});

Deno.test("SIGHUP makes a server take over its file of keys, and a broken one changes nothing", async () => {
  using place = folder();
  const file = `${place.path}/keys.json`;
  const key = (await keys(place.path, "add", "1"))[1].trim();
  await using process = start("--keys", file, "--app", "echo");
  const port = await process.port();
  {
    await using client = dial(port, key);
    await client.write("before");
    Deno.writeTextFileSync(file, `{ broken ${key}`);
    process.kill("SIGHUP");
    const { message } = await process.logs("warning");
    assertStringIncludes(message!, "is not JSON");
    assertStringIncludes(message!, "the old keys stay");
    assertEquals(client.connects, 1);
    Deno.removeSync(file);
    const other = (await keys(place.path, "add", "1"))[1].trim();
    process.kill("SIGHUP");
    await process.logs("keys");
    await until(() => process.log.some(({ code }) => code === "NOT_ADMITTED"));
    await client.close();
    await using renewed = dial(port, other);
    await renewed.write("after");
    assertEquals(await renewed.readline(), "echo before");
    assertEquals(await renewed.readline(), "echo after");
  }
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
  assert(!process.stderr.includes(key.slice(0, 12)), process.stderr);
});

Deno.test("SIGHUP does not end a server that has no keys", async () => {
  await using process = start("--open");
  const port = await process.port();
  process.kill("SIGHUP");
  await using peer = await RawPeer.dial(port);
  await peer.say("1\n00still there?\n");
  await peer.hears("00");
});

Deno.test("--stock admits named boards alone, and only they", async () => {
  await using process = start("--stock", "1,old board", "--stock", "3", "--app", "echo");
  const port = await process.port();
  for (const id of ["1", "old board", "3"]) {
    await using peer = await RawPeer.dial(port);
    await peer.say(`${id}\n00hello\n`);
    await peer.hears("00echo hello");
  }
  await using peer = await RawPeer.dial(port);
  await peer.say("2\n");
  await peer.end();
  assertEquals((await process.logs("refused")).code, "NOT_ADMITTED");
});

Deno.test("--store keeps what a killed server had, and refuses a second server on the same file", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  {
    await using process = start("--open", "--store", store);
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00acknowledged\n");
    await peer.hears("00");
    const [code, said] = await fails("--open", "--store", store);
    assertEquals(code, 2);
    assertStringIncludes(said, "is in use by another server");
    process.kill("SIGKILL");
    await process.ended;
  }
  await using process = start(
    "--open",
    "--store",
    store,
    "--durability",
    "normal",
    "--app",
    "echo",
  );
  await using peer = await RawPeer.dial(await process.port());
  await peer.say("1\n\n");
  await peer.hears("00echo acknowledged");
});

/** Certificates and keys in files: a.pem and a.key, b.pem and b.key. */
async function certificates(openssl: string) {
  const place = folder();
  const file = (name: string) => `${place.path}/${name}`;
  const write = async (name: string) => {
    const { cert, key } = await makeCertificate(openssl);
    Deno.writeTextFileSync(file(`${name}.pem`), cert);
    Deno.writeTextFileSync(file(`${name}.key`), key);
  };
  for (const name of ["a", "b"]) await write(name);
  return { file, write, [Symbol.dispose]: () => place[Symbol.dispose]() };
}

toolTest("--tls-cert and --tls-key serve over TLS; files that do not fit are refused", {
  openssl: "openssl",
}, async ({ openssl }) => {
  using files = await certificates(openssl);
  const { file } = files;
  const tls = ["--tls-cert", file("a.pem"), "--tls-key"];
  const wrong = { "b.key": "the private key is not the certificate's", "a.pem": "cannot be read" };
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

toolTest("SIGHUP takes over another certificate; a bad one is named, and the old one stays", {
  openssl: "openssl",
}, async ({ openssl }) => {
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
    /private key is not the certificate's; the old certificate and its key stay/,
  );
  await isServed("1", old);
  await write("a");
  process.kill("SIGHUP");
  await process.logs("certificate");
  await isServed("2", Deno.readTextFileSync(file("a.pem")));
  await stays.write("after");
  assertEquals(stays.connects, 1, "who is connected already is not disturbed");
});
