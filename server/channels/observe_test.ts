/** An observer of all devices receives what they report, in the transaction that processes it. */
import { assertEquals, assertRejects } from "@std/assert";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import {
  channels,
  FaultError,
  type Handler,
  LocalError,
  MemoryStore,
  Server,
  type ServerOptions,
  share,
} from "../mod.ts";

/** A server with a board; `told` lists what its observer received, `safe` what of it was committed. */
async function begin(options: ServerOptions = {}) {
  const told: string[] = [];
  const safe: string[] = [];
  const gate = { opens: Promise.resolve(), fails: false };
  const take = (what: string): Handler => async (value, { thing, channel, tx }) => {
    const text = `${thing.id} ${what} ${channel} ${value ?? "-"}`;
    told.push(text);
    tx.afterCommit(() => safe.push(text));
    await gate.opens;
    if (gate.fails) throw new Error("not today");
  };
  const observe = { report: take("report"), event: take("event") };
  const scene = await ManualServer.start({ ...options, observe });
  const board = new LineBoard(scene);
  await board.connect();
  return { scene, board, told, safe, gate };
}

Deno.test("without an application all reports and events are observed, and no channel is unknown", async () => {
  const { scene, board, told, safe } = await begin();
  await using _ = scene;
  await board.says("=temp 21.5");
  await board.says("!button");
  await board.says("!log started");
  assertEquals(told, ["1 report temp 21.5", "1 event button -"]);
  assertEquals(safe, told);
  assertEquals(board.news(), []);
});

Deno.test("the observer is called in addition to an application that has the channel, and after it", async () => {
  const order: string[] = [];
  const app = channels({ temp: () => void order.push("app") });
  const { scene, board, told } = await begin({ app });
  await using _ = scene;
  await board.says("=temp 1");
  await board.says("=other 2");
  assertEquals(order, ["app"]);
  assertEquals(told, ["1 report temp 1", "1 report other 2"]);
});

Deno.test("the answer to a setting is observed, with or without a value, and a fault is not", async () => {
  const { scene, board, told } = await begin();
  await using _ = scene;
  const thing = await scene.server.thing("1");
  for (const answer of [":led.1 8", ":led.2", "~led.3 busy"]) {
    void thing.set("led", 7 + told.length);
    await board.settle();
    await board.says(answer);
  }
  assertEquals(told, ["1 report led 8", "1 report led 8"]);
  await board.says(":led.2 5"); // it answers no setting that waits, but shows the channel's value
  await board.says(":lamp 5"); // nobody has set it
  assertEquals(told.slice(2), ["1 report led 5"]);
  await board.says(`:led ${"x".repeat(1025)}`); // and this value is too long
  await board.says(":led");
  assertEquals(told.length, 3);
  assertEquals(scene.log.filter((it) => it.startsWith("app_failed")), []);
});

Deno.test("an answer that contradicts the description is not observed", async () => {
  const channel = { kind: "number", min: 0, max: 10 } as const;
  const app = channels({ led: {} }, {
    description: { name: "lamp", channels: { led: channel } },
  });
  const { scene, board, told } = await begin({ app });
  await using _ = scene;
  void (await scene.server.thing("1")).set("led", 1);
  await board.settle();
  await board.says(":led.1 11");
  assertEquals(told, []);
});

Deno.test("an answer confirms the setting that it names, even if another is made before the answer is safe", async () => {
  const { scene, board, told, gate } = await begin();
  await using _ = scene;
  const thing = await scene.server.thing("1");
  void thing.set("led", 1);
  await board.settle();
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.opens = promise;
  await board.says(":led.1");
  void thing.set("led", 2);
  await board.settle();
  resolve();
  await scene.platform.turn();
  assertEquals(told, ["1 report led 1"]);
  assertEquals(thing.reported("led")?.value, 1);
});

Deno.test("as long as the observer waits, the message and those behind it wait", async () => {
  const { scene, board, told, safe, gate } = await begin();
  await using _ = scene;
  const { promise, resolve } = Promise.withResolvers<void>();
  gate.opens = promise;
  await board.says("=temp 1");
  await board.says("=temp 2");
  assertEquals(told, ["1 report temp 1"]);
  const thing = await scene.server.thing("1");
  assertEquals([safe, thing.reported("temp")], [[], undefined]);
  resolve();
  await scene.platform.turn();
  assertEquals(safe, ["1 report temp 1", "1 report temp 2"]);
  assertEquals(thing.reported("temp")?.value, 2);
});

