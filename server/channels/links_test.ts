/** Links between devices: what a channel of one reports is set on a channel of another. */
import { assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import type { Device } from "../device.ts";
import { Events } from "../observe/events.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import { Links } from "./links.ts";
import {
  channels,
  LocalError,
  type LogEntry,
  MemoryStore,
  type ServerOptions,
  share,
} from "../mod.ts";

/** A server, with as many boards as there are ids. */
async function begin(options: ServerOptions = {}, ids = ["tx", "rx"]) {
  const scene = await ManualServer.start(options);
  const boards = ids.map((id) => new LineBoard(scene, id));
  for (const board of boards) await board.connect();
  const act = async <T>(what: Promise<T>): Promise<T> => {
    what.catch(() => {}); // it is checked afterwards
    await scene.platform.turn();
    for (const board of boards) await board.settle();
    return await what;
  };
  return { scene, boards, server: scene.server, act };
}

Deno.test("the remote control is one line: it needs no application, and its boards know only their own channels", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/button", "rx/led"));
  await tx!.says("=button 1");
  await rx!.settle();
  assertEquals(rx!.news(), ["=led.1 1"]);
  await rx!.says(":led.1 1");
  const thing = await server.thing("rx");
  const { value, by, isMet } = thing.desired("led")!;
  assertEquals({ value, by, isMet }, { value: 1, by: "link tx/button", isMet: true });
  await tx!.says("!button 0"); // an event is followed, too
  await rx!.settle();
  assertEquals(rx!.news(), ["=led.2 0"]);
  assertEquals(tx!.news(), []);
});

Deno.test("after an outage of the second device it gets the last value", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/button", "rx/led"));
  await rx!.leave();
  for (const level of [1, 0, 1]) await tx!.says(`=button ${level}`);
  await rx!.connect();
  assertEquals(rx!.news(), ["=led.1 1"]);
});

Deno.test("devices need not have connected, and links survive the server", async () => {
  const store = new MemoryStore();
  {
    const { scene, server, act } = await begin({ store }, []);
    await using _ = scene;
    await act(server.connect("tx/button", "rx/led", { map: { pressed: 1, "*": 0 } }));
    const tx = new LineBoard(scene, "tx");
    await tx.connect();
    await tx.says("!button pressed");
    assertEquals(tx.news(), []);
  }
  {
    const { scene, boards: [rx], server } = await begin({ store }, ["rx"]);
    await using _ = scene;
    assertEquals(rx!.news(), ["=led.1 1"]);
    assertEquals(server.links, [
      { from: "tx/button", to: "rx/led", map: { pressed: 1, "*": 0 } },
    ]);
  }
  // A store without a trace of the second device, where nothing has happened yet.
  const other = new MemoryStore();
  {
    const { scene, server, act } = await begin({ store: other }, []);
    await using _ = scene;
    await act(server.connect("tx/button", "rx/led"));
  }
  const { scene, boards: [tx] } = await begin({ store: other }, ["tx"]);
  await using _ = scene;
  await tx!.says("!button");
  const rx = new LineBoard(scene, "rx");
  await rx.connect();
  assertEquals(rx.news(), ["=led.1 1"], "an event without a value is a 1");
});

Deno.test("earlier reports count at once, and an existing link changes nothing", async () => {
  const app = channels({ button: {} });
  const { scene, boards: [tx, rx], server, act } = await begin({ app });
  await using _ = scene;
  await tx!.says("=button 1");
  await act(server.connect("tx/button", "rx/led"));
  assertEquals(rx!.news(), ["=led.1 1"]);
  await rx!.says(":led.1 1");
  await rx!.says("=led 0"); // a user has switched it off there
  await act(server.connect("tx/button", "rx/led"));
  await tx!.says("=button 1"); // and this value is not new
  await rx!.settle();
  assertEquals(rx!.news(), []);
  const thing = await server.thing("rx");
  assertEquals(thing.desired("led")!.by, "device");
});

