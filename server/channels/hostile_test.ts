/** Devices that send anything about channels: named errors, bounded memory, and no effect on others. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { LocalError, type ServerEvent, type ServerOptions } from "../mod.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import { channels } from "./app.ts";
import type { Channels, ChannelsOptions } from "./channel.ts";

/** A server with a hostile board and a good one. */
async function begin(
  definitions: Channels = { led: {}, fan: {}, temp: {} },
  options: ChannelsOptions = {},
  settings: ServerOptions = {},
) {
  const app = channels(definitions, options);
  const scene = await ManualServer.start({ app, timeout: 3_600_000, ...settings });
  const [board, good] = [new LineBoard(scene, "bad"), new LineBoard(scene, "good")];
  await board.connect();
  await good.connect();
  const thing = await scene.server.thing("bad");
  const told: ServerEvent[] = [];
  scene.server.events.subscribe((event) => told.push(event));
  const count = (event: ServerEvent["event"]) => told.filter((it) => it.event === event).length;
  /** The size of the device's memos, in UTF-16 units. */
  const kept = async () => {
    const { session } = await scene.server.device("bad") as DeviceDriver;
    return JSON.stringify([...session.record.memos]).length;
  };
  /** The good board is still served. */
  const isWell = async () => {
    await good.says("=temp 20");
    await good.says("?time.1");
    assertEquals(good.news().length, 1);
    assertEquals((await scene.server.thing("good")).reported("temp")?.value, 20);
  };
  return { scene, board, thing, count, told, kept, isWell };
}

Deno.test("answers for which nobody waits are reported, and change nothing", async () => {
  const { scene, board, thing, count, isWell, kept } = await begin();
  await using _ = scene;
  const set = thing.set("led", 1);
  await board.settle();
  await set;
  const before = await kept();
  for (let tag = 1; tag <= 500; tag++) {
    await board.says(`:adc.${5_000_000_000 + tag} 1`);
    await board.says(`~led.${100 + tag} busy`); // a setting that was never sent
    await board.says(`:nothing.${tag} 1`);
    await board.says(":nothing");
  }
  assertEquals(count("late_answer"), 1500);
  assertEquals(thing.desired("led")?.fault, undefined);
  assertEquals(thing.channels, ["led"]);
  assertEquals(await kept(), before);
  await isWell();
});

Deno.test("a request that is answered twice, and by other channels: the first answer of its own channel counts", async () => {
  const { scene, board, thing, told, count, isWell } = await begin();
  await using _ = scene;
  const asked = thing.request("adc", 1, { deadline: 5000 });
  await board.settle();
  const tag = board.news()[0]!.slice(5, 15);
  await board.says(`:fan.${tag} 9`);
  await board.says(`~led.${tag} busy`);
  await board.says(`:adc.${tag} 1`);
  await board.says(`:adc.${tag} 2`);
  await board.says(`~adc.${tag} busy`);
  assertEquals(await asked, 1);
  const late = told.filter((event) => event.event === "late_answer");
  assertEquals(late.map(({ channel, value, fault }) => [channel, value, fault]), [
    ["fan", 9, undefined],
    ["led", undefined, "busy"],
    ["adc", 2, undefined],
    ["adc", undefined, "busy"],
  ]);
  assertEquals(count("app_failed"), 0);
  assertEquals(thing.channels, []);
  await isWell();
});

Deno.test("a setting that is answered twice, by another channel, and without its tag: the first answer with its tag counts", async () => {
  const { scene, board, thing, isWell } = await begin();
  await using _ = scene;
  const set = thing.set("led", 1);
  await board.settle();
  await set;
  await board.says(":fan.1 1");
  await board.says(":led 1");
  assertEquals(thing.desired("led")?.isMet, false, "that is not the answer that is awaited");
  await board.says(":led.1 1");
  await board.says("~led.1 failed");
  assertEquals(thing.desired("led")?.isMet, true);
  assertEquals(thing.reported("fan"), undefined);
  await isWell();
});

Deno.test("a device that never answers: settings and requests stay bounded, and each request has its outcome", async () => {
  const { scene, board, thing, isWell } = await begin();
  await using _ = scene;
  for (let value = 0; value < 500; value++) void thing.set("led", value);
  await board.settle();
  assertEquals(board.news().length <= 2, true);
  assertEquals(thing.desired("led")?.isMet, false);
  const outcomes = Array.from({ length: 1200 }, () => thing.request("adc", 1, { deadline: 1000 }))
    .map((request) => request.then(() => "answered", (error) => error.code));
  await scene.platform.turn();
  await board.settle();
  for (let i = 0; i < 400; i++) await scene.platform.advance(1000);
  const codes = await Promise.all(outcomes);
  assertEquals(codes.filter((code) => code === "OUTBOX_FULL").length, 200);
  assertEquals(new Set(codes), new Set(["UNANSWERED", "OUTBOX_FULL"]));
  await isWell();
});

