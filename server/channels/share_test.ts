/** Several applications on one device: each has its channels, and one takes the plain lines. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { LineBoard } from "../../tests/support/line_board.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import type { Device } from "../device.ts";
import { type App, LocalError, type ServerEvent, type ServerOptions } from "../mod.ts";
import { channels } from "./app.ts";
import { FaultError } from "../protocol/fault.ts";
import { share } from "./share.ts";

async function begin(apps: Record<string, App>, options: ServerOptions = {}) {
  const scene = await ManualServer.start({ app: share(apps), ...options });
  const told: ServerEvent[] = [];
  scene.server.events.subscribe((event) => told.push(event));
  const board = new LineBoard(scene);
  await board.connect();
  const thing = await scene.server.thing("1");
  const failures = () =>
    told.flatMap((event) => event.event === "app_failed" ? [event.message.split("\n")[0]!] : []);
  return { scene, board, thing, told, failures };
}

/** Advances the clock by `ms`, while the board sends keepalives. */
async function pass(scene: ManualServer, board: LineBoard, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 500) {
    await scene.platform.advance(500);
    await board.isHere();
  }
}

Deno.test("each application gets its channels, and a channel of two goes to both", async () => {
  const seen: unknown[] = [];
  const { scene, board } = await begin({
    thermostat: channels({ temp: (value) => void seen.push(["thermostat", value]), door: {} }),
    logger: channels({
      temp: (value) => void seen.push(["logger", value]),
      door: { event: (value) => void seen.push(["door", value]) },
    }),
  });
  await using _ = scene;
  await board.says("=temp 20");
  await board.says("!door open");
  await board.says("=what 1");
  assertEquals(seen, [["thermostat", 20], ["logger", 20], ["door", "open"]]);
  assertEquals(board.news(), ["~what unknown"]);
});

Deno.test("a request is answered by one application", async () => {
  const ask = channels({ config: { ask: () => 1 } });
  const both = "one and two both answer a request: channel config";
  assertThrows(() => share({ one: ask, two: ask }), LocalError, both);
  const { scene, board } = await begin({
    none: channels({ config: {} }),
    one: ask,
    two: channels({ config: {}, door: { ask: () => Promise.reject(new FaultError("busy")) } }),
  });
  await using _ = scene;
  await board.says("?config.1");
  await board.says("?door.2");
  assertEquals(board.news(), [":config.1 1", "~door.2 busy"]);
});

Deno.test("applications that cannot share a device are named", () => {
  const plain = async (device: Device) => void await device.readline();
  for (
    const [apps, message] of [
      [{}, "share needs an application"],
      [{ one: plain, two: plain }, "one and two both take all plain lines"],
      [
        { one: channels({ led: { local: "wins" } }), two: channels({ led: { local: "loses" } }) },
        "one and two have different rules for changes at the device: channel led",
      ],
      [{ one: 1 as unknown as App }, "one is not an application: give a function"],
      [{ one: share({ a: plain }), two: share({ b: plain }) }, "one/a and two/b both take all"],
    ] satisfies [Record<string, App>, string][]
  ) assertThrows(() => share(apps), LocalError, message);
});

Deno.test("a message with which one application fails holds up the others for a while, then becomes a dead letter", async () => {
  const seen: unknown[] = [];
  const { scene, board, failures } = await begin({
    good: channels({ temp: (value) => void seen.push(value), fan() {} }),
    bad: channels({
      temp() {
        throw new Error("boom");
      },
    }),
  });
  await using _ = scene;
  await board.says("=temp 20");
  await board.says("=fan 1");
  await pass(scene, board, 3000);
  assertEquals([...new Set(failures())], ["bad: Error: boom"]);
  const [device] = scene.server.devices;
  assertEquals(device!.deadLetters.map(({ text }) => text), ["=temp 20"]);
  assertStringIncludes(device!.deadLetters[0]!.error, "bad: boom");
  const thing = await scene.server.thing("1");
  assertEquals(thing.reported("temp"), undefined, "the failed message has no effect");
  assertEquals(thing.reported("fan")?.value, 1);
});

Deno.test("an application of plain lines beside channels gets the plain lines only", async () => {
  const seen: unknown[] = [];
  const echo = async (device: Device) => {
    for await (const line of device) await device.write(`echo ${line}`);
    seen.push("closed");
  };
  const { scene, board, told } = await begin({
    echo,
    logger: channels({ temp: (value) => void seen.push(value) }, {
      line: (line) => void seen.push(`line ${line}`),
    }),
  });
  {
    await using _ = scene;
    for (const line of ["one", "=temp 20", "two", "=temp 21", "?time.1"]) await board.says(line);
    assertEquals(board.news(), ["echo one", "echo two", ":time.1 1700000000000"]);
    assertEquals(told.filter(({ event }) => event === "plain_line"), []);
    // A line is processed when its reader asks for the next one.
    assertEquals(scene.server.devices.map(({ inbox }) => inbox), [0]);
  }
  assertEquals(seen, ["line one", 20, "line two", 21, "closed"]);
});

