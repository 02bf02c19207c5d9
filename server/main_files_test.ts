/** A server that may open fewer files than it needs. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Process } from "../tests/support/main_process.ts";
import { RawPeer } from "../tests/support/raw.ts";
import { toolTest } from "../tests/support/tools.ts";
import { until } from "../tests/support/wait.ts";

const ARGS = ["--open", "--host", "127.0.0.1", "--port", "0", "--log", "json"];
/** No connection is dropped because it is silent. */
const PATIENT = ["--timeout", "600000"];

/** Peers that connect and say nothing, for as long as the test lasts. */
class Silent implements AsyncDisposable {
  readonly peers: RawPeer[] = [];

  async come(port: number, count: number): Promise<void> {
    for (let n = 0; n < count; n++) this.peers.push(await RawPeer.dial(port));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) await peer[Symbol.asyncDispose]();
  }
}

async function isServed(port: number, id: string): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.say(`${id}\n00is anybody there?\n`);
  await peer.hears("00");
  return peer;
}

Deno.test("a server with fewer files than connections warns at the start, and works with as many as it has", async () => {
  await using process = new Process([...ARGS, ...PATIENT], { files: 90 });
  const port = await process.port();
  const { code, message = "" } = await process.logs("warning");
  assertEquals(code, "TOO_FEW_CONNECTIONS");
  assertMatch(
    message,
    /files for only \d+ connections instead of 2000 .*ulimit -n, LimitNOFILE=.*--limit connections/,
  );
  await using silent = new Silent();
  await silent.come(port, 200);
  await using peer = await isServed(port, "1"); // while the silent peers are connected
  assert(silent.peers.some(({ ended }) => ended === undefined));
  assertEquals(process.log.filter(({ code }) => code === "NOT_ACCEPTED"), []);
  assertEquals((await process.logs("refused")).code, "TOO_MANY_CONNECTIONS");
  peer.close();
});

Deno.test("a server with enough files for its connections does not warn", async () => {
  const args = [...ARGS, "--app", "echo", "--limit", "connections=20"];
  await using process = new Process(args, { files: 200 });
  await using _ = await isServed(await process.port(), "1");
  assertEquals(process.log.map(({ event }) => event), ["listening", "connected"]);
});

toolTest("when no file is left, connections without a hello are closed to make room", {
  prlimit: "util-linux",
}, async ({ prlimit }) => {
  await using process = new Process([...ARGS, ...PATIENT]);
  const port = await process.port();
  await using served = await isServed(port, "served");
  const limit = [`--pid=${process.pid}`, "--nofile=64:64"];
  assertEquals((await new Deno.Command(prlimit, { args: limit }).output()).code, 0);
  await using silent = new Silent();
  await silent.come(port, 100);
  await until(() => process.log.some(({ code }) => code === "NOT_ACCEPTED"));
  await using peer = await isServed(port, "1"); // while the silent peers are connected
  assert(silent.peers.some(({ ended }) => ended === undefined));
  await until(() => process.log.some(({ code }) => code === "TOO_MANY_CONNECTIONS"));
  assertEquals([served.ended, peer.ended], [undefined, undefined]);
});
