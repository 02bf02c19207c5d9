/** Applications over the link: a real server, and boards whose firmware is a model. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { folder } from "../tests/support/main_process.ts";
import { ModelBoard } from "../tests/support/model_board.ts";
import { hashOf } from "../tests/support/model_firmware.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { type Deploy, LocalError } from "./mod.ts";

const KEY = "17".repeat(32);
const KEYED = { open: false, keys: [["roof", KEY]] } as const;

/** An application that the example's build has made. */
const wasm = Deno.readFileSync(new URL("../client-as/build/main.wasm", import.meta.url));
const other = Deno.readFileSync(new URL("../client-as/build/qos.wasm", import.meta.url));

const APP = { name: "kitchen", version: 4 };

/** The code of what a promise rejects with. */
async function codeOf(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await assertRejects(() => promise, LocalError);
  return [error.code, error.message];
}

Deno.test("a device gets another application, tries it, and keeps it; messages continue meanwhile", async () => {
  await using scene = await Scene.start(KEYED);
  using board = new ModelBoard(scene.server.port, "roof", { key: Uint8Array.fromHex(KEY) });
  const device = await scene.server.device("roof");
  assertEquals(device.runs?.name, "kitchen");
  const seen: string[] = [];
  const onProgress = ({ phase, arrived }: Deploy) => void seen.push(`${phase} ${arrived}`);
  const deployed = device.deploy(wasm, { ...APP, onProgress });
  assertEquals(await device.write("hello"), true);
  await deployed;
  assertEquals(
    board.seen,
    ["hello"],
    "the application does not see the lines between server and firmware",
  );
  assertEquals(board.firmware.runs.hash, hashOf(wasm));
  assertEquals(device.runs, { ...APP, hash: hashOf(wasm).slice(0, 8) });
  const { phase, arrived, size } = device.deployment!;
  assertEquals([phase, arrived, size], ["kept", wasm.length, wasm.length]);
  assert(seen.length > 10, seen.join("\n"));
  assertEquals(seen.at(-1), `kept ${wasm.length}`);
  assertEquals(scene.codes("deploy").slice(-5), [
    "OFFERED",
    "SENDING",
    "CHECKING",
    "TRIAL",
    "KEPT",
  ]);
  assertStringIncludes((await scene.logs("deploy", "KEPT")).message!, "kitchen/4/");
});

Deno.test("a fallback is reported with its reason, and retried only on request", async () => {
  await using scene = await Scene.start();
  let bad = true;
  using board = new ModelBoard(scene.server.port, "roof", {
    falls: () => bad ? "trap" : undefined,
  });
  const device = await scene.server.device("roof");
  const [code, message] = await codeOf(device.deploy(wasm, APP));
  assertEquals(code, "FELL_BACK");
  assertStringIncludes(message, "it trapped");
  assertEquals(board.firmware.runs.version, 3);
  assertEquals((await codeOf(device.deploy(wasm, APP)))[0], "DEPLOY_REFUSED");
  assertEquals(board.firmware.trials.length, 1);
  bad = false;
  await device.deploy(wasm, { ...APP, again: true });
  assertEquals([board.firmware.trials.length, board.firmware.runs.hash], [2, hashOf(wasm)]);
});

Deno.test("invalid deploys are refused at once: not a module, a bad name, an older version, a device without deploys", async () => {
  await using scene = await Scene.start();
  using board = new ModelBoard(scene.server.port, "roof");
  const device = await scene.server.device("roof");
  const bytes = new TextEncoder().encode("<html>");
  for (
    const [wrong, options] of [
      [bytes, APP],
      [wasm.slice(0, -1), APP],
      [new Uint8Array(30_000), APP],
      [wasm, { ...APP, name: "kitchen sink" }],
      [wasm, { ...APP, name: "" }],
      [wasm, { ...APP, name: "x".repeat(33) }],
      [wasm, { ...APP, version: -1 }],
      [wasm, { ...APP, version: 2 ** 32 }],
      [wasm, { ...APP, version: 1.5 }],
    ] as const
  ) assertEquals((await codeOf(device.deploy(wrong, options)))[0], "BAD_ARGUMENT");
  const [code, message] = await codeOf(device.deploy(wasm, { ...APP, version: 2 }));
  assertEquals(code, "DEPLOY_REFUSED");
  assertStringIncludes(message, "its version is lower");
  assertEquals([board.firmware.erased, board.seen], [0, []]);
  const [stock] = await scene.device("stock");
  assertEquals((await codeOf(stock.deploy(wasm, APP)))[0], "UNSUPPORTED");
  assertEquals(stock.deployment, undefined);
});

Deno.test("the same bytes are deployed once, with the options of the last call", async () => {
  await using scene = await Scene.start();
  const device = await (async () => {
    using _ = new ModelBoard(scene.server.port, "roof");
    return await scene.server.device("roof");
  })();
  await until(() => !device.connected, { what: () => "the board has gone" });
  const begun = async (options: object) => {
    await device.deploy(wasm, { ...APP, version: 2, ...options, until: "accepted" });
    return device.deployment!.begun;
  };
  const first = await begun({});
  assertEquals(await begun({}), first, "it is the same one");
  const second = await begun({ older: true });
  assertEquals(second > first, true, "and this is not");
  assertEquals(await begun({ older: true }), second);
  using board = new ModelBoard(scene.server.port, "roof");
  await until(() => device.deployment?.phase === "kept", {
    what: () => `${device.deployment?.phase}`,
  });
  assertEquals([board.firmware.runs.hash, device.runs?.version], [hashOf(wasm), 2]);
});

