/** New applications over the link: a chip, the real server, and what happens in between. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeApplication, Mark } from "../../bridge/formats/application.ts";
import { crc32 } from "../../bridge/formats/crc32.ts";
import { LocalError, Server } from "../../server/mod.ts";
import { Random } from "../support/random.ts";
import { until } from "../support/wait.ts";
import {
  BAD,
  deployAll,
  GOOD,
  keptOf,
  once,
  Roof,
  slotsOf,
  variant,
  WATCHDOG,
} from "./deploying.ts";
import { application, chipTest, firmware, line, plugIn } from "./support.ts";

/** The application area as an older flasher wrote it: version 1. */
function areaOfBefore(name: string, wasm: Uint8Array): Uint8Array {
  const area = new Uint8Array(48 + Math.ceil(wasm.length / 4) * 4).fill(0xff);
  const view = new DataView(area.buffer);
  area.fill(0, 0, 48);
  area.set(new TextEncoder().encode("HFAP"));
  view.setUint32(4, 48 << 16 | 1, true);
  view.setUint32(8, wasm.length, true);
  view.setUint32(12, crc32(wasm), true);
  area.set(new TextEncoder().encode(name), 16);
  area.set(wasm, 48);
  return area;
}

chipTest(
  "an application arrives while the old one runs, is tried, kept, and then started at boot",
  async () => {
    const random = new Random(1);
    const [old, next, third] = [1, 2, 3].map(() => random);
    const good = await once(GOOD);
    const first = variant(good, old!), second = variant(good, next!, 4000);
    const key = random.bytes(32);
    await using roof = await Roof.start({ application: areaOfBefore("old one!", first), key });
    const device = await roof.device();
    assertEquals([device.runs?.name, device.runs?.version], ["old_one_", 0]);
    const phases: string[] = [];
    await device.deploy(second, {
      name: "new",
      version: 7,
      onProgress: ({ phase }) => phases.at(-1) === phase || phases.push(phase),
    });
    assertEquals(phases.slice(-4), ["sending", "checking", "trial", "kept"]);
    assertEquals([device.runs?.name, device.runs?.version], ["new", 7]);
    assertEquals(keptOf(roof.board)!.wasm, second);
    assertEquals(slotsOf(roof.board).length, 2, "the old one is there, too");
    assert(roof.got.length > 2 && roof.got.every((text) => /^\d+$/.test(text)), roof.got.join(" "));
    // The same one is there already; an older one is refused, unless forced.
    await device.deploy(second, { name: "new", version: 7 });
    const why = await assertRejects(
      () => device.deploy(first, { name: "old", version: 6 }),
      LocalError,
    );
    assertEquals(why.code, "DEPLOY_REFUSED");
    assertStringIncludes(why.message, "its version is lower than the running one's");
    await device.deploy(first, { name: "old", version: 6, older: true });
    assertEquals(keptOf(roof.board)!.wasm, first);
    await roof.reset("power-on");
    await roof.up();
    await until(() => device.runs?.name === "old" && device.connected);
    // An application that is flashed over the cable runs.
    const cabled = variant(good, third!);
    roof.board.flash.set(encodeApplication("cabled", cabled), 0xf0000);
    await roof.reset("external");
    await roof.up();
    await until(() => device.runs?.name === "cabled");
  },
);

