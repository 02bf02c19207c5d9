/** Applications that misbehave, in a real server: they harm only their own device. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { folder, Process } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { until } from "../tests/support/wait.ts";
import type { LogEntry } from "./mod.ts";

/** A server with an application; its device `healthy` gets every line back. */
class Rig implements AsyncDisposable {
  #port: number | undefined;
  readonly #peers: RawPeer[] = [];

  constructor(readonly process: Process) {}

  /** @param app The body of the application's function, for every device but `healthy`. */
  static start(place: ReturnType<typeof folder>, app: string, ...args: string[]): Rig {
    const path = `${place.path}/app.js`;
    Deno.writeTextFileSync(
      path,
      `import * as node from "node:timers";
      const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
      export default async function app(device, server) {
        if (device.id === "healthy") {
          for await (const line of device) await device.write("heard " + line);
        }
        ${app}
      }`,
    );
    const own = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json"];
    return new Rig(new Process([...own, "--app", path, ...args]));
  }

  async device(id: string): Promise<RawPeer> {
    const peer = await RawPeer.dial(this.#port ??= await this.process.port());
    this.#peers.push(peer);
    await peer.say(`${id}\n\n`);
    peer.keepAlive(400);
    return peer;
  }

  entries(event: LogEntry["event"]): LogEntry[] {
    return this.process.log.filter((entry) => entry.event === event);
  }

  /** Other devices are served, and a signal stops the server cleanly. */
  async isWell(): Promise<void> {
    const peer = await this.device("healthy");
    await peer.say("00text\n");
    await peer.hears("00heard text");
    await this.stops();
  }

  async stops(): Promise<void> {
    this.process.kill("SIGTERM");
    const { code } = await this.process.ended;
    assertEquals([code, this.process.log.at(-1)?.event], [0, "closed"], this.process.stderr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    for (const peer of this.#peers) await peer[Symbol.asyncDispose]();
  }
}

const POISONED = `
  await server.transaction((tx) => tx.run("CREATE TABLE IF NOT EXISTS r (v)"));
  for (;;) {
    try {
      await device.consume((line, tx) => tx.run("INSERT INTO r VALUES (?)", JSON.parse(line).v));
      await device.write("took one");
    } catch {}
  }`;

Deno.test("a message that always fails blocks only its own device, also after a restart", async () => {
  using place = folder();
  const store = ["--store", `${place.path}/holdfast.db`];
  {
    await using rig = Rig.start(place, POISONED, ...store);
    const peer = await rig.device("1");
    await peer.say('00not json\n01{"v":1}\n');
    await peer.hears("00", "01");
    await rig.isWell();
  }
  {
    await using rig = Rig.start(place, POISONED, ...store);
    await rig.isWell();
  }
  await using rig = Rig.start(place, POISONED, ...store, "--dead-letters", "--limit", "attempts=3");
  const peer = await rig.device("1");
  await peer.hears("00took one");
  const { device, message } = await rig.process.logs("dead_letter");
  assertEquals(device, "1");
  assertStringIncludes(message!, '"not json": SyntaxError: ');
  await rig.isWell();
});

for (
  const [what, loop] of Object.entries({
    "writes to a full outbox": "try { await device.write('x'); } catch {}",
    "writes without qos": "await device.write('x', { qos: false });",
    "writes without qos to nobody":
      "await (await server.device('gone')).write('x', { qos: false })",
    "writes an empty line": "try { await device.write(''); } catch {}",
    "lets transactions fail": "try { await server.transaction(() => { throw 1; }); } catch {}",
    "has transactions that do nothing": "await server.transaction(() => {});",
    "writes with an aborted signal":
      "try { await device.write('x', { signal: AbortSignal.abort() }); } catch {}",
  })
) {
  Deno.test(`an application that ${what} in an endless loop: other devices are served`, async () => {
    using place = folder();
    const app = `await server.device("gone");
      device.write("begins"); ${what.includes("full") ? "device.write('x');" : ""}
      for (;;) { ${loop} }`;
    await using rig = Rig.start(place, app, "--limit", "outbox=2");
    await (await rig.device("gone"))[Symbol.asyncDispose]();
    const peer = await rig.device("1");
    await peer.hears("00begins");
    await rig.isWell();
  });
}

Deno.test("an application that keeps calling the closed server does not delay its exit", async () => {
  using place = folder();
  const app = `
    device.write("begins");
    device.readline();
    device.ready();
    server.device("never here");
    const ask = async (what) => { for (;;) { try { await what(); } catch {} } };
    ask(() => device.readline());
    ask(() => device.consume(() => {}));
    ask(() => device.write("x", { qos: false }));
    ask(() => server.transaction(() => {}));
    ask(() => server.device("never here"));
    ask(async () => { for await (const _ of device); });
    await ask(() => server.waitAll(["never here"]));`;
  await using rig = Rig.start(place, app, "--store", `${place.path}/holdfast.db`);
  await (await rig.device("1")).hears("00begins");
  await rig.isWell();
  assertEquals(rig.entries("app_failed"), []);
});

Deno.test("errors that an application does not catch are logged as its own, and the server continues", async () => {
  using place = folder();
  const app = `
    await device.readline();
    for (let i = 0; i < 4; i++) device.write("c" + i);
    Promise.reject(new Error("dropped"));
    queueMicrotask(() => { throw new Error("in a microtask"); });
    setTimeout(() => { throw new Error("in a timer"); }, 1);
    setImmediate(() => { throw new Error("in an immediate"); });
    node.setTimeout((arg) => { throw new Error("in Node's timer " + arg); }, 1, "with an argument");
    node.setImmediate(() => { throw new Error("in Node's immediate"); });
    const other = node.setInterval(() => {
      node.clearInterval(other);
      throw new Error("in Node's interval");
    }, 1);
    const timer = setInterval(() => { clearInterval(timer); throw new Error("in an interval"); }, 1);
    sleep(1).then(() => { throw new Error("after a pause"); });
    device.write("waits for ever");
    for await (const line of device) await device.write("echo " + line);`;
  await using rig = Rig.start(place, app, "--limit", "outbox=3");
  const peer = await rig.device("1");
  await peer.say("00go\n");
  const expected = ["OUTBOX_FULL", "dropped", "in a microtask", "in a timer", "in an immediate"]
    .concat("in an interval", "after a pause", "in Node's timer with an argument")
    .concat("in Node's immediate", "in Node's interval");
  await until(() => rig.entries("app_failed").length >= expected.length + 1);
  const failures = rig.entries("app_failed");
  for (const { device, restartIn, message } of failures) {
    assertEquals([device, restartIn], ["1", undefined], message);
  }
  const said = failures.map(({ message }) => message).join("\n");
  for (const what of expected.slice(1)) assertStringIncludes(said, what);
  assertStringIncludes(said, "messages wait for this device");
  await rig.isWell();
  assertEquals(
    rig.entries("app_failed").length,
    failures.length,
    "a write that is pending at the end is not a failure",
  );
});

Deno.test("an uncaught error that belongs to no device is logged as the application's, and the server continues", async () => {
  using place = folder();
  const path = `${place.path}/app.js`;
  Deno.writeTextFileSync(
    path,
    `setInterval(() => { throw new Error("of the module"); }, 20);
    setTimeout(() => Promise.reject(new Error("dropped by the module")), 20);
    Promise.reject(new Error("dropped while it is loaded"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    export { default } from ${JSON.stringify(new URL("./apps/echo.ts", import.meta.url).href)};`,
  );
  await using process = new Process(["--open", "--port", "0", "--log", "json", "--app", path]);
  await using peer = await RawPeer.dial(await process.port());
  await peer.say("1\n\n");
  peer.keepAlive(400);
  await until(() =>
    /dropped while/.test(process.stderr) && /dropped by the module/.test(process.stderr) &&
    /of the module/.test(process.stderr)
  );
  for (const { event, device } of process.log) {
    if (event === "app_failed") assertEquals(device, undefined);
  }
  await peer.say("00text\n");
  await peer.hears("00echo text");
  process.kill("SIGTERM");
  assertEquals((await process.ended).code, 0);
});

Deno.test("an application that has failed is restarted, and gets the failed message again", async () => {
  using place = folder();
  const app = `
    globalThis.begun = (globalThis.begun ?? 0) + 1;
    for await (const line of device) {
      if (line === "bad" && begun < 3) throw new Error("bad reading");
      await device.write(begun + " " + device.app + " " + line);
    }`;
  await using rig = Rig.start(place, app);
  const peer = await rig.device("1");
  await peer.say("00good\n01bad\n02good\n");
  await peer.hears("001 running good");
  await peer.say("00\n");
  await peer.hears("013 running bad");
  await peer.say("01\n");
  await peer.hears("023 running good");
  assertEquals(rig.entries("app_failed").map(({ restartIn }) => restartIn), [1000, 2000]);
  await rig.isWell();
});

Deno.test("a loop that a failed application has left behind gets no more messages", async () => {
  using place = folder();
  const app = `
    const run = globalThis.runs = (globalThis.runs ?? 0) + 1;
    const read = async () => { for await (const line of device) await device.write(run + line); };
    const fail = async () => { if (run === 1) { await sleep(1); throw new Error("first"); } };
    await Promise.all([read(), fail()]);`;
  await using rig = Rig.start(place, app);
  const peer = await rig.device("1");
  await until(() => rig.entries("app_failed").length > 0);
  await peer.say("00a\n");
  await peer.hears("002a");
  await peer.say("00\n01b\n");
  await peer.hears("012b");
  await rig.isWell();
});

Deno.test("after an application returns, its messages are kept; this is logged, and again when the inbox is full", async () => {
  using place = folder();
  const app = "await device.readline();";
  await using rig = Rig.start(place, app, "--limit", "inbox=2");
  const peer = await rig.device("1");
  await peer.say("00a\n");
  assertStringIncludes((await rig.process.logs("app_ended")).message!, "1 messages wait");
  await peer.say("01b\n");
  await peer.hears("01");
  const { device, code } = await rig.process.logs("warning");
  assertEquals([device, code], ["1", "INBOX_FULL"]);
  await rig.isWell();
});

Deno.test("without an application, the log says once that messages are kept, and when an inbox is full", async () => {
  const own = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json"];
  await using process = new Process([...own, "--limit", "inbox=3"]);
  await using peer = await RawPeer.dial(await process.port());
  const { code, message } = await process.logs("warning");
  assertEquals(code, "NO_APP");
  assertStringIncludes(message!, "up to 3 of each device");
  await peer.say("1\n\n00a\n01b\n02c\n03d\n");
  await peer.hears("00", "01", "02");
  const codes = () =>
    process.log.filter(({ event }) => event === "warning").map(({ code }) => code);
  await until(() => codes().length > 1);
  assertEquals(codes(), ["NO_APP", "INBOX_FULL"]);
});
