/** Channels of a server with a board: desired and reported values, and how they become equal. */
import { assertEquals, assertRejects } from "@std/assert";
import { beginChannels as begin } from "../../tests/support/channel_scene.ts";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import type { ServerEvent } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import { MemoryStore } from "../store/memory.ts";
import { channels } from "./app.ts";
import { FaultError } from "../protocol/fault.ts";

Deno.test("a setting is sent and answered, and then met", async () => {
  const { scene, board, thing, told } = await begin({ heater: {} });
  await using _ = scene;
  const set = thing.set("heater", 1, { by: "test" });
  await board.settle();
  await set;
  assertEquals(board.news(), ["=heater.1 1"]);
  assertEquals(thing.desired("heater")?.isMet, false);
  await board.says(":heater.1 1");
  const { at, ...desired } = thing.desired("heater")!;
  assertEquals(desired, { value: 1, by: "test", isMet: true });
  assertEquals(at.getTime(), 1_700_000_000_000);
  assertEquals(thing.reported("heater")?.value, 1);
  const events = told.filter((event) => "channel" in event).map(({ event }) => event);
  assertEquals(events, ["parted", "set", "reported", "met"]);
  told.length = 0;
  await board.says("=heater 1");
  assertEquals(told.filter((it) => "channel" in it).map(({ event }) => event), ["reported"]);
  const connected = [thing.connected];
  await board.leave();
  assertEquals([...connected, thing.connected], [true, false]);
});

Deno.test("of a thousand settings in an outage only the last one is sent", async () => {
  const { scene, board, thing } = await begin({ heater: {} });
  await using _ = scene;
  await board.leave();
  for (let value = 1; value <= 1000; value++) void thing.set("heater", value);
  await scene.platform.turn();
  await board.connect();
  assertEquals(board.news(), ["=heater.1 1000"]);
});

Deno.test("of the settings made while one is on its way only the last one is sent", async () => {
  const { scene, board, thing } = await begin({ heater: {} });
  await using _ = scene;
  board.takes = false;
  for (let value = 1; value <= 10; value++) {
    void thing.set("heater", value);
    await scene.platform.turn();
  }
  board.takes = true;
  await board.settle();
  assertEquals(board.news(), ["=heater.1 1", "=heater.2 10"]);
});

Deno.test("a report older than a setting does not count as a change at the device", async () => {
  const { scene, board, thing } = await begin({ led: {} });
  await using _ = scene;
  void thing.set("led", 1);
  await board.settle();
  await board.says("=led 0"); // it has waited in the device
  assertEquals(thing.desired("led")?.value, 1);
  await board.says(":led.1 1");
  assertEquals(thing.desired("led")?.isMet, true);
  await board.says("=led 0"); // a user has pressed the switch
  const { value, by, isMet } = thing.desired("led")!;
  assertEquals({ value, by, isMet }, { value: 0, by: "device", isMet: true });
});

Deno.test("a change at the device is set back if the channel says that it loses", async () => {
  const { scene, board, thing } = await begin({ led: { local: "loses" } });
  await using _ = scene;
  void thing.set("led", 1);
  await board.settle();
  await board.says(":led.1 1");
  board.news();
  await board.says("=led 0");
  assertEquals(board.news(), ["=led.2 1"]);
  assertEquals(thing.desired("led")?.value, 1);
});

Deno.test("after its start the device gets all desired values", async () => {
  const { scene, board, thing, told } = await begin({ led: {}, fan: {} });
  await using _ = scene;
  void thing.set("led", 1);
  void thing.set("fan", "slow");
  await board.settle();
  await board.says(":led.1 1");
  await board.says(":fan.1 fast");
  board.news();
  told.length = 0;
  await board.says("@kitchen 3");
  assertEquals(board.news().sort(), ["=fan.2 slow", "=led.2 1"]);
  assertEquals(thing.application, { name: "kitchen", version: "3" });
  await board.says(":led.2 1");
  assertEquals(metOf(told), ["led parted", "led met"], "the fan was not met before");
});

