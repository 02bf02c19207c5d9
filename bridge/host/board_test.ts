import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Device, LocalError, Server } from "../../server/mod.ts";
import { compile } from "../../tests/support/compile.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { until } from "../../tests/support/wait.ts";
import { Board, type BoardOptions } from "./mod.ts";

/** An application that does what messages tell it, such as `["write",2,1]`. */
const PROBE = `
  export * from "../assembly/core";
  import {
    adc_read, begin, bytes, connected, connects, element, every, free_memory, gpio_read, gpio_write,
    integer, is, item, log, millis, NO_QOS, number, open, close, pending, pwm_write, QOS, random,
    read, send, show, text,
  } from "../assembly/app";

  function argument(n: i32): i32 {
    return element(n) ? integer(0) : 0;
  }

  function answer(value: i32): void {
    begin(11);
    number(value);
    send(QOS);
  }

  export function onStart(): void {
    begin(20);
    text("start");
    show();
    send(QOS);
    send(NO_QOS);
  }

  export function onTick(): void {
    begin(4);
    text("tick");
    send(QOS);
  }

  export function onState(up: bool): void {
    begin(10);
    text(up ? "up" : "down");
    show();
  }

  export function onMessage(ptr: usize, length: i32): void {
    read(ptr, length);
    const a = argument(1);
    const b = argument(2);
    element(0);
    if (is("write")) gpio_write(a, b);
    else if (is("pwm")) pwm_write(a, b, argument(3));
    else if (is("read")) answer(gpio_read(a));
    else if (is("adc")) answer(adc_read());
    else if (is("every")) every(a);
    else if (is("log")) log(a, b);
    else if (is("millis")) answer(millis());
    else if (is("random")) answer(random());
    else if (is("free")) answer(free_memory());
    else if (is("trap")) unreachable();
    else {
      begin(length + 8);
      text("echo €");
      bytes(ptr, length);
      send(QOS);
    }
  }
`;

let probe: Promise<WebAssembly.Module> | undefined;

function probeModule(): Promise<WebAssembly.Module> {
  return probe ??= compile(PROBE).then((wasm) => new WebAssembly.Module(wasm));
}

