/** `forget` and `clear` on the command line: for a running server, and for a store that is not in use. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { helloLine, parseWelcome, type Said } from "../../tests/support/greeting.ts";
import { fails, folder, Process, says, start } from "../../tests/support/main_process.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";
import { SqliteStore } from "../mod.ts";
import { controlPath, isListening } from "./control.ts";

async function list(path: string) {
  const store = new SqliteStore(path);
  try {
    return await store.list();
  } finally {
    await store.close();
  }
}

/** A server on a store, listening for commands. */
async function reachable(store: string, ...args: string[]): Promise<[Process, number]> {
  const process = start("--open", "--timeout", "60000", "--store", store, ...args);
  const port = await process.port();
  await until(() => isListening(controlPath(store)));
  return [process, port];
}

/** A device of dialect 2 that has sent its hello and got its welcome. */
async function greet(port: number, said: Partial<Said>): Promise<RawPeer> {
  const peer = await RawPeer.dial(port);
  await peer.say(`${helloLine(said)}\n\n`);
  await until(() => peer.lines[0]);
  return peer;
}

Deno.test("clear drops waiting messages while the server runs, and both ends continue after them", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const [process, port] = await reachable(store);
  await using _ = process;
  await using peer = await greet(port, { txEpoch: 7 });
  await peer.say("00one\n01two\n");
  await peer.hears("01");
  assertEquals(
    await says("clear", "1", "--store", store),
    "cleared 1: 2 messages from it and 0 to it dropped\n",
  );
  await peer.end();
  const { txEpoch } = parseWelcome(peer.lines[0]!);
  await using back = await greet(port, { txEpoch: 7, txFirst: 2, rxEpoch: txEpoch });
  const welcome = parseWelcome(back.lines[0]!);
  assertEquals([welcome.rxEpoch, welcome.rxNext, welcome.txEpoch], [7, 2, txEpoch]);
  await back.say("02three\n");
  await back.hears("02");
  assertEquals(
    await says("clear", "1", "--store", store),
    "cleared 1: 1 messages from it and 0 to it dropped\n",
  );
  assertEquals(
    await says("clear", "1", "--store", store),
    "cleared 1: 0 messages from it and 0 to it dropped\n",
  );
});

Deno.test("forget disconnects a device, which comes back as a new one", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const [process, port] = await reachable(store, "--app", "echo");
  await using _ = process;
  await using peer = await greet(port, { txEpoch: 7 });
  await peer.say("00one\n");
  await peer.hears("00echo one");
  const { txEpoch } = parseWelcome(peer.lines[0]!);
  // The device has the echo but has not acknowledged it; the application still holds the message.
  assertEquals(
    await says("forget", "1", "--store", store),
    "forgot 1: 1 messages from it and 1 to it dropped\n",
  );
  await peer.end();
  assertEquals((await process.logs("forgotten")).device, "1");
  await using back = await greet(port, { txEpoch: 7, txFirst: 1, rxEpoch: txEpoch, rxNext: 1 });
  const welcome = parseWelcome(back.lines[0]!);
  // The welcome contains no position from before.
  assertEquals([welcome.txFirst, welcome.txEpoch === txEpoch, welcome.rxNext], [0, false, 1]);
  await back.say("01two\n");
  await back.hears("00echo two");
  assertEquals(process.log.filter(({ event }) => event === "warning"), []);
});

Deno.test("forget and clear change a store that no server uses", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  {
    await using process = start("--open", "--store", store);
    const port = await process.port();
    await using one = await RawPeer.dial(port);
    await one.say("1\n00a\n01b\n");
    await one.hears("01");
    await using two = await RawPeer.dial(port);
    await two.say("2\n00c\n02d\n03e\n");
    await two.hears("03");
    process.kill("SIGTERM");
    await process.ended;
  }
  assertEquals(
    await says("clear", "1", "--store", store),
    "cleared 1: 2 messages from it and 0 to it dropped\n",
  );
  assertEquals(await list(store), [
    { id: "1", inbox: 0, outbox: 0 },
    { id: "2", inbox: 3, outbox: 0 },
  ]);
  assertEquals(
    await says("forget", "2", "--store", store),
    "forgot 2: 3 messages from it and 0 to it dropped\n",
  );
  assertEquals(await list(store), [{ id: "1", inbox: 0, outbox: 0 }]);
  await using process = start("--open", "--store", store, "--app", "echo");
  const port = await process.port();
  await using one = await RawPeer.dial(port);
  await one.say("1\n02after\n");
  await one.hears("00echo after");
  await using two = await RawPeer.dial(port);
  await two.say("2\n00c\n");
  await two.hears("00echo c");
});

Deno.test("a store whose server is unreachable is left alone, and an unknown device is reported", async () => {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const [process] = await reachable(store);
  await using _ = process;
  for (const command of ["forget", "clear"]) {
    const [code, text] = await fails(command, "no\x1bbody", "--store", store);
    assertEquals([code, text.includes('connected as "no\\u001bbody"')], [2, true], text);
  }
  Deno.removeSync(`${store}.sock`);
  for (const command of ["forget", "clear"]) {
    const [code, text] = await fails(command, "1", "--store", store);
    assertEquals([code, text.includes("is in use by another server")], [2, true], text);
  }
  process.kill("SIGTERM");
  await process.ended;
  const [code, text] = await fails("clear", "3", "--store", store);
  assertEquals([code, text.includes('connected as "3"')], [2, true], text);
});

Deno.test("wrong arguments of forget and clear are reported, and --help describes both", async () => {
  for (const command of ["forget", "clear"]) {
    for (
      const [args, text] of [
        [[], `${command} takes ID`],
        [["1", "2"], `${command} takes ID`],
        [["", "--store", "x"], `${command} takes ID`],
        [["1"], `${command} needs to know the server: give --store FILE`],
        [["1", "--store", ":memory:"], "--store takes the name of a file here"],
        [["1", "--store", "no-such-store.db"], "does not exist"],
        [["1", "--stroe", "x"], "'--stroe'"],
      ] as const
    ) {
      const [code, said] = await fails(command, ...args);
      assertEquals([code, said.includes(text)], [2, true], said);
    }
    const text = await says(command, "--help");
    for (const word of [`${command} ID`, "--store FILE"]) assertStringIncludes(text, word);
  }
});

Deno.test({
  name: "if the server is killed before it answers, the command says that the outcome is unknown",
  ignore: Deno.build.os !== "linux",
  fn: killedMeanwhile,
});

async function killedMeanwhile() {
  using place = folder();
  const store = `${place.path}/holdfast.db`;
  const app = `${place.path}/app.js`;
  Deno.writeTextFileSync(
    app,
    `export default (device) => device.consume(() => new Promise(() => {}));`,
  );
  const [process, port] = await reachable(store, "--app", app);
  await using _ = process;
  await using peer = await RawPeer.dial(port);
  await peer.say("1\n00held\n");
  await peer.hears("00");
  // The system lists the socket once while nobody is connected.
  const sockets = () => Deno.readTextFileSync("/proc/net/unix").split(`${store}.sock`).length - 1;
  await until(() => sockets() === 1); // the server has closed the connection of our check
  await using command = new Process(["clear", "1", "--store", store]);
  await until(() => sockets() > 1); // the command waits for the application
  process.kill("SIGKILL");
  assertEquals((await command.ended).code, 1);
  assertStringIncludes(command.stderr, "may or may not have done this");
}