Deno.test("a setting that is sent again after a clear is not met until it is answered", async () => {
  const { scene, board, thing, told } = await begin({ led: {} });
  await using _ = scene;
  void thing.set("led", 1);
  await board.settle();
  await board.says(":led.1 1");
  told.length = 0;
  const cleared = scene.server.device("1").then((device) => device.clear());
  await board.settle();
  await cleared;
  assertEquals(board.news(), ["=led.1 1", "=led.2 1"]);
  await board.says(":led.2 1");
  assertEquals(metOf(told), ["led parted", "led met"]);
});

Deno.test("desired and reported survive the server", async () => {
  const store = new MemoryStore();
  {
    const { scene, board, thing } = await begin({ led: {} }, {}, store);
    await using _ = scene;
    await board.says("=led 0");
    await board.leave();
    void thing.set("led", 1, { by: "me" });
    await scene.platform.turn();
  }
  const { scene, board, thing } = await begin({ led: {} }, {}, store);
  await using _ = scene;
  assertEquals(board.news(), ["=led.1 1"]);
  assertEquals(thing.reported("led")?.value, 0);
  assertEquals(thing.desired("led")?.by, "me");
});

Deno.test("a refused setting is reported, and stays desired", async () => {
  const { scene, board, thing } = await begin({ fan: {} });
  await using _ = scene;
  void thing.set("fan", 900);
  await board.settle();
  await board.says("~fan.1 bad_value");
  const { value, fault, isMet } = thing.desired("fan")!;
  assertEquals({ value, fault, isMet }, { value: 900, fault: "bad_value", isMet: false });
});

Deno.test("a message goes to its channel's handler, whose settings are in the message's transaction", async () => {
  const seen: unknown[] = [];
  const { scene, board, thing } = await begin({
    temp(value, { tx, thing }) {
      seen.push(value);
      tx.set(thing.id, "heater", Number(value) < 20 ? 1 : 0);
    },
    heater: {},
    button: { event: (value) => void seen.push(["pressed", value]) },
  });
  await using _ = scene;
  await board.says("=temp 19.5");
  assertEquals(board.news(), ["=heater.1 1"]);
  await board.says("!button long");
  assertEquals(seen, [19.5, ["pressed", "long"]]);
  assertEquals(thing.reported("temp")?.value, 19.5);
});

Deno.test("a request: answered, failed by the device, timed out, never sent", async () => {
  const { scene, board, thing, told } = await begin({});
  await using _ = scene;
  const asked = thing.request("adc", 3);
  await board.settle();
  const [line] = board.news();
  const tag = /^\?adc\.(\d{10}) 3$/.exec(line!)![1];
  await board.says(`:adc.${tag} 512`);
  assertEquals(await asked, 512);

  const refused = assertRejects(() => thing.request("adc"), FaultError, "adc: busy: come later");
  await board.settle();
  await board.says(`~adc.${board.news()[0]!.slice(5)} busy come later`);
  await refused;

  const slow = assertRejects(
    () => thing.request("adc", 1, { deadline: 500 }),
    LocalError,
    "did not answer",
  );
  await board.settle();
  const [late] = board.news();
  await scene.platform.advance(500);
  await slow;
  await board.says(`:adc.${late!.slice(5, 15)} 7`);
  assertEquals(told.at(-1)?.event === "messages" ? told.at(-2) : told.at(-1), {
    event: "late_answer",
    device: "1",
    channel: "adc",
    tag: late!.slice(5, 15),
    value: 7,
  });

  await board.leave();
  const never = assertRejects(
    () => thing.request("adc", 1, { deadline: 500 }),
    LocalError,
    "never will be",
  );
  await scene.platform.advance(500);
  await never;
  await board.connect();
  assertEquals(board.news(), []);
});

Deno.test("a device asks the server: the time, an application's answer, its fault, an unknown channel", async () => {
  const { scene, board } = await begin({
    config: { ask: (name) => name === "interval" ? 5000 : undefined },
    door: {
      ask: (_, { tx, thing }) => {
        tx.set(thing.id, "led", 1); // is not done
        throw new FaultError("busy");
      },
    },
  });
  await using _ = scene;
  await board.says("?time.1");
  await board.says("?config.2 interval");
  await board.says("?config.3 what");
  await board.says("?door.4");
  await board.says("?nothing.5");
  assertEquals(board.news(), [
    ":time.1 1700000000000",
    ":config.2 5000",
    ":config.3",
    "~door.4 busy",
    "~nothing.5 unknown",
  ]);
});