/** Deploys an application whose trial ends in this way: the old one must come back, and the server be told. */
async function fallsBack(reason: string): Promise<void> {
  const good = await once(GOOD);
  await using roof = await Roof.start({
    application: { name: "good", wasm: good },
    watchdog: WATCHDOG,
  });
  const device = await roof.device();
  const wasm = await once(BAD[reason]!);
  const deploy = () => device.deploy(wasm, { name: "bad", version: 1 });
  const error = await assertRejects(deploy, LocalError);
  assertEquals([error.code, device.deployment?.reason], ["FELL_BACK", reason]);
  await until(() => device.runs?.name === "good" && device.connected);
  assertStringIncludes(device.metadata, "reset=rollback ");
  assertEquals(keptOf(roof.board)!.wasm, good);
  // It is not tried again, even if the server has forgotten.
  assertEquals((await assertRejects(deploy, LocalError)).code, "DEPLOY_REFUSED");
  const isTold = () => slotsOf(roof.board).some(({ state }) => (state & Mark.told) === 0);
  await until(isTold, { what: "the server's ack to reach the chip" });
  await roof.reset("power-on");
  await line(roof.board, "application name=good", roof.board.lines.length - 1);
  await until(() => !device.metadata.includes("rollback"), { what: "no second report" });
}

chipTest(
  "an application that traps, hangs, takes too much memory, refuses itself or cannot be compiled: the old one comes back",
  async () => {
    // Compiling blocks everything, so it comes first. Then one chip for each, because most of their time is waiting.
    for (const source of [GOOD, ...Object.values(BAD)]) await once(source);
    await Promise.all(Object.keys(BAD).map(fallsBack));
  },
);

/** An application that looks for a server where there is none. */
const NOWHERE = `
  export * from "../assembly/core";
  import { configure, every } from "../assembly/app";
  export function onStart(): void { every(100); }
  export function onTick(): void { configure(memory.data<u8>([4, 2, 1, 0]), 4); every(0); }`;

/** Deploys an application to a chip; `meddle` runs once it is on trial. Returns why it falls back. */
async function comesBack(wasm: Uint8Array, speed: number, meddle: (roof: Roof) => void) {
  const application = { name: "good", wasm: await once(GOOD) };
  await using roof = await Roof.start({ application, speed });
  const device = await roof.device();
  await device.deploy(wasm, { name: "new", version: 1, until: "accepted" });
  await line(roof.board, "application name=new");
  meddle(roof);
  const { reason } = await roof.decided();
  await until(() => device.runs?.name === "good" && device.connected);
  return reason;
}

chipTest(
  "an exception in a trial, and a link that does not come up: the old one comes back",
  async () => {
    const [good, nowhere] = [await once(GOOD), await once(NOWHERE)];
    const reasons = await Promise.all([
      comesBack(variant(good, new Random(2)), 20, ({ board }) => board.reset("exception")),
      comesBack(nowhere, 60, () => {}), // it gets five minutes
    ]);
    assertEquals(reasons, ["crash", "link"]);
  },
);

chipTest(
  "a deploy to a board whose application is part of its firmware fails at once",
  async () => {
    const built = application("qos");
    await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
    await using _board = await plugIn({
      firmware: await firmware([], built),
      port: server.port,
      id: "roof",
      settings: { timeout: 2000 },
    });
    const device = await server.device("roof");
    const error = await assertRejects(
      () => device.deploy(built.wasm, { name: "qos", version: 1 }),
      LocalError,
    );
    assertEquals([error.code, device.runs], ["UNSUPPORTED", undefined]);
  },
);

/** Each waits most of the time: for a link, for an outage to be noticed, for a trial to end. */
const CHIPS = 4;

chipTest(
  "20 applications, one after the other on each of four chips, with faults at random moments: the right one runs",
  async () => {
    const seed = Number(Deno.env.get("HOLDFAST_SEED") ?? Math.floor(Math.random() * 2 ** 31));
    const said: string[] = [];
    for (const source of [GOOD, ...Object.values(BAD)]) await once(source);
    const chips = Array.from(
      { length: CHIPS },
      (_, n) =>
        deployAll(20 / CHIPS, new Random(seed + n), (line) => said.push(`chip ${n}: ${line}`)),
    );
    const ends = await Promise.allSettled(chips); // so that none is left running
    const failed = ends.find((end) => end.status === "rejected");
    if (failed) {
      throw new Error(`HOLDFAST_SEED=${seed}\n${said.join("\n")}`, { cause: failed.reason });
    }
  },
);
