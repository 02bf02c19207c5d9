/** The examples of channels, at the server's end: through outages, reboots of the device, restarts of the server. */
import { assertEquals } from "@std/assert";
import { folder } from "../../tests/support/main_process.ts";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { StreamBoard } from "../../tests/support/stream_board.ts";
import { MemoryStore, share, type SqlRow } from "../mod.ts";
import door from "./door.ts";
import logger from "./logger.ts";
import thermostat from "./thermostat.ts";

const DATE = 1_700_000_000_000;

/** Takes settings as a board does, with a relay that has the channel `heater`. */
async function obey(board: LineBoard): Promise<string[]> {
  const lines = board.news();
  for (const line of lines) {
    const [, name, tag, value] = /^=(\w+)\.(\d+) (.*)$/.exec(line)!;
    await board.says(`:${name}.${tag} ${value}`);
  }
  return lines.map((line) => line.replace(/\.\d+/, ""));
}

Deno.test("thermostat: hysteresis, an outage, a reboot, a restart of the server", async () => {
  const store = new MemoryStore();
  {
    const scene = await ManualServer.start({ app: thermostat, store });
    await using _ = scene;
    const board = new LineBoard(scene, "kitchen");
    await board.connect();
    await board.says("@kitchen 1");
    await board.says("=temp 18");
    assertEquals(await obey(board), [], "nobody has said how warm it should be");
    const thing = await scene.server.thing("kitchen");
    void thing.set("target", 21, { by: "me" });
    await board.settle();
    assertEquals(await obey(board), ["=target 21"]);
    await board.says("=temp 20.4");
    assertEquals(await obey(board), ["=heater 1"]);
    await board.says("=temp 21.5");
    assertEquals(await obey(board), [], "within the hysteresis");
    await board.leave();
    void thing.set("target", 15);
    void thing.set("target", 19);
    await scene.platform.turn();
    await board.connect();
    assertEquals(await obey(board), ["=target 19"]);
    await board.says("=temp 21.4");
    assertEquals(await obey(board), ["=heater 0"]);
    await board.says("=target 23"); // the knob at the device
    await board.says("=temp 21.4");
    assertEquals(await obey(board), ["=heater 1"]);
    board.reboot();
    await board.leave();
    await board.connect();
    await board.says("@kitchen 1");
    assertEquals((await obey(board)).sort(), ["=heater 1", "=target 23"]);
  }
  const scene = await ManualServer.start({ app: thermostat, store });
  await using _ = scene;
  const board = new LineBoard(scene, "kitchen");
  await board.connect();
  await board.says("=temp 24");
  assertEquals(await obey(board), ["=heater 0"]);
  const thing = await scene.server.thing("kitchen");
  assertEquals([thing.desired("target")?.value, thing.desired("heater")?.isMet], [23, true]);
});

Deno.test("thermostat: a device that regulates itself gets its target only", async () => {
  const scene = await ManualServer.start({ app: thermostat });
  await using _ = scene;
  const board = new LineBoard(scene, "kitchen");
  await board.connect();
  await board.says("@thermostat 1");
  const thing = await scene.server.thing("kitchen");
  void thing.set("target", 500);
  await board.settle();
  await board.says("=temp 100");
  await board.says("=heater 1");
  assertEquals(await obey(board), ["=target 500"]);
  assertEquals(thing.reported("heater")?.value, 1);
});

Deno.test("door: it opens in time or not at all", async () => {
  const scene = await ManualServer.start({ app: door, timeout: 3_600_000 });
  await using _ = scene;
  const board = new StreamBoard(scene, "front", DATE);
  const now = Date.now;
  Date.now = () => scene.platform.date();
  try {
    await board.connect();
    const asked = () => board.heard.filter((line) => line.includes("?door."));
    await board.says(`!badge@${board.now} 9999`);
    assertEquals(asked(), []);
    await board.says(`!badge@${board.now} 1234`);
    const [line] = asked();
    const tag = /\?door\.(\d+) open$/.exec(line!)![1];
    await board.says(`:door.${tag} open`);
    await board.says("!door opened");
    // The badge waits in the device: when the link is back, nobody is at the door any more.
    await board.leave();
    await board.says(`!badge@${board.now} 1234`);
    await scene.platform.advance(6000);
    await board.connect();
    assertEquals(asked(), []);
    // The request waits at the server: likewise.
    const thing = await scene.server.thing("front");
    await board.leave();
    const request = thing.request("door", "open", { deadline: 5000 });
    const outcome = request.then(() => "opened", ({ code }) => code);
    await scene.platform.advance(6000);
    await board.connect();
    assertEquals([await outcome, asked()], ["EXPIRED", []]);
  } finally {
    Date.now = now;
  }
});

Deno.test("logger: each reading once, with its time, through an outage and a restart of the server", async () => {
  using place = folder();
  const path = `${place.path}/holdfast.db`;
  const app = share({ logger, thermostat }); // as with --app logger --app thermostat
  {
    const scene = await ManualServer.start({ app, store: path, timeout: 3_600_000 });
    await using _ = scene;
    const board = new StreamBoard(scene, "kitchen", DATE, 1000);
    await board.connect();
    await board.reads(20);
    await board.leave();
    await scene.platform.advance(60_000);
    await board.reads(21);
    await board.reads(512, "adc");
    await board.connect();
  }
  const again = await ManualServer.start({ app, store: path, timeout: 3_600_000 });
  await using _ = again;
  await again.platform.turn();
  let rows: SqlRow[] = [];
  const query = again.server.transaction(async (tx) => {
    rows = await tx.all("SELECT device, channel, value, at FROM readings ORDER BY rowid");
  });
  await again.platform.turn();
  await query;
  assertEquals(rows.map((row) => ({ ...row })), [
    { device: "kitchen", channel: "temp", value: 20, at: "2023-11-14T22:13:20.000Z" },
    { device: "kitchen", channel: "temp", value: 21, at: "2023-11-14T22:14:20.000Z" },
    { device: "kitchen", channel: "adc", value: 512, at: "2023-11-14T22:14:20.000Z" },
  ]);
});
