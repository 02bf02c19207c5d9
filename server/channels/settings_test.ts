/** Settings that cannot be sent yet, or can never be sent. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { beginChannels as begin } from "../../tests/support/channel_scene.ts";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { StreamBoard } from "../../tests/support/stream_board.ts";
import { LocalError } from "../protocol/errors.ts";
import { MemoryStore } from "../store/memory.ts";
import { channels } from "./app.ts";

Deno.test("the name in `by` has 1 to 64 characters", async () => {
  const { scene, board, thing } = await begin({ led: {} });
  await using _ = scene;
  for (const by of ["", "x".repeat(65)]) {
    const refused = assertRejects(() => thing.set("led", 1, { by }), LocalError, "1 to 64");
    await scene.platform.advance(100);
    await refused;
  }
  for (const by of ["x", "x".repeat(64)]) {
    const set = thing.set("led", by.length, { by });
    await board.settle();
    await set;
    assertEquals(thing.desired("led")?.by, by);
  }
});

Deno.test("a value has 1,024 characters at most as text", async () => {
  const { scene, board, thing } = await begin({ text: {} });
  await using _ = scene;
  const [longest, longer] = [1024, 1025].map((length) => "x".repeat(length));
  const set = thing.set("text", longest);
  await board.settle();
  await set;
  assertEquals(board.news().map(({ length }) => length), ["=text.1 ".length + 1024]);
  const refused = assertRejects(() => thing.set("text", longer), LocalError, "not 1025");
  await scene.platform.advance(100);
  await refused;
});

Deno.test("channels that the server answers itself cannot belong to an application", () => {
  for (const name of ["log", "time"]) {
    assertThrows(() => channels({ [name]: {} }), LocalError, "reserved");
  }
});

Deno.test("a setting that is on its way when the server restarts is not overtaken by the next", async () => {
  const store = new MemoryStore();
  const app = channels({ led: {} });
  {
    const { scene, board, thing } = await begin({ led: {} }, {}, store);
    await using _ = scene;
    board.takes = false;
    void thing.set("led", 1);
    await scene.platform.turn();
  }
  await using scene = await ManualServer.start({ app, store });
  const board = new LineBoard(scene);
  board.takes = false;
  await board.connect();
  const thing = await scene.server.thing("1");
  void thing.set("led", 2);
  await scene.platform.turn();
  assertEquals((await scene.server.device("1")).outbox, 1, "it waits for the one before");
  board.takes = true;
  await board.settle();
  assertEquals(board.news(), ["=led.1 1", "=led.2 2"]);
});

Deno.test("other messages that wait after a restart hold up no setting", async () => {
  const store = new MemoryStore();
  {
    const { scene, board, thing } = await begin({ led: {} }, {}, store);
    await using _ = scene;
    board.takes = false;
    const device = await scene.server.device("1");
    for (const write of [device.write("plain"), device.write("!led 1"), thing.request("led")]) {
      write.catch(() => {}); // CLOSED, in the end
    }
    await scene.platform.turn();
  }
  await using scene = await ManualServer.start({ app: channels({ led: {} }), store });
  const board = new LineBoard(scene);
  board.takes = false;
  await board.connect();
  const thing = await scene.server.thing("1");
  void thing.set("led", 2);
  await scene.platform.turn();
  const waits = (await scene.server.device("1")).outbox;
  board.takes = true;
  await board.settle();
  const [plain, event, request, setting] = board.news();
  assertEquals([plain, event, setting], ["plain", "!led 1", "=led.1 2"]);
  assertEquals([request?.startsWith("?led."), waits], [true, 4]);
});

Deno.test("a setting of a transaction that is refused is not sent", async () => {
  const app = channels({ led: {} });
  await using scene = await ManualServer.start({ app, limits: { outbox: 1 } });
  const board = new LineBoard(scene);
  await board.connect();
  const other = await scene.away("2");
  const waits = assertRejects(() => other.write("first"), LocalError);
  await scene.platform.turn();
  const refused = assertRejects(
    () =>
      scene.server.transaction((tx) => {
        tx.set("1", "led", 1);
        tx.write("2", "x");
      }),
    LocalError,
    "1 messages wait",
  );
  await board.settle();
  await scene.platform.advance(100);
  await refused;
  assertEquals((await scene.server.device("1")).outbox, 0);
  assertEquals(board.news(), []);
  const thing = await scene.server.thing("1");
  void thing.set("led", 2);
  await board.settle();
  assertEquals(board.news(), ["=led.1 2"]);
  await scene.server.close();
  await waits;
});

Deno.test("an application that shares its device with no other gets its message again until it takes it", async () => {
  let tries = 0;
  const { scene, board, told } = await begin({
    temp(value) {
      tries++;
      throw new Error(`no: ${value}`);
    },
  });
  await using _ = scene;
  await board.says("=temp 1");
  for (let n = 0; n < 100; n++) {
    await scene.platform.advance(1000);
    await board.isHere();
  }
  assertEquals([tries > 6, (await scene.server.device("1")).deadLetters], [true, []]);
  assertEquals(
    told.filter(({ event }) => event === "app_failed").length,
    1,
    "the failure was reported once",
  );
});

Deno.test("a setting waits for room in the outbox", async () => {
  const app = channels({ led: {} });
  await using scene = await ManualServer.start({ app, limits: { outbox: 1 } });
  const board = new LineBoard(scene);
  await board.connect();
  const thing = await scene.server.thing("1");
  board.takes = false;
  void (await scene.server.device("1")).write("first");
  await scene.platform.turn();
  void thing.set("led", 1);
  await scene.platform.turn();
  const { fault, isMet } = thing.desired("led")!;
  assertEquals([fault, isMet], [undefined, false]);
  board.takes = true;
  await board.settle();
  await board.settle();
  assertEquals(board.news(), ["first", "=led.1 1"]);
});

Deno.test("a setting longer than the device accepts gets a fault, and is not sent", async () => {
  const app = channels({ text: {} });
  await using scene = await ManualServer.start({ app });
  const board = new StreamBoard(scene, "1", scene.platform.date());
  board.line = 64;
  await board.connect();
  const thing = await scene.server.thing("1");
  void thing.set("text", "x".repeat(64));
  await scene.platform.turn();
  assertEquals(thing.desired("text")?.fault, "too_long");
  void thing.set("text", "short");
  await scene.platform.turn();
  assertEquals([thing.desired("text")?.fault, (await scene.server.device("1")).outbox], [
    undefined,
    1,
  ]);
});

Deno.test("a boot message that cannot be committed has no effect", async () => {
  const store = new SlowStore();
  const { scene, board, thing } = await begin({ led: {} }, {}, store);
  await using _ = scene;
  void thing.set("led", 1);
  await board.settle();
  await board.says(":led.1 1");
  assertEquals(board.news(), ["=led.1 1"]);
  const commit = store.commit.bind(store);
  store.commit = (batch) => { // the message becomes safe, its effects do not
    store.works = batch.works.length === 0;
    return commit(batch);
  };
  await board.says("@kitchen 3");
  assertEquals([thing.application, thing.desired("led")?.isMet], [undefined, true]);
  store.commit = commit;
  store.works = true;
  await scene.platform.advance(1000);
  await board.settle();
  assertEquals(thing.application, { name: "kitchen", version: "3" });
  assertEquals(board.news(), ["=led.2 1"]);
});

Deno.test("the answer to a request does not confirm a setting of the same channel", async () => {
  const { scene, board, thing, told } = await begin({ pump: {} });
  await using _ = scene;
  void thing.set("pump", 1);
  await board.settle();
  await board.says(":pump.1 1");
  board.news();
  const answers = [thing.request("pump", 5), thing.request("pump", 6).catch(({ fault }) => fault)];
  await board.settle();
  const tags = board.news().map((line) => /^\?pump\.(\d+) /.exec(line)![1]);
  const reported = told.filter(({ event }) => event === "reported").length;
  await board.says(`:pump.${tags[0]} 7`);
  await board.says(`~pump.${tags[1]} busy`);
  assertEquals(await Promise.all(answers), [7, "busy"]);
  const { value, isMet, fault } = thing.desired("pump")!;
  assertEquals({ value, isMet, fault }, { value: 1, isMet: true, fault: undefined });
  assertEquals(thing.reported("pump")?.value, 1);
  assertEquals(told.filter(({ event }) => event === "reported").length, reported);
});

Deno.test("settings made before a restart are sent without an application asking", async () => {
  const store = new MemoryStore();
  {
    await using scene = await ManualServer.start({ store });
    await scene.away("1");
    const set = scene.server.transaction((tx) => tx.set("1", "led", 1));
    await scene.platform.turn();
    await set;
  }
  await using scene = await ManualServer.start({ store });
  const board = new LineBoard(scene);
  await board.connect();
  assertEquals(board.news(), ["=led.1 1"]);
});
