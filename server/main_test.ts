/** The command line: options, exit codes, signals, applications and the store. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fails, folder, MAIN, Process, start } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { until } from "../tests/support/wait.ts";
import { boardAddresses } from "./cli/reachable.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`the echo application answers, and ${signal} ends the server cleanly`, async () => {
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

Deno.test("a signal right after the start ends the server cleanly, too", async () => {
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
    [["--keys", "no-such-keys.json"], "does not exist: create it with `keys add ID --keys FILE`"],
    [["--stock", "1,,2"], "--stock takes ids separated by commas"],
    [["--stock", ""], "--stock takes ids separated by commas"],
    [["--open", "--tls-cert", "cert.pem"], "--tls-cert needs --tls-key"],
    [["--open", "--tls-key", "key.pem"], "--tls-key needs --tls-cert"],
    [["--open", "--tls-cert", "none.pem", "--tls-key", "none.pem"], "--tls-cert none.pem cannot"],
    [["--open", "--tls-cert", MAIN, "--tls-key", MAIN], "cannot be read"],
    [["keys"], "keys takes add ID, remove ID or list"],
    [["keys", "make", "1"], "keys takes add ID, remove ID or list"],
    [["keys", "add"], "keys takes add ID, remove ID or list"],
    [
      ["keys", "add", "1", "2"],
      "keys takes add ID, remove ID or list: put arguments with spaces in quotes",
    ],
    [["keys", "list", "1"], "keys takes add ID, remove ID or list"],
    [["keys", "list", "--replace"], "--replace belongs to keys add"],
    [["keys", "list", "--suite", "02"], "--suite belongs to keys add"],
    [["keys", "add", "1", "--suite", "01"], "--suite takes 02, 03 or 04"],
    [["keys", "add", "1", "--suite", "05"], "--suite takes 02, 03 or 04"],
    [["keys", "list", "--kees", "f"], "'--kees'"],
    [["keys", "list", "--keys", "no-such-keys.json"], "does not exist"],
    [["keys", "remove", "1", "--keys", "no-such-keys.json"], "has no key"],
    [["forget"], "forget takes ID"],
    [["clear", "1", "2", "--store", "f"], "clear takes ID: put arguments with spaces in quotes"],
    [["forget", "1"], "forget needs to know the server: give --store FILE"],
    [["clear", "1", "--store", "no-such.db"], 'the store "no-such.db" does not exist'],
    [["clear", "1", "--keys", "f"], "'--keys'"],
    [["forget", "1", "--store", MAIN], "is not a store but some other file"],
    [["--open", "--log", "xml"], "--log takes text or json"],
    [
      ["--open", "--limit", "inbocks=1"],
      "--limit inbocks: there is no such limit; use one of helloBytes,",
    ],
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

Deno.test("a port in use is reported clearly, with exit code 1", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const [code, text] = await fails("--open", "--host", "127.0.0.1", "--port", `${port}`);
  assertEquals(code, 1);
  const expected = `holdfast: cannot listen on 127.0.0.1:${port}: that port is in use: ` +
    "stop the other server, or choose another port with --port N\n";
  assertEquals(text, expected);
});

Deno.test("an address that is not this machine's is reported clearly, with exit code 1", async () => {
  const [code, text] = await fails("--open", "--host", "192.0.2.1", "--port", "0");
  assertEquals(code, 1);
  assertStringIncludes(text, "holdfast: cannot listen on 192.0.2.1:0: ");
  assertEquals(text.trim().split("\n").length, 1);
});

Deno.test("--help prints the options on stdout, and starts nothing", async () => {
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

Deno.test("the log is lines of text by default", async () => {
  const own = ["--open", "--host", "127.0.0.1", "--port", "0", "--app", "echo"];
  await using process = new Process(own);
  await until(() => process.stderr.endsWith("\n"));
  assertMatch(process.stderr, /^\d{4}-\S+Z listening 127\.0\.0\.1:\d+\n$/);
});

Deno.test("a server on every interface logs the addresses at which boards find it, ready to be pasted", async () => {
  await using process = new Process(["--open", "--port", "0", "--app", "echo", "--log", "json"]);
  const port = await process.port();
  const expected = boardAddresses().map((address) => `${address}:${port}`);
  const told = () => process.log.filter(({ event }) => event === "reachable");
  await until(() => told().length === expected.length, { what: () => process.stderr });
  assertEquals(told().map(({ address }) => address), expected);
  for (const { address } of told()) {
    const [hostname] = address!.split(":");
    (await Deno.connect({ hostname: hostname!, port })).close();
  }
});

/** Whether this machine can listen on IPv6. */
function hasIPv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

Deno.test({
  name: "IPv6 addresses are in brackets in the log",
  ignore: !hasIPv6(),
  async fn() {
    await using process = start("--open", "--host", "::1");
    const port = await process.port();
    assertEquals((await process.logs("listening")).address, `[::1]:${port}`);
    await using peer = new RawPeer(await Deno.connect({ hostname: "::1", port }));
    await peer.say("1\n");
    assertMatch((await process.logs("connected")).address!, /^\[::1\]:\d+$/);
    const [code, said] = await fails("--open", "--host", "::1", "--port", `${port}`);
    assertEquals(code, 1);
    assertStringIncludes(said, `cannot listen on [::1]:${port}: that port is in use`);
  },
});

Deno.test("a user's application is found from the working folder, and its failure does not stop the server", async () => {
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

Deno.test("files are found under whatever names they have", async () => {
  using place = folder();
  const odd = `${place.path}/a #1? 100%25 über`;
  Deno.mkdirSync(odd);
  for (const name of ["#2.js", "what?.js", "50%.js", "a%20b c.js"]) {
    const file = `${odd}/${name}`;
    const says = `for await (const _ of device) await device.write(${JSON.stringify(name)});`;
    Deno.writeTextFileSync(file, `export default async (device) => { ${says} };`);
    await using process = start("--open", "--app", file, "--store", `${file}.db`);
    await using peer = await RawPeer.dial(await process.port());
    await peer.say("1\n00who are you?\n");
    await peer.hears(`00${name}`);
    assert(Deno.statSync(`${file}.db`).isFile);
  }
  const args = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json"];
  await using process = new Process([...args, "--app", "./#2.js"], { cwd: odd });
  await process.port();
});

Deno.test("a file without an application is refused, and the message names it", async () => {
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
