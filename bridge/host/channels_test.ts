/** Channels of a program, with a server that speaks marked lines by hand, and with one that has channels itself. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { channels, type Device, Server, type ServerOptions } from "../../server/mod.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { until } from "../../tests/support/wait.ts";
import { Channels, Client, type DeviceChannelsOptions, FaultError, LocalError } from "./mod.ts";

function listen(options: ServerOptions = {}): Promise<Server> {
  return Server.listen({ hostname: "127.0.0.1", port: 0, open: true, ...options });
}

interface Part {
  client: Client;
  channels: Channels;
  errors: unknown[];
}

/** A device with channels, and what went wrong in its handlers. */
function plugIn(
  port: number,
  options: Partial<DeviceChannelsOptions> = {},
  memory?: string,
): Part & AsyncDisposable {
  const errors: unknown[] = [];
  const client = new Client({ id: "1", port, ...(memory === undefined ? {} : { memory }) });
  const channels = new Channels(client, {
    app: "kitchen",
    version: "3",
    onError: (error) => void errors.push(error),
    ...options,
  });
  const close = async () => {
    await client.close();
    await channels.ended;
  };
  return { client, channels, errors, [Symbol.asyncDispose]: close };
}

/** A conversation by hand: lines to the device, and its lines in reply. */
async function says(device: Device, lines: readonly string[], answers: number): Promise<string[]> {
  for (const line of lines) await device.write(line);
  const heard: string[] = [];
  while (heard.length < answers) heard.push(await device.readline());
  return heard;
}

async function byHand(server: Server): Promise<Device> {
  const device = await server.device("1");
  assertEquals(await device.readline(), "@kitchen 3");
  return device;
}

Deno.test("settings and requests are answered once each, in order, by name and tag", async () => {
  await using server = await listen();
  await using part = plugIn(server.port, {
    channels: {
      heater: {
        set(value) {
          if (value !== 0 && value !== 1) throw new FaultError("bad_value", "0 or 1");
        },
      },
      level: { set: (value) => Math.min(Number(value), 10) },
      none: { set: () => null },
      adc: { ask: (channel) => [channel ?? "all", 512] },
      slow: { ask: () => new Promise((resolve) => setTimeout(() => resolve("done"), 20)) },
      quiet: { ask() {} },
      broken: {
        set() {
          throw new Error("burnt");
        },
        ask: () => NaN,
      },
      busy: { ask: () => Promise.reject(new FaultError("busy")) },
    },
  });
  const device = await byHand(server);
  const conversation = [
    ["?slow.1", ":slow.1 done"],
    ["=heater.8 1", ":heater.8 1"],
    ["=heater.0009 2", "~heater.0009 bad_value 0 or 1"],
    ["=heater 0", ":heater 0"],
    ["=level.1 12", ":level.1 10"],
    ["=none.1 5", ":none.1 null"],
    ["?adc.7 3", ":adc.7 [3,512]"],
    ["?adc.8", ':adc.8 ["all",512]'],
    ["?quiet.1", ":quiet.1"],
    ["=broken.1 1", "~broken.1 failed"],
    ["?broken.1", "~broken.1 failed"],
    ["?busy.4", "~busy.4 busy"],
    ["=fan.1 1", "~fan.1 unknown"],
    ["?fan.1", "~fan.1 unknown"],
    ["=adc.1 1", "~adc.1 unsupported"],
    ["?heater.1", "~heater.1 unsupported"],
    ["=constructor.1 1", "~constructor.1 unknown"],
  ] as const;
  const lines = conversation.map(([line]) => line);
  assertEquals(
    await says(device, lines, lines.length),
    conversation.map(([, answer]) => answer),
  );
  assertEquals(part.errors.map((error) => (error as Error).message.slice(0, 20)), [
    "burnt",
    "a value must be JSON",
  ]);
});

Deno.test("events are handled once and plain lines are handed over; neither is answered, and nor is an answer", async () => {
  await using server = await listen();
  const heard: unknown[] = [];
  await using part = plugIn(server.port, {
    channels: {
      bell: { event: (value) => void heard.push(value) },
      gong: {
        event() {
          throw new Error("cracked");
        },
      },
      end: { ask: () => 1 },
    },
    line: (text) => {
      heard.push(text);
      if (text === "oh") throw new Error("no");
    },
  });
  const device = await byHand(server);
  const lines = [
    "!bell",
    "!bell 3",
    "!gong",
    "!none",
    "hello",
    "oh",
    "=Heater 1",
    "@app 1",
    ":x.1 1",
  ];
  assertEquals(await says(device, [...lines, "~x busy", "?end.1"], 1), [":end.1 1"]);
  assertEquals(heard, [undefined, 3, "hello", "oh", "=Heater 1", "@app 1"]);
  assertEquals(part.errors.map((error) => (error as Error).message), ["cracked", "no", "x: busy"]);
});

