/** A described device on a server: where its description comes from, and which values it refuses. */
import { assertEquals, assertRejects } from "@std/assert";
import { Records } from "../../tests/support/records.ts";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { StreamBoard } from "../../tests/support/stream_board.ts";
import type { ServerEvent } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import type { ServerOptions } from "../server.ts";
import { MemoryStore } from "../store/memory.ts";
import { channels } from "./app.ts";
import type { ChannelsOptions } from "./channel.ts";
import { Described } from "./described.ts";
import type { Description } from "./description.ts";
import { Descriptions } from "./descriptions.ts";

const own = '{"name":"own","channels":{"temp":{"kind":"number","min":5,"max":30,"unit":"°C"}}}';

/** Another one. */
function called(name: string, max = 30): Description {
  return { name, channels: { temp: { kind: "number", min: 5, max } } };
}

async function begin(options: ChannelsOptions = {}, server: ServerOptions = {}) {
  const seen: unknown[] = [];
  const app = channels({ temp: (value) => void seen.push(value), button: {} }, options);
  const scene = await ManualServer.start({ app, ...server });
  const board = new LineBoard(scene);
  await board.connect();
  const thing = await scene.server.thing("1");
  const told: ServerEvent[] = [];
  scene.server.events.subscribe((event) => told.push(event));
  const warnings = () =>
    told.flatMap((it) => it.event === "warning" ? [[it.code, it.message]] : []);
  return { scene, board, thing, seen, warnings };
}

async function refused(scene: ManualServer, done: Promise<void>, words: string) {
  const error = assertRejects(() => done, LocalError, words);
  await scene.platform.advance(100); // refusals are delayed
  return await error as LocalError;
}

Deno.test("a device brings its description, which survives the server until another application starts", async () => {
  const store = new MemoryStore();
  {
    const { scene, board, thing } = await begin({}, { store });
    await using _ = scene;
    assertEquals(thing.description, undefined);
    await board.says(`@kitchen 3 ${own}`);
    assertEquals(JSON.stringify(thing.description), own);
    assertEquals(thing.application, { name: "kitchen", version: "3" });
    assertEquals(board.news(), []);
  }
  const { scene, board, thing } = await begin({}, { store });
  await using _ = scene;
  assertEquals(JSON.stringify(thing.description), own);
  await board.says("@kitchen 4");
  assertEquals(thing.description, undefined);
  assertEquals(thing.application, { name: "kitchen", version: "4" });
});

Deno.test("a stored description that this version no longer accepts is ignored", () => {
  const described = new Described(new Records().create("1"), new Descriptions());
  described.keep(own);
  assertEquals(described.of(undefined)?.name, "own");
  for (const kept of ["{}", "{", own.replace("own", "x".repeat(8192))]) {
    described.keep(kept);
    assertEquals(described.of(undefined), undefined, kept.slice(0, 20));
  }
});

Deno.test("an application's description is reported once, however often the application starts", async () => {
  const { scene } = await begin({ description: called("a") });
  await using _ = scene;
  assertEquals(scene.log.filter((it) => it.startsWith("described")), ["described 1"]);
  const described = new Described(new Records().create("1"), new Descriptions());
  const [a, b] = [called("a"), called("b")];
  assertEquals([a, a, b, a].map((it) => described.add(it)), [true, false, true, false]);
});

Deno.test("a wrong description is refused, with the place of the error; the application's name is stored all the same", async () => {
  const { scene, board, thing, warnings } = await begin();
  await using _ = scene;
  await board.says(`@kitchen 2 ${own}`);
  await board.says('@kitchen 3 {"channels":{"temp":{"kind":"lamp"}}}');
  const why =
    '/channels/temp/kind: "lamp" is not a kind: use one of sensor, switch, number, enum, event, text, binary, button';
  assertEquals(board.news(), [`~kitchen bad_value ${why}`]);
  assertEquals(warnings(), [["BAD_DESCRIPTION", why]]);
  assertEquals(
    thing.description,
    undefined,
    "the description of version 2 does not apply to version 3",
  );
  assertEquals(thing.application, { name: "kitchen", version: "3" });
  await board.says(`@kitchen 3 {${"x".repeat(8192)}`);
  assertEquals(board.news(), [
    "~kitchen bad_value /: it may have at most 8192 characters, not 8193",
  ]);
});

Deno.test("a device that accepts only short lines gets the fault without the place", async () => {
  await using scene = await ManualServer.start({ app: channels({}) });
  const board = new StreamBoard(scene, "1", 0);
  board.line = 30;
  await board.connect();
  await board.says("@kitchen 3 {}");
  assertEquals(board.heard.slice(-1), ["00~kitchen bad_value"]);
  await board.says(`@${"k".repeat(32)} 3 {}`); // not even that fits
  assertEquals(board.heard.slice(-1), ["01"]);
});