Deno.test("an error that no handler has thrown names all applications that received the message", async () => {
  const { scene, board, failures } = await begin({
    one: channels({ temp() {} }),
    two: channels({ temp: (_, { tx }) => tx.set("2", "one-more", 1) }),
    three: channels({ fan() {} }),
  });
  await using _ = scene;
  await scene.away("2");
  const full = await scene.server.thing("2");
  for (let i = 0; i < 256; i++) void full.set(`c${i}`, i);
  await scene.platform.turn();
  await board.says("=temp 20");
  await scene.platform.advance(100); // refusals are delayed
  assertEquals(failures().length, 1);
  assertStringIncludes(
    failures()[0]!,
    "one or two: LocalError: a device may have at most 256 channels",
  );
});

Deno.test("a line taken by an application of plain lines is not an event", async () => {
  const { scene, board, told } = await begin({
    echo: async (device) => {
      for await (const line of device) await device.write(`echo ${line}`);
    },
    temp: channels({ temp() {} }),
  });
  await using _ = scene;
  for (const line of ["one", "two"]) await board.says(line);
  assertEquals(board.news(), ["echo one", "echo two"]);
  assertEquals(told.filter(({ event }) => event === "plain_line"), []);
});

Deno.test("a plain line is an event where no application takes it", async () => {
  for (const takes of [true, false]) {
    const options = takes ? { line() {} } : {};
    const { scene, board, told } = await begin({
      a: channels({}, options),
      b: channels({ temp() {} }),
    });
    await using _ = scene;
    await board.says("one");
    const lines = told.filter(({ event }) => event === "plain_line");
    assertEquals(lines.length, takes ? 0 : 1);
  }
});

Deno.test("consume of a plain line fails if its transaction fails", async () => {
  const codes: string[] = [];
  const { scene, board } = await begin({
    plain: async (device) => {
      for (;;) {
        await device.consume((_, tx) => tx.write("2", "x"))
          .then(() => codes.push("done"), ({ code }) => codes.push(code));
        if (codes.length > 0) await new Promise(() => {});
      }
    },
    led: channels({ led: {} }),
  }, { limits: { outbox: 1 } });
  await using _ = scene;
  const other = await scene.away("2");
  const waits = assertRejects(() => other.write("first"), LocalError);
  await scene.platform.turn();
  await board.says("line");
  assertEquals(codes, ["OUTBOX_FULL"]);
  await scene.server.close();
  await scene.platform.advance(100); // refusals are delayed
  await waits;
});

Deno.test("an application of plain lines sees the device as it is, except for its lines", async () => {
  let plain: Device | undefined;
  const { scene, board } = await begin({
    plain: async (device) => {
      plain = device;
      await device.readline();
      await device.readline();
    },
    led: channels({ led: {} }),
  }, { deadLetters: true });
  await using _ = scene;
  const watched: string[] = [];
  plain!.watch((way, text) => void watched.push(`${way} ${text}`));
  await board.says("one");
  assertEquals(watched, ["in one", "done "]);
  await board.leave();
  void (await scene.server.device("1")).write("waits");
  await scene.platform.turn();
  const device = await scene.server.device("1");
  const shown = (it: Device) => {
    const { id, connected, since, connects, metadata, inbox, outbox, counts, app, deadLetters } =
      it;
    return { id, connected, since, connects, metadata, inbox, outbox, counts, app, deadLetters };
  };
  assertEquals(shown(plain!), shown(device));
  assertEquals([plain!.outbox, plain!.connected], [1, false]);
  for (const dispose of [plain!.revive(7), plain!.discard(7)]) {
    assertEquals((await assertRejects(() => dispose, LocalError)).code, "BAD_ARGUMENT");
  }
  let isReady = false;
  void plain!.ready().then(() => isReady = true);
  await scene.platform.turn();
  assertEquals(isReady, false);
  await board.connect();
  assertEquals(isReady, true);
  assertEquals(shown(plain!), shown(device));
});

Deno.test("channel descriptions of several applications are one description", async () => {
  const described = (channel: string) =>
    channels({ [channel]: {} }, {
      description: { channels: { [channel]: { kind: "number", max: 5 } } },
    });
  const { scene, thing } = await begin({ one: described("a"), two: described("b") });
  await using _ = scene;
  assertEquals(Object.keys(thing.description!.channels), ["a", "b"]);
  for (const channel of ["a", "b"]) {
    const refused = assertRejects(() => thing.set(channel, 6), LocalError, "5 or less");
    await scene.platform.advance(100);
    await refused;
  }
});