Deno.test("imports that the firmware lacks are refused by name before anything is sent; for older firmware, by the device", async () => {
  await using scene = await Scene.start();
  const sleeps = Deno.readFileSync(new URL("../client-as/build/battery.wasm", import.meta.url));
  using board = new ModelBoard(scene.server.port, "roof", { imports: 18 }); // board.sleep is not among them
  const device = await scene.server.device("roof");
  const [code, message] = await codeOf(device.deploy(sleeps, APP));
  assertEquals([code, device.deployment?.detail], ["DEPLOY_REFUSED", "board.sleep"]);
  assertStringIncludes(message, "board.sleep");
  assertEquals([board.firmware.erased, board.seen], [0, []]);
  await device.deploy(wasm, APP); // this one it can run
  using old = new ModelBoard(scene.server.port, "shed", {
    knowsNeeds: false,
    unfit: () => "import board.sleep",
  });
  const shed = await scene.server.device("shed");
  assertEquals((await codeOf(shed.deploy(sleeps, APP)))[0], "DEPLOY_REFUSED");
  assertEquals([old.firmware.erased, shed.deployment?.detail], [1, "board.sleep"]);
});

Deno.test("a deploy survives a restart of the server; one that waits fails if the device turns out not to support deploys", async () => {
  await using place = await folder();
  const store = `${place.path}/holdfast.db`;
  let port: number;
  {
    await using scene = await Scene.start({ store });
    port = scene.server.port;
    { // both devices were here once
      using _ = new ModelBoard(port, "roof");
      await scene.server.device("roof");
    }
    const [stock, peer] = await scene.device("stock");
    peer.close();
    const roof = await scene.server.device("roof");
    await until(() => !roof.connected && !stock.connected);
    for (const device of [roof, stock]) await device.deploy(wasm, { ...APP, until: "accepted" });
    assertEquals([roof.deployment?.phase, stock.deployment?.phase], ["waits", "waits"]);
    const waits = codeOf(roof.deploy(wasm, APP));
    await scene.server.close();
    assertEquals((await waits)[0], "CLOSED");
  }
  await using scene = await Scene.start({ store, port });
  const [roof, stock] = ["roof", "stock"].map((id) => scene.server.known(id)!);
  assertEquals([roof!.deployment?.phase, roof!.runs?.version], ["waits", 3]);
  using board = new ModelBoard(port, "roof");
  await until(() => roof!.deployment?.phase === "kept");
  assertEquals(board.firmware.runs.hash, hashOf(wasm));
  await scene.device("stock");
  assertEquals(stock!.deployment?.phase, "unsupported");
});

Deno.test("another deploy replaces the first, the same one joins it, and one can be given up", async () => {
  await using scene = await Scene.start();
  { // it was here once
    using _ = new ModelBoard(scene.server.port, "roof");
    await scene.server.device("roof");
  }
  const device = await scene.server.device("roof");
  await until(() => !device.connected);
  const first = codeOf(device.deploy(wasm, APP));
  await until(() => device.deployment);
  const { begun } = device.deployment!;
  const stop = new AbortController();
  const stopped = assertRejects(() => device.deploy(wasm, { ...APP, signal: stop.signal }));
  stop.abort();
  await stopped;
  assertEquals(device.deployment?.begun, begun, "the deploy continues");
  const second = codeOf(device.deploy(other, APP));
  assertEquals((await first)[0], "GIVEN_UP");
  await device.giveUp();
  assertEquals((await second)[0], "GIVEN_UP");
  assertEquals(device.deployment?.phase, "given_up");
  await device.giveUp(); // there is nothing to give up
  const [once, again] = [false, true].map((again) =>
    codeOf(device.deploy(other, { ...APP, again }))
  );
  assertEquals((await once!)[0], "GIVEN_UP", "the second call has begun it again");
  const isDecided = () => "decided";
  assertEquals(await Promise.race([again!.then(isDecided), Promise.resolve("waits")]), "waits");
  await device.giveUp();
  assertEquals((await again!)[0], "GIVEN_UP");
  const third = codeOf(device.deploy(wasm, APP));
  await until(() => device.deployment?.phase === "waits");
  await scene.server.forget("roof");
  assertEquals((await third)[0], "FORGOTTEN");
});

Deno.test("a device that was flashed over its cable runs that application, and this is reported once", async () => {
  await using scene = await Scene.start();
  {
    using _ = new ModelBoard(scene.server.port, "roof");
    await (await scene.server.device("roof")).deploy(wasm, APP);
  }
  for (let n = 0; n < 2; n++) {
    using board = new ModelBoard(scene.server.port, "roof", { name: "flashed", version: 1 });
    await until(() => board.up);
    await until(() => scene.server.known("roof")!.runs?.name === "flashed");
  }
  const warnings = scene.codes("warning").filter((code) => code === "OTHER_APPLICATION");
  assertEquals(warnings.length, 1);
  const { message } = await scene.logs("warning", "OTHER_APPLICATION");
  assertStringIncludes(message!, "flashed since, or the store is an old copy");
});