Deno.test("a map translates values, and others are not passed on", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  const map = { open: "red", "[1,2]": { pair: true }, "": "nothing", __proto__: 5 };
  await act(server.connect("tx/lock", "rx/lamp", { map }));
  for (const line of ["open", "shut", "[1, 2]", "constructor", "__proto__", "toString"]) {
    await tx!.says(`!lock ${line}`);
    await rx!.settle();
  }
  await tx!.says("!lock");
  await rx!.settle();
  assertEquals(rx!.news(), ["=lamp.1 red", '=lamp.2 {"pair":true}', "=lamp.3 nothing"]);
  assertEquals(scene.log.filter((it) => it.startsWith("warning")), []);
});

Deno.test("a link can be replaced or removed, and others between the same devices continue", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/button", "rx/led"));
  await act(server.connect("tx/button", "rx/lamp"));
  await act(server.connect("tx/button", "tx/led"));
  await act(server.disconnect("tx/button", "tx/led"));
  await act(server.connect("tx/knob", "rx/led", { map: { 1: 5 } }));
  assertEquals(server.links.length, 3);
  await tx!.says("=other 1");
  await rx!.settle();
  assertEquals(rx!.news(), []);
  await tx!.says("=button 1");
  await rx!.settle();
  assertEquals(rx!.news(), ["=led.1 1", "=lamp.1 1"]);
  await act(server.connect("tx/knob", "rx/led", { map: { 1: 6 } })); // replaces the one before
  assertEquals(server.links.map(({ to, map }) => [to, map]), [
    ["rx/led", undefined],
    ["rx/lamp", undefined],
    ["rx/led", { 1: 6 }],
  ]);
  await act(server.disconnect("tx/button", "rx/led"));
  assertEquals(server.links.map(({ from, to }) => `${from} ${to}`), [
    "tx/button rx/lamp",
    "tx/knob rx/led",
  ]);
});