Deno.test("reports and events can carry the time of the device's clock", async () => {
  await using server = await listen();
  await using part = plugIn(server.port);
  const device = await byHand(server);
  const before = Date.now();
  await part.channels.report("temp", 21.5);
  await part.channels.report("temp", "21.5", { stamped: true });
  await part.channels.report("temp", { old: true }, { stamped: new Date(2 ** 32 + 5) });
  await part.channels.event("button");
  await part.channels.event("button", "pressed", { stamped: new Date(-1) });
  const lines = await says(device, [], 5);
  const [, stamp] = lines[1]!.match(/^=temp@(\d+) "21.5"$/)!;
  const ago = (Date.now() - Number(stamp)) % 2 ** 32;
  assert(ago >= 0 && ago <= Date.now() - before, `${ago}`);
  assertEquals([lines[0], ...lines.slice(2)], [
    "=temp 21.5",
    '=temp@5 {"old":true}',
    "!button",
    "!button@4294967295 pressed",
  ]);
});

Deno.test("a request to the server ends with its answer, its fault, or an error if none comes", async () => {
  await using server = await listen();
  await using part = plugIn(server.port);
  const device = await byHand(server);
  const tagOf = async (line: RegExp) => {
    const asked = await device.readline();
    assertMatch(asked, line);
    return asked.match(/\.(\d+)/)![1]!;
  };
  const time = part.channels.ask("time", { zone: "UTC" });
  const tag = await tagOf(/^\?time\.\d{1,10} \{"zone":"UTC"\}$/);
  await device.write(`:tide.${tag} 1`); // another name
  await device.write(`:time.${tag}1 1`); // nobody has asked
  await device.write(`:time.${tag} 1732838400123`);
  assertEquals(await time, 1732838400123);

  const empty = part.channels.ask("ping");
  await device.write(`:ping.${await tagOf(/^\?ping\.\d+$/)}`);
  assertEquals(await empty, undefined);

  const refused = assertRejects(() => part.channels.ask("door"), FaultError);
  await device.write(`~door.${await tagOf(/^\?door/)} busy come later`);
  const { fault, code, words, channel } = await refused;
  assertEquals([code, fault, words, channel], ["FAULT", "busy", "come later", "door"]);

  const late = await assertRejects(() => part.channels.ask("x", 1, { deadline: 50 }), LocalError);
  assertEquals(late.code, "UNANSWERED");
  await device.write(`:x.${await tagOf(/^\?x/)} 1`); // nobody waits for it any more
  const open = assertRejects(() => part.channels.ask("y"), LocalError);
  await tagOf(/^\?y/);
  await part.client.close();
  assertEquals((await open).code, "CLOSED");
  assertEquals((await assertRejects(() => part.channels.ask("z"), LocalError)).code, "CLOSED");
});

Deno.test("a request whose time is up before it is sent expires without being sent", async () => {
  await using server = await listen();
  await using cable = await FaultProxy.start({ target: { port: 1 } }); // nobody is there
  await using part = plugIn(cable.port);
  const error = await assertRejects(() => part.channels.ask("x", 1, { deadline: 20 }), LocalError);
  assertEquals(error.code, "EXPIRED");
  cable.retarget(server.port);
  const device = await byHand(server);
  void part.channels.report("temp", 1).catch(() => {});
  assertEquals(await device.readline(), "=temp 1");
  assertEquals(part.errors, []);
});

Deno.test("the program learns what the server refuses", async () => {
  await using server = await listen();
  await using part = plugIn(server.port);
  const device = await byHand(server);
  await device.write("~temp unknown");
  await device.write("~kitchen bad_value /channels: no object");
  await until(() => part.errors.length === 2, { what: "two errors" });
  assertEquals(part.errors.map((error) => (error as FaultError).message), [
    "temp: unknown",
    "kitchen: bad_value: /channels: no object",
  ]);
});

Deno.test("an answer that is too long for the server fails", async () => {
  await using server = await listen({ limits: { lineBytes: 150 } });
  await using part = plugIn(server.port, {
    channels: { long: { ask: () => "x".repeat(200) }, short: { ask: () => 1 } },
  });
  const device = await byHand(server);
  const answers = await says(device, ["?long.1", "?short.2"], 2);
  assertEquals(answers.sort(), [":short.2 1", "~long.1 failed"]);
  assertEquals(part.errors.map((error) => (error as LocalError).code), ["BAD_TEXT"]);
});

