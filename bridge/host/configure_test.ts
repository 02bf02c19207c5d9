/** Boards whose application says who they are, keeps memory over resets, and takes messages when it likes. */
import { assert, assertEquals } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { compile } from "../../tests/support/compile.ts";
import { until } from "../../tests/support/wait.ts";
import { Board, type BoardOptions, type Fields, I2c, Kept, readFields, Wifi } from "./mod.ts";

/**
 * An application that finds its settings in its kept memory: at 0 the number of its starts, at 4 the length
 * of the settings in bytes, from 8 on the settings, a list of fields.
 */
const PROBE = `
  export * from "../assembly/core";
  import {
    begin, bytes, configure, every, i2c_begin, i2c_read, i2c_write, keep, kept, number, QOS, restart,
    send, show, text, wifi,
  } from "../assembly/app";

  const at: usize = memory.data(384, 4);
  let accepted = -1;
  let held = 0;
  let offers = 0;

  function say(what: string, value: i32): void {
    begin(60);
    text(what);
    number(value);
    show();
  }

  export function onStart(): void {
    kept(0, at, 384);
    if (accepted < 0) {
      store<i32>(at, load<i32>(at) + 1);
      say("start ", load<i32>(at));
      say("keep ", keep(0, at, 4));
      say("keep ", keep(384, at, 4) + keep(-4, at, 4) + keep(0, at + 1, 4) + keep(0, 0x7ffffffc, 4));
      say("bus ", i2c_read(18, at, 1));
      i2c_begin(0, 2, 100000);
      say("bus ", i2c_write(18, at, 1));
      say("bus ", i2c_write(18, at, 0));
      i2c_begin(0, 6, 100000);
      say("bus ", i2c_write(18, at, 1));
      say("wifi ", wifi());
      accepted = configure(at + 8, load<i32>(at + 4));
      say("accepted ", accepted);
    } else {
      say("configured ", 1);
      every(10);
    }
  }

  export function onTick(): void {
    if (held) held--;
  }

  export function canReceive(): i32 {
    return held ? 0 : 1;
  }

  export function onMessage(ptr: usize, length: i32): i32 {
    if (load<u8>(ptr) == 0x72) restart();
    if (++offers & 1) {
      held = 5;
      return 0;
    }
    begin(length + 8);
    text("echo ");
    bytes(ptr, length);
    send(QOS);
    return 1;
  }
`;

const module = (() => {
  let made: Promise<WebAssembly.Module> | undefined;
  return () => made ??= compile(PROBE).then((wasm) => new WebAssembly.Module(wasm));
})();

function field(tag: number, value: string | number[]): number[] {
  const bytes = typeof value === "string" ? [...new TextEncoder().encode(value)] : value;
  return [tag, bytes.length, ...bytes];
}

function memory(fields: number[]): Kept {
  const kept = new Kept();
  kept.bytes.set([0, 0, 0, 0, fields.length, 0, 0, 0, ...fields]);
  return kept;
}

async function start(fields: number[], options: Partial<BoardOptions> = {}) {
  const lines: string[] = [];
  const board = new Board({
    application: await module(),
    kept: memory(fields),
    onLog: (line) => lines.push(line),
    ...options,
  });
  return { board, lines, [Symbol.asyncDispose]: () => board.close() };
}

const here = (port: number) => [
  ...field(5, "probe"),
  ...field(3, "127.0.0.1"),
  ...field(4, [port & 255, port >> 8]),
];

Deno.test("an application that configures itself has the id and server that it gives", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const said: unknown[] = [];
  const fields = [...here(server.port), ...field(1, "net"), ...field(10, [198, 0])];
  await using it = await start(fields, { onConfigure: (fields) => said.push(fields) });
  const device = await server.device("probe");
  assertEquals(said, [{
    id: "probe",
    host: "127.0.0.1",
    port: server.port,
    ssid: "net",
    line: 198,
  }]);
  await device.write("x");
  assertEquals(await device.readline(), "echo x");
  assertEquals(it.lines.filter((line) => /^(accepted|configured)/.test(line)), [
    "accepted 1",
    "configured 1",
  ]);
});

Deno.test("if an application gives two addresses of its server, the board connects to the one that answers", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const said: Partial<Fields>[] = [];
  const ip = [10, 0, 0, 5, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  const two = [...field(3, "127.0.0.7"), ...field(11, "127.0.0.1"), ...field(12, ip)];
  const fields = [...field(5, "probe"), ...field(4, [server.port & 255, server.port >> 8]), ...two];
  await using _ = await start(fields, { onConfigure: (fields) => said.push(fields) });
  assertEquals((await server.device("probe")).id, "probe");
  assertEquals(said.map(({ host }) => host), [["127.0.0.7", "127.0.0.1"]]);
});

