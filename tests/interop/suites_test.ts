/**
 * Each of our ends with every kind of key, and a recorder on the path: checks which suite they use, that lines go both
 * ways, and that a sealed link shows none of them. An end that does not seal is refused if its key is for sealed links
 * only.
 */
import { assert, assertEquals } from "@std/assert";
import { Client } from "../../bridge/host/mod.ts";
import { Server } from "../../server/mod.ts";
import { buildSketch } from "../arduino/build.ts";
import { Sketch } from "../arduino/sketch.ts";
import { application, chipTools, plugIn } from "../firmware/support.ts";
import { interpreters } from "../micropython/interpreters.ts";
import { PythonProcess } from "../micropython/python_process.ts";
import { Relay } from "../support/relay.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";

/** Timeout in ms; a chip's clock runs at the same speed. */
const TIMEOUT = 2000;
const ID = "board";
const KEY = "3c".repeat(32);

/** The server's key for the device: none, any, one for sealed links only, or one for ephemeral keys only. */
const KEYS = { none: undefined, "02": KEY, "03": `03:${KEY}`, "04": `04:${KEY}` } as const;
type Kind = keyof typeof KEYS;

/** Starts an end, with a key if given. It writes a line, and reads one. */
type Start = (port: number, key: string | undefined) => Promise<AsyncDisposable>;

/** For each kind of key at the server: the suite that is used, or the refusal. */
type Outcomes = Partial<
  Record<Kind, "00" | "02" | "03" | "04" | "refusal 08" | "refusal 09">
>;

const SEALS: Outcomes = { none: "00", "02": "03", "03": "03", "04": "refusal 09" };
/** The same for an end that is told not to seal, or to use ephemeral keys; without a key it is as above. */
const TOLD: Outcomes = { "02": "02", "03": "refusal 08", "04": "refusal 09" };
const EPHEMERAL: Outcomes = { "02": "04", "03": "04", "04": "04" };

async function meet(kind: Kind, start: Start, expected: string): Promise<void> {
  const key = KEYS[kind];
  await using server = await Server.listen({
    hostname: "127.0.0.1",
    port: 0,
    timeout: TIMEOUT,
    ...(key === undefined ? { open: true } : { keys: [[ID, key]] }),
  });
  await using relay = new Relay(server.port);
  await using _ = await start(relay.port, key && KEY);
  if (expected.startsWith("refusal")) {
    const [, code] = expected.split(" ");
    await until(() => relay.textOf("toDevice").includes(`\x04${code}\n`), { what: expected });
    assertEquals(server.devices, []);
    return;
  }
  const device = await server.device(ID);
  const up = await device.readline();
  assert(up.length > 4, "a line that is found by chance in sealed bytes"); // once in 2^32
  await device.write("down the line");
  const [said, heard] = [relay.textOf("toServer"), relay.textOf("toDevice")];
  assertEquals(said.slice(0, 3), `\x01${expected}`);
  assertEquals(heard.slice(0, 3), `\x02${expected}`);
  const shows = [said.includes(up), heard.includes("down the line")];
  const isSealed = expected >= "03";
  assertEquals(shows, isSealed ? [false, false] : [true, true]);
}

/** A step for each kind of key. */
async function meetAll(t: Deno.TestContext, outcomes: Outcomes, start: Start): Promise<void> {
  for (const [kind, outcome] of Object.entries(outcomes)) {
    const name = kind === "none" ? "no key" : `a key for suite ${kind}`;
    await t.step(`${name}: ${outcome}`, () => meet(kind as Kind, start, outcome));
  }
}

const client = (suite?: 2 | 4): Start => (port, key) => {
  const client = new Client({
    ...{ id: ID, host: "127.0.0.1", port, timeout: TIMEOUT },
    ...(key !== undefined && { key }),
    ...(suite !== undefined && { suite }),
  });
  client.write("up the line").catch(() => {}); // it may be refused
  client.readline().catch(() => {});
  return Promise.resolve(client);
};

Deno.test("suites: the client in Deno", (t) => meetAll(t, SEALS, client()));
Deno.test("suites: the client in Deno that does not seal", (t) => meetAll(t, TOLD, client(2)));
Deno.test("suites: the client in Deno, with ephemeral keys", (t) =>
  meetAll(t, EPHEMERAL, client(4)));

toolTest("suites: the chip", chipTools, async (_, t) => {
  const chip = (suite?: 4): Start => (port, key) =>
    plugIn({
      port,
      id: ID,
      application: application("qos"),
      settings: {
        timeout: TIMEOUT,
        ...(key !== undefined && { key: Uint8Array.fromHex(key) }),
        ...(suite !== undefined && { suite }),
      },
    });
  await meetAll(t, SEALS, chip());
  await t.step("with ephemeral keys", (t) => meetAll(t, EPHEMERAL, chip(4)));
});

toolTest("suites: the library for Arduino", { "g++": "g++" }, async (tools, t) => {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-suites-" });
  try {
    const program = `${folder}/exchange`;
    const sketch = new URL("../arduino/exchange.cpp", import.meta.url).pathname;
    await buildSketch(tools["g++"], sketch, program);
    const start = (suite: string): Start => (port, key) =>
      Promise.resolve(
        new Sketch(program, {
          HOLDFAST_HOSTS: `127.0.0.1:${port}`,
          HOLDFAST_TIMEOUT: `${TIMEOUT}`,
          HOLDFAST_SUITE: suite,
          ...(key !== undefined && { HOLDFAST_KEY: key }),
        }),
      );
    await meetAll(t, SEALS, start("03"));
    await t.step("that does not seal", (t) => meetAll(t, TOLD, start("02")));
    await t.step("with ephemeral keys", (t) => meetAll(t, EPHEMERAL, start("04")));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

for (const [name, path] of interpreters()) {
  const start = (suite: 2 | 3): Start => (port, key) =>
    Promise.resolve(
      PythonProcess.device(path, {
        ...{ port, id: ID, timeout: TIMEOUT, messages: 1, first: 10_000 },
        ...(key !== undefined && { key, suite }),
      }),
    );
  Deno.test(`suites: the client for MicroPython, under ${name}`, (t) =>
    meetAll(t, SEALS, start(3)));
  Deno.test(`suites: the client for MicroPython that does not seal, under ${name}`, (t) =>
    meetAll(t, TOLD, start(2)));
}