Deno.test("unknown channels are answered by name; plain lines are the application's", async () => {
  const lines: string[] = [];
  const { scene, board, told } = await begin({}, { line: (line) => void lines.push(line) });
  await using _ = scene;
  await board.says("=what.7 1"); // only the server chooses tags
  await board.says("!what");
  await board.says("[1,2]");
  await board.says("= 5");
  await board.says("!log hello");
  assertEquals(board.news(), ["~what unknown", "~what unknown"]);
  assertEquals(lines, ["[1,2]", "= 5"]);
  const logged = told.filter(({ event }) => event === "log");
  assertEquals(logged, [{ event: "log", device: "1", message: "hello" }]);
});

Deno.test("an answer without a value to an older setting does not confirm the newer one", async () => {
  const { scene, board, thing } = await begin({ led: {} });
  await using _ = scene;
  void thing.set("led", 1);
  await board.settle();
  const newer = thing.set("led", 2);
  await scene.platform.turn();
  await newer;
  await board.says(":led.1");
  assertEquals(thing.reported("led"), undefined);
  assertEquals(board.news(), ["=led.1 1", "=led.2 2"]);
  await board.says(":led.2");
  assertEquals(thing.reported("led")?.value, 2);
  assertEquals(thing.desired("led")?.isMet, true);
});

Deno.test("a closed server accepts no setting", async () => {
  const { scene, thing } = await begin({ led: {} });
  await scene.server.close();
  assertEquals((await assertRejects(() => thing.set("led", 1), LocalError)).code, "CLOSED");
});

Deno.test("a setting made during the commit that forgets its device is refused", async () => {
  const { scene, thing } = await begin({ led: {} });
  await using _ = scene;
  const forgotten = scene.server.forget("1");
  const refused = assertRejects(() => thing.set("led", 1), LocalError);
  await scene.platform.turn();
  await forgotten;
  assertEquals((await refused).code, "FORGOTTEN");
});

Deno.test("code that a failed application left running cannot set anything", async () => {
  const store = new MemoryStore();
  const goesOn = Promise.withResolvers<void>();
  let refused: Promise<LocalError> | undefined;
  const scene = await ManualServer.start({
    store,
    app: async (device, server) => {
      const thing = await server.thing(device.id);
      refused ??= goesOn.promise.then(() => assertRejects(() => thing.set("led", 1), LocalError));
      throw new Error("the application");
    },
  });
  await using _ = scene;
  await new LineBoard(scene).connect();
  goesOn.resolve();
  await scene.platform.advance(10);
  assertEquals((await refused)!.code, "CLOSED");
});

Deno.test("an endless loop that catches every refusal does not hold up the others", async () => {
  const { scene, board, thing } = await begin({});
  await using _ = scene;
  let isOver = false;
  const loop = async (refused: () => Promise<unknown>) => {
    while (!isOver) await assertRejects(refused, LocalError, "is not a channel");
  };
  const loops = [loop(() => thing.set("No", 1)), loop(() => thing.request("No"))];
  await board.says("?time.1");
  assertEquals(board.news().length, 1);
  isOver = true;
  await scene.platform.advance(1000);
  await Promise.all(loops);
});

Deno.test("a repeated setting is not sent again unless the device differs", async () => {
  const { scene, board, thing } = await begin({ fan: {} });
  await using _ = scene;
  const set = async (value: unknown, by: string) => {
    const safe = thing.set("fan", value, { by });
    await board.settle();
    await safe;
  };
  await set(20, "first");
  await set("20.0", "second"); // another value: a text
  assertEquals(board.news(), ["=fan.1 20", '=fan.2 "20.0"']);
  await set("20.0", "third");
  await board.says(':fan.2 "20.0"');
  await set("20.0", "fourth");
  assertEquals([board.news(), thing.desired("fan")!.by], [[], "second"]);
  await board.says("~fan.2 busy"); // a second answer belongs to no setting
  assertEquals(thing.desired("fan")!.isMet, true);
});