Deno.test("wrong names and arguments are refused with the reason", async () => {
  await using server = await listen();
  await using part = plugIn(server.port);
  const { client, channels } = part;
  for (
    const options of [
      { app: "Kitchen" },
      { version: "" },
      { version: "{" },
      { channels: { "a b": {} } },
      { description: [] },
      { description: new Date() },
    ]
  ) {
    const error = assertThrows(
      () => new Channels(client, { app: "a", version: "1", ...options }),
      LocalError,
    );
    assertEquals(error.code, "BAD_ARGUMENT");
  }
  for (
    const call of [
      () => channels.report("A", 1),
      () => channels.report("a", undefined),
      () => channels.report("a", NaN),
      () => channels.report("a", 1, { stamped: new Date(NaN) }),
      () => channels.event("a", () => 1),
      () => channels.ask("a.1"),
      () => channels.ask("a", 1, { deadline: 0 }),
      () => channels.ask("a", 1, { deadline: 2 ** 31 }),
    ]
  ) assertEquals((await assertRejects(call, LocalError)).code, "BAD_ARGUMENT", `${call}`);
});

Deno.test("a device may bring the description of its channels", async () => {
  await using server = await listen({ app: channels({ temp: {}, heater: {} }) });
  const description = { channels: { heater: { kind: "switch" } } };
  await using _ = plugIn(server.port, { description, channels: { heater: { set() {} } } });
  const thing = await server.thing("1");
  await until(() => thing.application, { what: "its application" });
  await assertRejects(() => thing.set("heater", 5), LocalError);
  await thing.set("heater", 1);
});

Deno.test("with a memory, the next process sends the last one's messages before its own boot message", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using server = await listen();
    await using cable = await FaultProxy.start({ target: { port: 1 } });
    {
      await using first = plugIn(cable.port, {}, `${folder}/state`);
      await first.channels.report("temp", 1); // kept: nobody is there
    }
    cable.retarget(server.port);
    await using second = plugIn(cable.port, {}, `${folder}/state`);
    await second.channels.report("temp", 2);
    const device = await server.device("1");
    assertEquals(await says(device, [], 4), ["@kitchen 3", "=temp 1", "@kitchen 3", "=temp 2"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("with a memory, a message is processed and answered in one commit", async () => {
  const commits: string[] = [];
  const memory = {
    kept: undefined,
    commit({ progress, written }: import("./mod.ts").MemoryChange) {
      const texts = written.map(({ text }) => new TextDecoder().decode(text));
      commits.push(`${progress.position.next} ${texts}`);
    },
    close() {},
  };
  await using server = await listen();
  const client = new Client({ id: "1", port: server.port, memory });
  const channels = new Channels(client, {
    app: "kitchen",
    version: "3",
    channels: { heater: { set() {} } },
  });
  const device = await byHand(server);
  assertEquals(await says(device, ["=heater.1 1"], 1), [":heater.1 1"]);
  const first = commits.find((commit) => !/^0 /.test(commit)); // the message at 0 is processed
  assertEquals(first, "1 :heater.1 1");
  await client.close();
  await channels.ended;
});

Deno.test("a value that a server with channels sets is applied, and applied again after the device restarts", async () => {
  const reports: unknown[] = [];
  await using server = await listen({
    timeout: 400,
    app: channels({ heater: {}, temp: (value) => void reports.push(value) }),
  });
  await using cable = await FaultProxy.start({ target: { port: server.port } });
  const heated: unknown[] = [];
  const options = { channels: { heater: { set: (value: unknown) => void heated.push(value) } } };
  {
    await using first = plugIn(cable.port, options);
    await first.channels.report("temp", 20, { stamped: true });
    const thing = await server.thing("1");
    await thing.set("heater", 1);
    await until(() => thing.desired("heater")?.isMet, { what: "the heater to be on" });
    assertEquals(thing.application, { name: "kitchen", version: "3" });
    await until(() => reports.length === 1, { what: "the report" });
    const { at, isStamped } = thing.reported("temp")!;
    assert(isStamped && Math.abs(Date.now() - at!.getTime()) < 60_000);
    assert(Math.abs(Number(await first.channels.ask("time")) - Date.now()) < 60_000);
  }
  await using _ = plugIn(cable.port, options);
  await until(() => heated.length > 1, { what: "the heater to be switched on again" });
  assertEquals(heated, [1, 1]);
});