/** Everything that an end-to-end test needs. */
async function setUp(options: Partial<BoardOptions> = {}) {
  const stack = new AsyncDisposableStack();
  const keys = options.key === undefined ? [] : [["probe", options.key] as const];
  const server = stack.use(
    await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, keys }),
  );
  const lines: string[] = [];
  const pins: string[] = [];
  const board = stack.use(
    new Board({
      application: await probeModule(),
      id: "probe",
      port: server.port,
      onLog: (line) => lines.push(line),
      onPin: (pin, level) => pins.push(`${pin}=${level}`),
      onPwm: (pin, duty, hz) => pins.push(`${pin}: ${duty} of 1023, ${hz} Hz`),
      ...options,
    }),
  );
  const device = await server.device("probe");
  assertEquals(await device.readline(), "start");
  return { board, device, lines, pins, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

async function ask(device: Device, ...command: (string | number)[]): Promise<number> {
  await device.write(JSON.stringify(command));
  return Number(await device.readline());
}

Deno.test("a board starts its application, and tells it of the link and of messages", async () => {
  await using it = await setUp();
  await it.device.write("[1,2]");
  assertEquals(await it.device.readline(), "echo €[1,2]");
  assertEquals(it.lines, ["start", "up"]);
  assert(it.board.connected);
  assertEquals(it.board.connects, 1);
});

Deno.test("a board speaks either dialect, and proves itself if it has a key", async () => {
  for (const options of [{ dialect: 1 }, { dialect: 2 }, { key: "7".repeat(64) }] as const) {
    await using it = await setUp(options);
    await it.device.write("[1,2]");
    assertEquals(await it.device.readline(), "echo €[1,2]");
  }
});

Deno.test("a pin is high until it is pulled down, or written", async () => {
  await using it = await setUp();
  assertEquals(await ask(it.device, "read", 0), 1);
  it.board.setPin(0, 0);
  assertEquals(await ask(it.device, "read", 0), 0);
  await it.device.write('["write",0,5]');
  assertEquals(await ask(it.device, "read", 0), 1);
  assertEquals(it.board.pin(0), 1);
});

Deno.test("a change of an output is reported once", async () => {
  await using it = await setUp();
  for (const level of [0, 0, 1, 1, 0]) await it.device.write(`["write",2,${level}]`);
  assertEquals(it.pins, ["2=0", "2=1", "2=0"]);
});

Deno.test("PWM is reported, with its duty if there is one, until the pin is written", async () => {
  await using it = await setUp();
  for (const [duty, hz] of [[512, 100], [-5, 1], [5000, 1000]]) {
    await it.device.write(`["pwm",2,${duty},${hz}]`);
    assertEquals(await ask(it.device, "read", 2), duty! > 511 ? 1 : 0);
  }
  await it.device.write('["write",2,1]'); // as its level is, but steady
  assertEquals(await ask(it.device, "read", 2), 1);
  assertEquals(it.pins, [
    "2: 512 of 1023, 100 Hz",
    "2: 0 of 1023, 1 Hz",
    "2: 1023 of 1023, 1000 Hz",
    "2=1",
  ]);
});

Deno.test("PWM with no such pin or frequency does nothing", async () => {
  await using it = await setUp();
  for (const [pin, hz] of [[2, 0], [2, 1001], [2, -1], [6, 100], [17, 100], [-1, 100]]) {
    await it.device.write(`["pwm",${pin},1,${hz}]`);
  }
  assertEquals(await ask(it.device, "read", 2), 1); // still an input
  assertEquals(it.pins, []);
});

Deno.test("a pin that the board does not have is not written and reads as 0", async () => {
  await using it = await setUp();
  for (const pin of [-1, 6, 11, 17, 2 ** 31 - 1]) {
    await it.device.write(`["write",${pin},1]`);
    assertEquals(await ask(it.device, "read", pin), 0);
    assertThrows(() => it.board.setPin(pin, 1), LocalError, `no pin ${pin}`);
  }
  assertEquals(it.pins, []);
});

Deno.test("the analogue input has ten bits", async () => {
  await using it = await setUp();
  for (const [analogue, read] of [[0, 0], [512.9, 512], [5000, 1023], [-1, 0]] as const) {
    it.board.analogue = analogue;
    assertEquals(await ask(it.device, "adc"), read);
  }
});

Deno.test("memory, time and random numbers work", async () => {
  await using it = await setUp();
  assert(await ask(it.device, "free") > 0);
  const before = await ask(it.device, "millis");
  await until(async () => await ask(it.device, "millis") > before, { what: "time to pass" });
  assert(await ask(it.device, "random") !== await ask(it.device, "random"));
});

Deno.test("a log line that lies outside the memory is dropped", async () => {
  await using it = await setUp();
  for (const [ptr, length] of [[-1, 1], [0, -1], [65530, 100], [2 ** 31 - 1, 2 ** 31 - 1]]) {
    await it.device.write(`["log",${ptr},${length}]`);
  }
  assertEquals(it.lines, ["start", "up"]);
});

Deno.test("onTick is called at the interval that the application asks for, until it cancels it", async () => {
  await using it = await setUp({ speed: 1000 });
  await it.device.write('["every",2000]');
  for (let i = 0; i < 3; i++) assertEquals(await it.device.readline(), "tick");
  await it.device.write('["every",0]');
  await it.device.write("last");
  while (await it.device.readline() === "tick"); // those on their way
  await it.device.write("again");
  assertEquals(await it.device.readline(), "echo €again");
});

Deno.test("an application that traps ends its board", async () => {
  await using it = await setUp();
  it.device.write('["trap"]').catch(() => {}); // never acknowledged: it was not processed
  await assertRejects(() => it.board.ended, WebAssembly.RuntimeError);
  assert(!it.board.connected);
});

Deno.test("an outage is reported once, however many attempts it takes to end it", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  await using proxy = await FaultProxy.start({ target: { port: server.port } });
  const lines: string[] = [];
  const states: boolean[] = [];
  await using board = new Board({
    application: await probeModule(),
    id: "probe",
    port: proxy.port,
    timeout: 200,
    onLog: (line) => lines.push(line),
    onState: (connected) => states.push(connected),
  });
  await until(() => board.connected, { what: "a link" });
  proxy.blackhole();
  await until(() => states.filter((connected) => !connected).length >= 3, { what: "attempts" });
  proxy.restore({ drop: true });
  await until(() => board.connected, { what: "a link again" });
  assertEquals(lines.filter((line) => line === "down").length, board.connects - 1);
  assertEquals(lines.filter((line) => line === "up").length, board.connects);
});

Deno.test("a board that is closed does nothing more", async () => {
  await using it = await setUp({ speed: 1000 });
  await it.device.write('["every",1000]');
  await it.device.readline();
  await it.board.close();
  await it.board.ended;
  await it.board.close();
  assert(!it.board.connected);
});

Deno.test("bytes that are not an application, or that ask for too much, are refused", async () => {
  const options = { id: "1", port: 1 };
  const empty = new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
  const refused = (changed: Partial<BoardOptions>, why: string) => {
    const all = { application: empty, ...options, ...changed };
    assertThrows(() => void new Board(all), LocalError, why);
  };
  refused({}, "does not export `memory`");
  const flying = await compile(`
    export * from "../assembly/core";
    // @ts-ignore: decorator
    @external("board", "fly")
    declare function fly(): void;
    export function onStart(): void {
      fly();
    }
  `);
  refused({ application: new WebAssembly.Module(flying) }, "imports `board.fly`");
  refused({ application: await probeModule(), speed: 0 }, "speed must be above 0");
  refused({ application: await probeModule(), id: "" }, "a name must have at least one character");
  refused({ application: await probeModule(), port: 0 }, "port must be");
});