for (
  const [name, definitions, options, fault, most] of [
    ["that nobody takes", { temp: {} }, {}, "unknown", 0],
    ["of an application that takes all", { temp: {} }, { others: {} }, "unsupported", 256],
  ] satisfies [string, Channels, ChannelsOptions, string, number][]
) {
  Deno.test(`more and more distinct channels ${name}: each is answered by name, and few are kept`, async () => {
    const { scene, board, thing, kept, count, isWell } = await begin(definitions, options);
    await using _ = scene;
    for (let i = 0; i < 3000; i++) await board.says(`=c${i} ${i}`);
    assertEquals(thing.channels.length, most);
    const news = board.news();
    assertEquals([news.length, news.at(-1)], [3000 - most, `~c2999 ${fault}`]);
    assertEquals(count("app_failed"), 0);
    assert(await kept() < 256 * 100);
    await board.says("=c1 7"); // known channels still work
    assertEquals(thing.reported("c1")?.value, most === 0 ? undefined : 7);
    await isWell();
  });
}

Deno.test("a device that sends requests and reads no answers is slowed down, and served again when it reads them", async () => {
  const limits = { inbox: 20, outbox: 30 };
  const { scene, board, isWell } = await begin({ temp: {} }, {}, { limits });
  await using _ = scene;
  board.takes = false;
  for (let i = 0; i < 60; i++) await board.says(`?what.${i}`);
  const device = await scene.server.device("bad");
  assert(device.inbox <= 20 && device.outbox <= 30, `${device.inbox} and ${device.outbox}`);
  await isWell();
  board.takes = true;
  for (let i = 0; i < 60; i++) {
    await board.settle();
    await scene.platform.advance(1000);
  }
  const news = board.news();
  assertEquals([news.length, news.at(-1)], [60, "~what.59 unknown"]);
});

Deno.test("a boot message in every line makes all settings due: few are on their way, and the work is bounded", async () => {
  const { scene, board, thing, isWell } = await begin();
  await using _ = scene;
  board.takes = false;
  for (let i = 0; i < 256; i++) void thing.set(`c${i}`, "x".repeat(100));
  await scene.platform.turn();
  const device = await scene.server.device("bad");
  for (let i = 0; i < 200; i++) await board.says(`@kitchen ${i}`);
  assertEquals(device.outbox, 256);
  assertEquals(thing.application, { name: "kitchen", version: "199" });
  board.takes = true;
  await board.settle();
  const settings = board.news();
  assertEquals(settings.length, 512, "those that were on their way, and all of them again");
  await board.says(`@kitchen ${"v".repeat(10_000)}`);
  assertEquals(thing.application!.version.length, 256);
  await isWell();
});

Deno.test("values too long to be stored are refused; control characters in values arrive unchanged", async () => {
  const texts: unknown[] = [];
  const { scene, board, thing, told, count, isWell, kept } = await begin({
    temp: (value) => void texts.push(value),
    led: {},
    config: { ask: (value) => value },
  });
  await using _ = scene;
  const long = "x".repeat(10_000);
  await board.says(`=temp ${long}`);
  assertEquals(board.news(), ["~temp bad_value"]);
  assertEquals(count("warning"), 0, "the device is told, and nobody else");
  await board.says(`!temp ${long}`);
  assertEquals(texts.pop(), long);
  await board.says(`?config.1 ${long}`);
  assertEquals(board.news(), [`:config.1 ${long}`]);
  void thing.set("led", 1);
  await board.settle();
  await board.says(`:led.1 ${long}`);
  assertEquals(thing.desired("led")?.fault, "too_long");
  board.news();
  const odd = '\0 \x1b[2J\u009b\u2028\ufeff \t"\\';
  await board.says(`=temp ${odd}`);
  assertEquals([texts.pop(), thing.reported("temp")?.value], [odd, odd]);
  await board.says(`?config.2 ${odd}`);
  assertEquals(board.news(), [`:config.2 ${JSON.stringify(odd)}`]);
  const asked = thing.request("adc", odd);
  await board.settle();
  const [line] = board.news();
  assertStringIncludes(line!, JSON.stringify(odd));
  await board.says(`:adc.${line!.slice(5, 15)} ${odd}`);
  assertEquals(await asked, odd);
  await board.says(`!log ${odd}`);
  assertEquals(told.filter(({ event }) => event === "log").length, 1);
  await board.says("=temp " + "[".repeat(1000));
  assertEquals(thing.reported("temp")?.value, "[".repeat(1000));
  assert(await kept() < 4000);
  await isWell();
});

Deno.test("a line longer than the server takes ends the connection, and no other", async () => {
  const { scene, board, isWell } = await begin();
  await using _ = scene;
  await board.says(`=temp ${"x".repeat(32 * 1024)}`);
  assert(scene.log.includes("disconnected bad LINE_TOO_LONG"), scene.log.join("\n"));
  await isWell();
});

Deno.test("more channels than a device may have: refused by name, also in a transaction, and nothing changes", async () => {
  const { scene, thing, kept, isWell } = await begin();
  await using _ = scene;
  for (let i = 0; i < 256; i++) void thing.set(`c${i}`, i);
  await scene.platform.turn();
  const before = await kept();
  const refused = [
    thing.set("one-more", 1),
    scene.server.transaction((tx) => {
      tx.set("bad", "c0", "changed");
      tx.set("bad", "one-more", 1);
    }),
  ].map((what) =>
    assertRejects(() => what, LocalError, 'at most 256 channels: "one-more" is one more')
  );
  await scene.platform.advance(1000);
  await Promise.all(refused);
  assertEquals([thing.channels.length, thing.desired("c0")?.value], [256, 0]);
  assertEquals(await kept(), before);
  await isWell();
});