Deno.test("a setting that the description does not allow is refused, also in a transaction", async () => {
  const { scene, board, thing } = await begin();
  await using _ = scene;
  await board.says(`@kitchen 3 ${own}`);
  const words = "temp takes 5 to 30 °C, not 31";
  const error = await refused(scene, thing.set("temp", 31), words);
  assertEquals(error.code, "BAD_ARGUMENT");
  await refused(scene, scene.server.transaction((tx) => tx.set("1", "temp", 31)), words);
  assertEquals(thing.desired("temp"), undefined);
  const set = thing.set("temp", 30);
  await board.settle();
  await set;
  assertEquals(board.news(), ["=temp.1 30"]);
});

Deno.test("an impossible report is answered with a fault, neither stored nor handed out, and causes a warning", async () => {
  const { scene, board, thing, seen, warnings } = await begin();
  await using _ = scene;
  await board.says(`@kitchen 3 ${own}`);
  await board.says("=temp 20");
  await board.says("=temp 85");
  await board.says("=temp warm");
  assertEquals(board.news(), ["~temp bad_value", "~temp bad_value"]);
  assertEquals(seen, [20]);
  assertEquals(thing.reported("temp")?.value, 20);
  assertEquals(warnings(), [
    ["BAD_VALUE", "temp is 5 to 30 °C, not 85"],
    ["BAD_VALUE", 'temp is 5 to 30 °C, not "warm"'],
  ]);
});

Deno.test("an impossible answer to a setting counts as its fault", async () => {
  const { scene, board, thing, warnings } = await begin();
  await using _ = scene;
  await board.says(`@kitchen 3 ${own}`);
  void thing.set("temp", 20);
  await board.settle();
  await board.says(":temp.1 85");
  const { value, fault, isMet } = thing.desired("temp")!;
  assertEquals({ value, fault, isMet }, { value: 20, fault: "bad_value", isMet: false });
  assertEquals(thing.reported("temp"), undefined);
  assertEquals(warnings(), [["BAD_VALUE", "temp is 5 to 30 °C, not 85"]]);
  assertEquals(board.news(), ["=temp.1 20"], "an answer is not answered");
});

Deno.test("the operator's description applies first, then the application's, then the device's own", async () => {
  const { scene, board, thing } = await begin({ description: called("app") }, {
    descriptions: { "kitchen@3": called("third"), kitchen: called("any") },
  });
  await using _ = scene;
  const name = () => thing.description?.name;
  assertEquals(name(), "app");
  await board.says(`@hall 1 ${own}`);
  assertEquals(name(), "app");
  await board.says(`@kitchen 1 ${own}`);
  assertEquals(name(), "any");
  await board.says(`@kitchen 3 ${own}`);
  assertEquals(name(), "third");
  scene.server.setDescriptions({ kitchen: called("new", 20) });
  assertEquals(name(), "new");
  await refused(scene, thing.set("temp", 21), "temp takes 5 to 20, not 21");
  scene.server.setDescriptions({});
  assertEquals(name(), "app");
});

Deno.test("with a wrong description neither a server nor an application starts", async () => {
  const descriptions = { kitchen: { channels: { temp: { kind: "lamp" } } } } as never;
  await assertRejects(
    () => ManualServer.start({ descriptions }),
    LocalError,
    'kitchen: /channels/temp/kind: "lamp" is not a kind',
  );
  await assertRejects(
    () => begin({ description: { channels: { Temp: { kind: "text" } } } }),
    LocalError,
    "/channels/Temp: not a channel name",
  );
});

Deno.test("a desired value stays even if a new description does not allow it", async () => {
  const { scene, board, thing } = await begin({}, {});
  await using _ = scene;
  await board.says(`@kitchen 3 ${own}`);
  void thing.set("temp", 20);
  await board.settle();
  assertEquals(board.news(), ["=temp.1 20"]);
  await board.says(`@kitchen 4 {"channels":{"temp":{"kind":"number","max":10}}}`);
  assertEquals(
    board.news(),
    ["=temp.2 20"],
    "the desired value stays; the device decides whether it accepts it",
  );
  await refused(scene, thing.set("temp", 20), "temp takes 10 or less, not 20");
});

Deno.test("an event reports that descriptions may have changed: after a start, or with new descriptions", async () => {
  const described: (string | undefined)[] = [];
  const { scene, board } = await begin();
  await using _ = scene;
  scene.server.events.subscribe((event) => {
    if (event.event === "described") described.push(event.device);
  });
  await board.says(`@kitchen 2 ${own}`);
  await board.says("=temp 20");
  assertEquals(described, ["1"]);
  await board.says("@kitchen 3");
  assertEquals(described, ["1", "1"]);
  scene.server.setDescriptions({});
  assertEquals(described, ["1", "1", undefined]);
});