Deno.test("an invalid map is refused, with its fault named", async () => {
  const { scene, server, act } = await begin();
  await using _ = scene;
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${n}`, n]));
  for (const map of [null, [1], "x", {}, many(65)]) {
    const wrong = server.connect("tx/a", "rx/b", { map: map as Record<string, number> });
    const error = await assertRejects(() => act(wrong), LocalError, "map");
    assertEquals(error.code, "BAD_ARGUMENT");
  }
  await act(server.connect("tx/a", "rx/b", { map: many(64) }));
});

Deno.test("links in a circle: no value runs round for ever, and both ends agree", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/led", "rx/led"));
  await act(server.connect("rx/led", "tx/led"));
  const reply = async (board: LineBoard) => {
    const lines = board.news();
    for (const line of lines) {
      const [, tag, value] = /^=led\.(\d+) (.*)$/.exec(line)!;
      await board.says(`:led.${tag} ${value}`);
      await board.says(`=led ${value}`); // it reports all its changes, also those that it was set to
    }
    return lines.length;
  };
  await tx!.says("=led 1");
  await tx!.says("=led 0");
  await rx!.says("=led 2");
  let count = 0;
  for (let round = 0; round < 20; round++) {
    for (const board of [tx!, rx!]) {
      await board.settle();
      count += await reply(board);
    }
  }
  assertEquals(count <= 4, true, `${count} settings went round`);
  const values = await Promise.all(["tx", "rx"].map(async (id) => {
    const thing = await server.thing(id);
    return (thing.desired("led") ?? thing.reported("led"))?.value;
  }));
  assertEquals(values[0], values[1]);
});

Deno.test("a link does not follow a report that is older than a setting, or that will be set back", async () => {
  const app = channels({ led: { local: "loses" } });
  const { scene, boards: [tx, rx], server, act } = await begin({ app });
  await using _ = scene;
  await act(server.connect("tx/led", "rx/led"));
  const thing = await server.thing("tx");
  await act(thing.set("led", 5));
  await tx!.says("=led 0"); // has waited in the device
  await tx!.says(":led.1 5");
  await tx!.says("=led 9"); // is set back
  await rx!.settle();
  assertEquals(tx!.news(), ["=led.1 5", "=led.2 5"]);
  assertEquals(rx!.news(), []);
});

Deno.test("what a link has set stays after the link is removed", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/button", "rx/led"));
  await act(server.connect("tx/button", "rx/lamp"));
  await tx!.says("=button 1");
  await act(server.disconnect("tx/button", "rx/led"));
  await tx!.says("=button 0");
  await rx!.settle();
  assertEquals(rx!.news().sort(), ["=lamp.1 1", "=lamp.2 0", "=led.1 1"]);
  assertEquals(server.links, [{ from: "tx/button", to: "rx/lamp" }]);
  await assertRejects(
    () => act(server.disconnect("tx/button", "rx/led")),
    LocalError,
    "there is no link from tx/button to rx/led",
  );
});

Deno.test("a link that cannot be made is refused with the reason", async () => {
  const { scene, server } = await begin({}, []);
  await using _ = scene;
  const act = async (what: Promise<void>) => {
    what.catch(() => {});
    await scene.platform.advance(1000); // repeated refusals are delayed
    await what;
  };
  for (
    const [from, to, map, message] of [
      ["tx", "rx/led", undefined, '"tx": give a device\'s id, a slash and a channel'],
      ["tx/Button", "rx/led", undefined, "a channel is 1 to 32"],
      ["/button", "rx/led", undefined, "a name must have at least one character"],
      ["t\nx/button", "rx/led", undefined, "must not have control characters"],
      ["x".repeat(65) + "/a", "rx/led", undefined, "may have at most 64 bytes"],
      ["tx/led", "tx/led", undefined, "tx/led cannot be linked to itself"],
      ["tx/led", "rx/led", {}, "a map has 1 to 64 values"],
      ["tx/led", "rx/led", [1] as never, "a map of values is an object"],
      ["tx/led", "rx/led", { a: () => 1 }, "a value must be JSON"],
      ["tx/led", "rx/led", { a: "x".repeat(20_000) }, "have too much text"],
    ] as const
  ) {
    const failure = server.connect(from, to, map === undefined ? {} : { map });
    await assertRejects(() => act(failure), LocalError, message);
  }
  for (let i = 0; i < 64; i++) await act(server.connect("tx/led", `rx/led${i}`));
  await assertRejects(() => act(server.connect("tx/led", "rx/led")), LocalError, "64 links");
  await assertRejects(() => act(server.connect("tx/led", "rx/led")), LocalError, "64 links");
  assertEquals(server.links.length, 64);
});

Deno.test("an id with a slash has %2F in its place", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin({}, ["hall/tx", "50%2Fa/%25"]);
  await using _ = scene;
  await act(server.connect("hall%2Ftx/button", "50%252Fa%2F%2525/led"));
  await tx!.says("=button 1");
  await rx!.settle();
  assertEquals(rx!.news(), ["=led.1 1"]);
  assertEquals(server.links, [{ from: "hall%2Ftx/button", to: "50%252Fa%2F%2525/led" }]);
  assertEquals((await server.thing("50%2Fa/%25")).desired("led")?.by, "link hall%2Ftx/button");
});

Deno.test("a linked setting's `by` has the beginning of a long id", async () => {
  const id = "x".repeat(64);
  const { scene, boards: [tx, rx], server, act } = await begin({}, [id, "rx"]);
  await using _ = scene;
  await act(server.connect(`${id}/button`, "rx/led"));
  await tx!.says("=button 1");
  await rx!.settle();
  assertEquals((await server.thing("rx")).desired("led")?.by, `link ${"x".repeat(59)}`);
});

Deno.test("if the second device was forgotten, that is a warning, and the first continues", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  const warnings: string[] = [];
  server.events.subscribe((event) => {
    if (event.event === "warning") warnings.push(`${event.code} ${event.message}`);
  });
  await act(server.connect("tx/button", "rx/led"));
  await rx!.leave();
  await act(server.forget("rx"));
  await tx!.says("=button 1");
  assertEquals(tx!.news(), []);
  assertStringIncludes(warnings[0]!, "LINK_FAILED tx/button to rx/led: that device was forgotten");
  await rx!.connect();
  await tx!.says("=button 0");
  await rx!.settle();
  assertEquals(rx!.news(), ["=led.1 0"]);
  await act(server.forget("tx"));
  assertEquals(server.links, []);
});

Deno.test("a value that the second device cannot have is a warning, and the first continues", async () => {
  const { scene, boards: [tx, rx], server, act } = await begin();
  await using _ = scene;
  await act(server.connect("tx/text", "full/text"));
  const full = await server.thing("full");
  for (let i = 0; i < 256; i++) void full.set(`c${i}`, i);
  await scene.platform.turn();
  await tx!.says("!text 1");
  assertEquals(scene.log.filter((it) => it.startsWith("warning")), ["warning tx LINK_FAILED"]);
  await act(server.disconnect("tx/text", "full/text"));
  scene.log.length = 0;
  await act(server.connect("tx/text", "rx/text"));
  await tx!.says(`!text ${"x".repeat(2000)}`);
  await tx!.says("!text short");
  await rx!.settle();
  assertEquals(rx!.news(), ["=text.1 short"]);
  assertEquals(scene.log.filter((it) => it.startsWith("warning")), ["warning tx LINK_FAILED"]);
});

Deno.test("a device that is linked is not forgotten to make room", async () => {
  const limits = { devices: 2, forgetAfter: 1000 };
  const { scene, boards: [tx, rx], server, act } = await begin({ limits });
  await using _ = scene;
  await act(server.connect("tx/button", "rx/led"));
  await tx!.leave();
  await rx!.leave();
  await scene.platform.advance(5000);
  await new LineBoard(scene, "new").connect();
  assertEquals(server.devices.map(({ id }) => id), ["tx", "rx"]);
  // When it is no longer linked, it is like any other.
  await act(server.disconnect("tx/button", "rx/led"));
  await new LineBoard(scene, "new").connect();
  assertEquals(server.devices.map(({ id }) => id), ["rx", "new"]);
  await new LineBoard(scene, "newer").connect();
  assertEquals(server.devices.map(({ id }) => id), ["new", "newer"]);
});

Deno.test("an application that takes all lines itself excludes links: connect is refused, or a warning comes at the start", async () => {
  const store = new MemoryStore();
  const echo = async (device: Device) => {
    for await (const line of device) await device.write(`echo ${line}`);
  };
  {
    const { scene, boards: [tx, rx], server, act } = await begin({ store, app: share({ echo }) });
    await using _ = scene;
    await act(server.connect("tx/button", "rx/led"));
    await tx!.says("=button 1");
    await tx!.says("hello");
    await rx!.settle();
    assertEquals([tx!.news(), rx!.news()], [["echo hello"], ["=led.1 1"]]);
  }
  const codes: unknown[] = [];
  const log = ({ code }: LogEntry) => void codes.push(code);
  const { scene, server, act } = await begin({ store, app: echo, log }, []);
  await using _ = scene;
  assertEquals(codes.includes("LINKS_IDLE"), true);
  await assertRejects(
    () => act(server.connect("tx/button", "rx/fan")),
    LocalError,
    "would not be heard: the server's application takes all lines itself",
  );
});

Deno.test("links are reported as idle only if there are some, and an application takes all lines", async () => {
  const store = new MemoryStore();
  const idle: (string | undefined)[] = [];
  const begun = async (options: ServerOptions) => {
    idle.length = 0;
    const log = ({ code }: LogEntry) => void (code === "LINKS_IDLE" && idle.push(code));
    return await begin({ store, log, ...options }, []);
  };
  const plain = async () => {};
  for (
    const [app, expected] of [[plain, 0], [undefined, 0], [channels({}), 0], [plain, 1]] as const
  ) {
    const { scene, server, act } = await begun(app ? { app } : {});
    await using _ = scene;
    assertEquals(idle.length, expected);
    if (!app) await act(server.connect("tx/button", "rx/led"));
  }
});

Deno.test("a link that cannot be committed is not made", async () => {
  const { scene, server } = await begin();
  await using _ = scene;
  const source = await server.device("tx") as DeviceDriver;
  const events = new Events();
  const links = new Links(events, () => undefined);
  const linked = { id: "tx", device: source, hasRoom: () => true, setting: () => fail() };
  const one = { channel: "button", to: { device: "rx", channel: "led" } };
  for (const operation of [links.connecting(linked, one), links.disconnecting(linked, one)]) {
    const before = [...source.session.record.memos];
    operation.apply();
    assertNotEquals([...source.session.record.memos], before);
    operation.undo();
    assertEquals([...source.session.record.memos], before);
    operation.apply();
  }
});

function fail(): never {
  throw new Error("not called");
}