Deno.test("a message with which the observer fails is rolled back, and comes again", async () => {
  const { scene, board, told, safe, gate } = await begin({ app: channels({ temp: {} }) });
  await using _ = scene;
  gate.fails = true;
  await board.says("=temp 1");
  await board.says("=temp 2");
  const thing = await scene.server.thing("1");
  assertEquals(thing.reported("temp"), undefined);
  gate.fails = false;
  await scene.platform.advance(2000);
  assertEquals(safe, ["1 report temp 1", "1 report temp 2"]);
  assertEquals(told.filter((text) => text.endsWith("2")).length, 1);
  assertEquals(scene.log.filter((entry) => entry.startsWith("app_failed")), ["app_failed 1"]);
});

/** A server that got several messages of one device at once; `told` has what its observer received, by transaction. */
async function atOnce(
  texts: readonly string[],
  options: ServerOptions = {},
  fails: (value: unknown) => boolean = () => false,
) {
  const told: string[][] = [];
  let last: unknown;
  const take = (what: string): Handler => (value, { tx, channel, thing }) => {
    if (tx !== last) told.push([]);
    last = tx;
    told.at(-1)!.push(`${what} ${channel} ${value} ${thing.reported("temp")?.value}`);
    if (fails(value)) throw new Error("not this one");
  };
  const observe = { report: take("report"), event: take("event"), shares: () => true };
  const scene = await ManualServer.start({
    ...options,
    observe: { ...observe, ...options.observe },
  });
  const board = new LineBoard(scene);
  await board.connect();
  await board.says(...texts);
  return { scene, board, told };
}

Deno.test("with `shares`, an observer receives what a device has sent at once in one transaction", async () => {
  const texts = [
    "=temp 1",
    "=temp 2",
    "!button 3",
    "=temp 4",
    "=new 5",
    "!button 6",
    "?time",
    "!button 7",
  ];
  const { scene, told } = await atOnce(texts);
  await using _ = scene;
  assertEquals(told, [
    ["report temp 1 undefined"], // followed by a channel that nobody knows yet
    ["report temp 2 1", "event button 3 1", "report temp 4 1"],
    ["report new 5 4", "event button 6 4"], // followed by a request
    ["event button 7 4"],
  ]);
});

Deno.test("if `shares` says no, or an application takes the messages, each has a transaction of its own", async () => {
  for (
    const options of [
      { observe: { shares: () => false } },
      { app: channels({ temp: () => {}, button: () => {} }) },
    ]
  ) {
    const { scene, told } = await atOnce(["=temp 1", "!button 2", "=temp 3"], options);
    await using _ = scene;
    assertEquals(told.map(({ length }) => length), [1, 1, 1]);
  }
});

Deno.test("a message with which the observer fails is moved to a transaction of its own, and fails alone", async () => {
  let failures = 0;
  const texts = ["!button 1", "!button 2", "!button 3", "!button 4"];
  const options = { deadLetters: true, limits: { attempts: 2 } };
  const { scene, told } = await atOnce(texts, options, (value) => value === 3 && failures++ < 2);
  await using _ = scene;
  await scene.platform.advance(1000);
  const event = (...values: number[]) => values.map((value) => `event button ${value} undefined`);
  assertEquals(told, [event(1, 2, 3), event(3), event(3), event(4)]);
  assertEquals((await scene.server.device("1")).deadLetters, []);
});

Deno.test("actions due after a commit are dropped if the answer is a fault", async () => {
  const calls: string[] = [];
  const app = channels({
    adc: {
      ask(value, { tx }) {
        tx.afterCommit(() => calls.push(String(value)));
        if (value === 1) throw new FaultError("busy");
        return value;
      },
    },
  });
  const { scene, board } = await begin({ app });
  await using _ = scene;
  await board.says("?adc.1 1");
  await board.says("?adc.2 2");
  assertEquals([board.news(), calls], [["~adc.1 busy", ":adc.2 2"], ["2"]]);
});

Deno.test("an application that takes all lines itself would hide everything from an observer: it is refused by name", async () => {
  const app: ServerOptions["app"] = async (device) => {
    for await (const _ of device);
  };
  const options = { open: true, port: 0, observe: {}, store: new MemoryStore() };
  const error = await assertRejects(() => Server.listen({ ...options, app }), LocalError, "share");
  assertEquals(error.code, "BAD_ARGUMENT");
  await using _ = await Server.listen({ ...options, hostname: "127.0.0.1", app: share({ app }) });
});