Deno.test("a device's request is answered as soon as there is room, and its application does not fail", async () => {
  const scene = await ManualServer.start({ app: channels({}), limits: { outbox: 1 } });
  await using _ = scene;
  const failed: ServerEvent[] = [];
  scene.server.events.subscribe((told) => void (told.event === "app_failed" && failed.push(told)));
  const board = new LineBoard(scene);
  await board.connect();
  board.takes = false;
  await board.says("?time.1");
  await board.says("?time.2");
  board.takes = true;
  await board.settle();
  await scene.platform.advance(1000);
  await board.settle();
  assertEquals(board.news().map((line) => line.slice(0, 7)), [":time.1", ":time.2"]);
  assertEquals(failed, []);
});

Deno.test("a forgotten device answers earlier settings: in the end it has its desired values", async () => {
  const { scene, board } = await begin({ led: {} });
  await using _ = scene;
  await board.leave();
  await scene.forgets("1");
  for (const old of [":led.1 1", "~led.1 bad_value"]) {
    const again = new LineBoard(scene);
    await again.connect();
    const thing = await scene.server.thing("1");
    void thing.set("led", 2);
    await again.settle();
    assertEquals(again.news(), ["=led.1 2"]);
    // Its tags begin again, and what the device has queued came before that.
    await again.says(old);
    await again.says("=led 5");
    await again.says(":led.1 2");
    assertEquals(again.news(), ["=led.2 5"]);
    await again.says(":led.2 5");
    assertEquals([thing.desired("led")?.isMet, thing.reported("led")?.value], [true, 5]);
    await again.leave();
    await scene.forgets("1");
  }
});

Deno.test("a device that was forgotten repeatedly answers all earlier settings: the server knows why it refuses the last one", async () => {
  const { scene, board } = await begin({ led: {} });
  await using _ = scene;
  await board.leave();
  await scene.forgets("1");
  const back = new LineBoard(scene);
  await back.connect();
  const thing = await scene.server.thing("1");
  void thing.set("led", 19);
  await back.settle();
  assertEquals(back.news(), ["=led.1 19"]);
  for (const old of [":led.1 7", ":led.1 12", ":led.2 14"]) await back.says(old);
  assertEquals(back.news(), ["=led.2 19"]);
  for (const tag of [1, 2, 3]) await back.says(`~led.${tag} bad_value`);
  assertEquals(back.news(), ["=led.3 19"]);
  assertEquals([thing.desired("led")?.isMet, thing.desired("led")?.fault], [false, "bad_value"]);
});

Deno.test("a device that answers twice, with another value, gets its setting a few times more, not for ever", async () => {
  const { scene, board, thing } = await begin({ fan: {} });
  await using _ = scene;
  void thing.set("fan", 900);
  await board.settle();
  for (let tag = 1; tag <= 6; tag++) {
    await board.says(`:fan.${tag} 100`);
    await board.says(`:fan.${tag} 100`);
  }
  assertEquals(board.news(), ["=fan.1 900", "=fan.2 900", "=fan.3 900", "=fan.4 900"]);
  assertEquals([thing.desired("fan")?.isMet, thing.reported("fan")?.value], [false, 100]);
});

Deno.test("an answer that is not a valid value becomes a fault, and holds up nothing", async () => {
  const { scene, board, told } = await begin({
    config: { ask: (what) => what === "long" ? "x".repeat(40_000) : () => {} },
    door: { ask: () => Promise.reject(new FaultError("busy", "x".repeat(40_000))) },
  });
  await using _ = scene;
  await board.says("?config.1 long");
  await board.says("?config.2 code");
  await board.says("?door.3");
  await board.says("?time.4");
  assertEquals(board.news(), [
    "~config.1 failed",
    "~config.2 failed",
    "~door.3 busy",
    ":time.4 1700000000000",
  ]);
  assertEquals(told.filter(({ event }) => event === "warning").length, 2);
});

/** The events "met" and "parted". */
function metOf(told: readonly ServerEvent[]): string[] {
  return told.flatMap((it) =>
    it.event === "met" || it.event === "parted" ? `${it.channel} ${it.event}` : []
  );
}