Deno.test("consume of a plain line takes part in the message's transaction", async () => {
  let fails = true;
  const seen: string[] = [];
  const { scene, board, thing, failures } = await begin({
    plain: async (device) => {
      for (;;) {
        await device.consume((line, tx) => {
          seen.push(line);
          tx.set(device.id, "led", line);
          if (fails) throw new Error("not yet");
        });
        seen.push("done");
      }
    },
    led: channels({ led: {} }),
  });
  await using _ = scene;
  await board.says("on");
  assertEquals([seen, thing.desired("led")], [["on"], undefined]);
  fails = false;
  await pass(scene, board, 1500);
  assertEquals(seen, ["on", "on", "done"]);
  assertEquals(thing.desired("led")?.value, "on");
  assertEquals([...new Set(failures())], ["plain: Error: not yet"]);
});

Deno.test("an application of plain lines that fails at its start, or returns, does not stop the channels for ever", async () => {
  for (const kind of ["fails", "returns"]) {
    const { scene, board, thing, told } = await begin({
      plain: () => kind === "fails" ? Promise.reject(new Error("boom")) : Promise.resolve(),
      temp: channels({ temp() {} }),
    });
    await using _ = scene;
    await board.says("=temp 1");
    await board.says("line");
    await board.says("=temp 2");
    await pass(scene, board, 90_000);
    assertEquals(thing.reported("temp")?.value, 2, kind);
    const plain = told.filter(({ event }) => event === "plain_line");
    assertEquals(plain.length, kind === "fails" ? 0 : 1, kind);
    const [device] = scene.server.devices;
    assertEquals(device!.deadLetters.map(({ text }) => text), kind === "fails" ? ["line"] : []);
    const ended = told.flatMap((it) => it.event === "app_ended" ? [it.message] : []);
    assertEquals(ended.length, kind === "fails" ? 0 : 1, kind);
    if (kind === "returns") assertStringIncludes(ended[0]!, "plain has returned");
  }
});

Deno.test("a failed run of plain lines gets no more messages", async () => {
  const seen: string[] = [];
  let run = 0;
  const { scene, board } = await begin({
    plain: async (device) => {
      const name = ++run;
      const read = async () => {
        for await (const line of device) seen.push(`${name} ${line}`);
        seen.push(`${name} ends`);
      };
      const reading = read();
      if (name === 1) throw new Error("boom");
      await reading;
    },
  });
  await using _ = scene;
  await scene.platform.advance(1000);
  await board.says("line");
  assertEquals(seen, ["1 ends", "2 line"]);
});

Deno.test("after a run of plain lines has failed, its further calls end with CLOSED, and its loops end", async () => {
  const seen: string[] = [];
  let left: Device | undefined;
  const { scene, board } = await begin({
    plain: async (device) => {
      if (!left) {
        left = device;
        throw new Error("boom");
      }
      for await (const line of device) seen.push(line);
    },
  });
  await using _ = scene;
  const told: string[] = [];
  const tell = (what: Promise<unknown>) =>
    void what.then(() => told.push("done"), (error) => told.push(error.code));
  tell(left!.readline());
  tell(left!.consume(() => {}));
  tell((async () => {
    for await (const line of left!) seen.push(`left ${line}`);
  })());
  await scene.platform.advance(1000);
  await board.says("line");
  assertEquals([told, seen], [["CLOSED", "CLOSED", "done"], ["line"]]);
});

Deno.test("a device can be cleared or forgotten while an application of plain lines holds a line", async () => {
  for (const act of ["clear", "forget"] as const) {
    const ends: unknown[] = [];
    let cleared: unknown;
    const { scene, board } = await begin({
      plain: async (device) => {
        try {
          for (;;) {
            await device.readline();
            if (act === "clear") cleared = await device.clear();
            else await new Promise(() => {});
          }
        } finally {
          ends.push(act);
        }
      },
    });
    await using _ = scene;
    await board.says("line");
    const forgot = act === "forget" && scene.server.forget("1");
    await scene.platform.turn();
    await forgot;
    if (act === "clear") assertEquals(cleared, { inbox: 0, outbox: 0 });
    else assertEquals(scene.server.devices, []);
  }
});

Deno.test("a server can be closed while a line waits for an application to be restarted", async () => {
  const { scene, board } = await begin({
    plain: async (device) => {
      await device.readline();
      throw new Error("boom");
    },
    temp: channels({ temp() {} }),
  });
  await using _ = scene; // it checks that no timer is left
  await board.says("line");
  assertEquals(scene.server.devices.map(({ inbox }) => inbox), [1]);
});

Deno.test("a function that calls an application of channels is not one: it is refused with the remedy", async () => {
  const temp = channels({ temp() {} });
  const { scene, failures } = await begin({ temp: (device, server) => temp(device, server) });
  await using _ = scene;
  await scene.platform.turn();
  assertStringIncludes(failures()[0]!, "temp: LocalError: give share what channels({ … }) returns");
});