Deno.test("options missing in a configuration are taken from the settings", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  await using it = await start(field(5, "other"), {
    id: "stored",
    host: "127.0.0.1",
    port: server.port,
  });
  await server.device("other");
  assert(it.board.connected);
});

Deno.test("without a valid configuration there is no link", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  for (const fields of [[], field(5, "no server"), [5, 9, 1], [...here(1), ...field(4, [1, 0])]]) {
    await using it = await start(fields);
    assert(it.lines.includes("accepted 0"), `${fields}: ${it.lines}`);
  }
  // Nor with complete stored settings: the application decides when to connect.
  await using it = await start(field(4, [0, 0]), {
    id: "stored",
    host: "127.0.0.1",
    port: server.port,
  });
  assert(it.lines.includes("accepted 0"));
  await using proof = await start(here(server.port)); // started later: when it is connected, the first one would be, too
  await server.device("probe");
  assert(proof.board.connected);
  assert(!it.board.connected);
});

Deno.test("a message that the application does not take is not acknowledged, and comes again", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  await using _ = await start(here(server.port));
  const device = await server.device("probe");
  const texts = ["one", "two", "three"];
  const written = Promise.all(texts.map((text) => device.write(text)));
  for (const text of texts) assertEquals(await device.readline(), `echo ${text}`);
  await written;
});

Deno.test("kept memory outlives the board, and I2C without devices fails as documented", async () => {
  const kept = memory([]);
  for (const times of [1, 2, 3]) {
    await using it = await start([], { kept });
    assertEquals(it.lines.slice(0, -2), [
      `start ${times}`,
      "keep 1",
      "keep 0",
      `bus ${I2c.bad}`,
      `bus ${I2c.noDevice}`,
      `bus ${I2c.bad}`,
      `bus ${I2c.bad}`,
    ]);
    assertEquals(it.lines.at(-2), `wifi ${Wifi.up}`);
  }
});

Deno.test("a board ends when its application restarts it, and its position is kept for the next", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const kept = memory(here(server.port));
  await using it = await start([], { kept });
  const device = await server.device("probe");
  await device.write("first");
  assertEquals(await device.readline(), "echo first");
  const written = device.write("restart"); // not taken, so it comes to the next one
  await it.board.ended;
  assertEquals(kept.position?.next, 1);
  await until(() => !device.connected, { what: "the board to be gone" });
  await using again = await start([], { kept });
  await again.board.ended;
  await it.board.close();
  written.catch(() => {}); // it still waits when the server closes
});

Deno.test("fields that are malformed or out of range are ignored", () => {
  const good = [...here(8123), ...field(6, Array(32).fill(7)), ...field(2, ""), ...field(9, [1])];
  assertEquals(readFields(new Uint8Array(good)), {
    id: "probe",
    host: "127.0.0.1",
    port: 8123,
    key: new Uint8Array(32).fill(7),
    password: "",
  });
  assertEquals(readFields(new Uint8Array([77, 2, 1, 2])), {}); // an unknown one is ignored
  // The stored settings may have the key, or the dialect: whether they go together is checked later.
  const both = [...field(6, Array(32).fill(7)), ...field(8, [1]), ...field(10, [0, 2])];
  assertEquals(readFields(new Uint8Array(both)), {
    key: new Uint8Array(32).fill(7),
    dialect: 1,
    line: 512,
  });
  const bad = [
    [5],
    [5, 3, 65],
    field(5, ""),
    field(5, "x".repeat(65)),
    field(5, "a\nb"),
    field(5, [0xff]),
    field(1, "x".repeat(33)),
    field(2, "short"),
    field(2, "x".repeat(65)),
    field(3, "a b"),
    field(4, [0, 0]),
    field(4, [1]),
    field(6, [1]),
    field(7, [99, 0, 0, 0]),
    field(7, [0, 0, 0, 255]),
    field(8, [0]),
    field(8, [3]),
    field(9, [2]),
    field(10, [120, 0]),
    field(10, [1, 2]),
    [...field(5, "a"), ...field(5, "a")],
  ];
  for (const bytes of bad) assertEquals(readFields(new Uint8Array(bytes)), undefined, `${bytes}`);
});
