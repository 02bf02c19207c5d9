/** Servers that share a database: one of them deploys to devices of another one, and disposes of their dead letters. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { Client } from "../bridge/host/mod.ts";
import { ModelBoard } from "../tests/support/model_board.ts";
import { hashOf } from "../tests/support/model_firmware.ts";
import { withPostgres } from "../tests/support/postgres.ts";
import { codeOf, TwoServers } from "../tests/support/two_servers.ts";
import { until } from "../tests/support/wait.ts";
import { channels, type Deploy } from "./mod.ts";

/** Applications that the examples' build has made. */
const wasm = Deno.readFileSync(new URL("../client-as/build/main.wasm", import.meta.url));
const other = Deno.readFileSync(new URL("../client-as/build/qos.wasm", import.meta.url));

const APP = { name: "kitchen", version: 4 };

withPostgres("acts for devices of another server", (server) => {
  const url = () => server().url(server().schema());

  Deno.test("fleet: any server deploys an application to a device, and gets its progress and outcome", async () => {
    await using rig = await TwoServers.start(url());
    using board = new ModelBoard(rig.near.server.port, "roof");
    await rig.sees("roof");
    const device = await rig.far.server.device("roof");
    assertEquals(device.runs?.name, "kitchen");
    const seen: string[] = [];
    const onProgress = ({ phase }: Deploy) => void seen.push(phase);
    await device.deploy(wasm, { ...APP, onProgress });
    assertEquals(board.firmware.runs.hash, hashOf(wasm));
    const phases = ["waits", "offered", "sending", "checking", "trial"];
    assert(phases.includes(seen[0]!), "the first reported phase is one of an unfinished deploy");
    await until(() => device.deployment?.phase === "kept", { what: "the outcome to be shown" });
    assertEquals(device.runs, { ...APP, hash: hashOf(wasm).slice(0, 8) });
    assertEquals(rig.far.codes("deploy"), [], "only the device's own server reports the deploy");
    assertEquals(rig.near.codes("deploy").at(-1), "KEPT");
  });

  Deno.test("fleet: an impossible deploy fails with the same error as at the device's server", async () => {
    await using rig = await TwoServers.start(url());
    await rig.begin();
    let falls: string | undefined = "trap";
    using _board = new ModelBoard(rig.near.server.port, "roof", { falls: () => falls });
    await rig.sees("roof");
    const { server } = rig.far;
    const device = await server.device("roof");
    assertEquals(await codeOf(device.deploy(new Uint8Array(8), APP)), "BAD_ARGUMENT");
    assertEquals(await codeOf(device.deploy(wasm, { ...APP, name: "a b" })), "BAD_ARGUMENT");
    assertEquals(await codeOf(device.deploy(wasm, { ...APP, version: -1 })), "BAD_ARGUMENT");
    const plain = await server.device("1");
    assertEquals(await codeOf(plain.deploy(wasm, APP)), "UNSUPPORTED");
    const fell = await assertRejects(() => device.deploy(wasm, APP));
    assertStringIncludes(String(fell), "kitchen/4/");
    assertEquals((fell as { code?: string }).code, "FELL_BACK");
    assertEquals(await codeOf(device.deploy(wasm, APP)), "DEPLOY_REFUSED");
    falls = undefined;
    await device.deploy(wasm, { ...APP, again: true });
    await device.giveUp(); // nothing is under way
    assertEquals(device.deployment?.phase, "kept");
  });

  Deno.test("fleet: a deploy that waits for its device can be given up at any server, and continues at another server", async () => {
    await using rig = await TwoServers.start(url());
    const { near, far } = rig;
    {
      using _board = new ModelBoard(near.server.port, "roof");
      await rig.sees("roof");
    }
    const device = await far.server.device("roof");
    await until(() => !device.connected, {
      what: "the other server to see that the device is away",
    });
    const given = codeOf(device.deploy(wasm, APP));
    await until(() => near.server.known("roof")!.deployment, {
      what: "the deploy to reach the device's server",
    });
    await device.giveUp();
    assertEquals([await given, device.deployment?.phase], ["GIVEN_UP", "given_up"]);

    await device.deploy(wasm, { ...APP, until: "accepted" });
    assertEquals([device.deployment?.phase, device.deployment?.version], ["waits", 4]);
    const replaced = codeOf(device.deploy(wasm, APP)); // the same one: it is not begun again
    await until(() => near.server.known("roof")!.deployment?.phase === "waits");
    const kept = device.deploy(other, { name: "qos", version: 5 });
    assertEquals(await replaced, "GIVEN_UP");
    const aborted = new AbortController();
    const abandoned = device.deploy(other, { name: "qos", version: 5, signal: aborted.signal });
    aborted.abort(new Error("enough"));
    assertStringIncludes(String(await assertRejects(() => abandoned)), "enough");
    await near.server.close();
    using board = new ModelBoard(far.server.port, "roof");
    await kept;
    assertEquals(board.firmware.runs.hash, hashOf(other));
  });

  Deno.test("fleet: a deploy to a device that is forgotten rejects", async () => {
    await using rig = await TwoServers.start(url());
    {
      using _board = new ModelBoard(rig.near.server.port, "roof");
      await rig.sees("roof");
    }
    const device = await rig.far.server.device("roof");
    const waiting = codeOf(device.deploy(wasm, APP));
    await until(() => rig.near.server.known("roof")!.deployment, {
      what: "the deploy to reach the device's server",
    });
    await rig.near.server.forget("roof");
    assertEquals(await waiting, "FORGOTTEN");
  });

  Deno.test("fleet: any server revives a device's dead letters, and discards them", async () => {
    let fails = true;
    const taken: string[] = [];
    await using rig = await TwoServers.start(url(), {
      deadLetters: true,
      limits: { attempts: 1 },
      app: async (device) => {
        await device.consume((line) => {
          if (fails) throw new Error("no");
          taken.push(line);
        });
      },
    });
    const { near, far } = rig;
    rig.client = new Client({ id: "1", port: near.server.port });
    await rig.client.write("first");
    await rig.client.write("second");
    const own = await near.server.device("1");
    const safe = async () => (await far.server.deadLetters())[0]?.letters.length === 2;
    await until(safe, { what: "two dead letters to be safe" }); // their own server shows them earlier
    await rig.sees("1");
    const device = await far.server.device("1");
    const [first, second] = own.deadLetters;
    assertEquals(device.deadLetters, []);
    assertEquals(await far.server.deadLetters(), [{ device: "1", letters: own.deadLetters }]);
    for (const bad of [99, -1, NaN, 0.5]) {
      assertEquals(await codeOf(device.revive(bad)), "BAD_ARGUMENT");
      assertEquals(await codeOf(device.discard(bad)), "BAD_ARGUMENT");
    }
    await device.discard(first!.number);
    fails = false;
    await device.revive(second!.number);
    await until(() => taken.length === 1, { what: "the revived message to be taken" });
    assertEquals([taken, own.deadLetters], [["second"], []]);
    assertEquals(await codeOf(device.discard(first!.number)), "BAD_ARGUMENT");
  });

  Deno.test("fleet: any server shows a device's channels, with desired values and descriptions", async () => {
    const description = { channels: { led: { kind: "number", min: 0, max: 9 } } } as const;
    const app = channels({ led: {}, temp: {} }, { description });
    await using rig = await TwoServers.start(url(), { app });
    await rig.begin();
    const { far, near, client } = rig;
    const own = await near.server.thing("1");
    await client.write("@kitchen 3");
    await client.write("=temp 21.5");
    await until(() => own.reported("temp"), { what: "the report" });
    await own.set("led", 3, { by: "test" });
    const thing = await far.server.thing("1");
    assertEquals(thing.channels.sort(), ["led", "temp"]);
    assertEquals(thing.reported("temp"), own.reported("temp"));
    assertEquals(thing.desired("led"), own.desired("led"));
    assertEquals(thing.application, { name: "kitchen", version: "3" });
    assertEquals(thing.description, own.description);
    assertEquals([thing.reported("none"), thing.desired("temp")], [undefined, undefined]);
    await client.write("=temp 22");
    await until(() => own.reported("temp")?.value === 22, { what: "the next report" });
    assertEquals(
      thing.reported("temp")?.value,
      21.5,
      "the value from when the thing was asked for",
    );
    await until(async () => {
      assertEquals(await far.server.thing("1"), thing);
      return thing.reported("temp")?.value === 22;
    }, { what: "the report to be safe, and read" });
    await far.server.close();
    assertEquals(await codeOf(far.server.thing("1")), "CLOSED");
  });
});
