import { assert, assertEquals, assertThrows } from "@std/assert";
import { LocalError } from "./errors.ts";
import { randomTest } from "../../tests/support/random.ts";
import {
  checkModule,
  CORE_EXPORTS,
  DATA_END,
  importName,
  IMPORTS,
  MOST_DEPTH,
  needsOf,
} from "./module.ts";

const BUILD = new URL("../../client-as/build/", import.meta.url);
const FIRMWARE = new URL("../../bridge/esp8266/firmware/", import.meta.url);

/** The limit in these tests, in bytes; it is larger than the room in a slot. */
const MOST = 40_912;

const built = (name: string) => Deno.readFileSync(new URL(`${name}.wasm`, BUILD));

/** A section: its id, its length and its bytes. */
const section = (id: number, ...bytes: number[]) => [id, bytes.length, ...bytes];
const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const text = (words: string) => [words.length, ...new TextEncoder().encode(words)];

function refused(wasm: Uint8Array<ArrayBuffer>, why: string): void {
  assertThrows(() => checkModule(wasm, MOST), LocalError, why);
}

Deno.test("an application that the firmware can run is accepted, and its imports are listed", () => {
  for (const name of ["main", "qos", "qos_fast", "remote_rx", "remote_tx"]) {
    const wasm = built(name);
    const { size, imports } = checkModule(wasm, MOST);
    assertEquals(size, wasm.length);
    assert(imports.includes("host.hmac") && imports.includes("board.log"), imports.join(" "));
  }
});

Deno.test("the imports, exports and bounds are those of the firmware", async () => {
  const read = (name: string) => Deno.readTextFile(new URL(name, FIRMWARE));
  const table = (await read("application.c")).matchAll(
    /^ {2}\{ "(\w+)", "(\w+)", (\d), (true|false), \w+ \},$/gm,
  );
  const there = Array.from(table, ([, module, name, count, returns]) => [
    `${module}.${name}`,
    [+count!, +(returns === "true")],
  ]);
  // The order matters, because an import's position is its bit in a number of 32 bits.
  assertEquals(there, Object.entries(IMPORTS).map(([name, facts]) => [name, [...facts]]));
  assert(there.length <= 32);
  const engine = await read("engine_wasm3.c");
  assertEquals(
    engine.match(/engine_names\[.*?\] = \{([^}]*)\}/s)![1]!.match(/\w+/g)!.slice(0, 9),
    [...CORE_EXPORTS],
  );
  assertEquals(Number(engine.match(/#define FIRST_MEMORY (\d+)/)![1]), DATA_END);
  const config = await read("wasm3_config.h");
  assertEquals(Number(config.match(/#define m3_most_depth (\d+)/)![1]), MOST_DEPTH);
});

Deno.test("imports are encoded as the bits of a number", () => {
  assertEquals([needsOf([]), needsOf(["host.hmac"]), needsOf(["board.log", "board.woke"])], [
    ...[0, 1],
    2 ** 5 + 2 ** 19,
  ]);
  assertEquals([importName(0), importName(19), importName(99)], [
    "host.hmac",
    "board.woke",
    undefined,
  ]);
});

Deno.test("a file that is no module, of another version, damaged, cut off or too long is refused", () => {
  const main = built("main");
  refused(new Uint8Array(0), "it is not a WebAssembly module");
  refused(new TextEncoder().encode("<!DOCTYPE html>"), "it is not a WebAssembly module");
  refused(Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), "WebAssembly version 2");
  refused(main.slice(0, -1), "damaged or cut off");
  const damaged = main.slice();
  damaged[9]! ^= 0xff;
  refused(damaged, "damaged or cut off");
  const long = new Uint8Array([
    ...main,
    ...[0, 0xc4, 0xb8, 0x02, ...text("x")], // a custom section of 40,004 bytes
    ...new Uint8Array(40_002),
  ]);
  refused(long, `it has ${long.length} bytes, but the board has room for 40912`);
});

Deno.test("a module that is not an application is refused", () => {
  const why = "it is not an application for this firmware: it does not export registers";
  refused(new Uint8Array(header), why);
  // It exports the name, but not as a function.
  refused(
    new Uint8Array([
      ...header,
      ...section(5, 1, 0, 1),
      ...section(7, 1, ...text("registers"), 2, 0),
    ]),
    why,
  );
});

/** A module with all exports of the core, and one function with this body. */
function crafted(
  { imports = [], body = [], locals = [], data = [] }: {
    imports?: number[][];
    body?: number[];
    locals?: number[];
    data?: number[];
  },
): Uint8Array<ArrayBuffer> {
  const sized = (...bytes: number[]) => [...leb(bytes.length), ...bytes];
  const long = (id: number, ...bytes: number[]) => [id, ...sized(...bytes)];
  const own = imports.length; // the function's number
  const exported = CORE_EXPORTS.flatMap((name) => [...text(name), 0, own]);
  const code = sized(...(locals.length ? [1, 1, ...locals] : [0]), ...body, 0x0b);
  return new Uint8Array([
    ...header,
    ...section(1, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 0), // () and (i32)
    ...(own ? section(2, own, ...imports.flat()) : []),
    ...section(3, 1, 0),
    ...section(5, 1, 0, 1),
    ...long(7, CORE_EXPORTS.length + 1, ...text("memory"), 2, 0, ...exported),
    ...long(10, 1, ...code),
    ...(data.length ? section(11, 1, ...data) : []),
  ]);
}

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...leb(value >> 7)];
}

/** Loops nested this deep. */
const nested = (depth: number): number[] =>
  depth === 0 ? [] : [0x03, 0x40, ...nested(depth - 1), 0x0b];

const imported = (module: string, name: string, type: number, kind = 0) => [
  ...text(module),
  ...text(name),
  kind,
  type,
];

Deno.test("what the firmware does not have is named", () => {
  const fill = [0x41, 0, 0x41, 0, 0x41, 0, 0xfc, 0x0b, 0]; // memory.fill
  const cases: [module: Parameters<typeof crafted>[0], why: string | undefined][] = [
    [{}, undefined],
    [{ imports: [imported("board", "log", 1)] }, "it imports board.log with a different signature"],
    [{ imports: [imported("board", "restart", 0)] }, undefined],
    [
      { imports: [imported("board", "fly", 1)] },
      "it imports board.fly, which this firmware does not have",
    ],
    [{ imports: [imported("env", "abort", 0)] }, "it imports env.abort"],
    [{ locals: [0x7e] }, "it uses 64-bit whole numbers (i64)"],
    [{ locals: [0x7f], body: [0x41, 5, 0x21, 0, 0x02, 0x40, 0x0c, 0, 0x0b] }, undefined],
    [{ body: [0x43, 0, 0, 0, 0, 0x1a] }, "(0x43, for 64-bit or floating-point numbers)"],
    [{ body: [0x42, 0, 0x1a] }, "(0x42, for 64-bit"],
    [{ body: fill }, "(0xfc, a newer extension)"],
    [{ body: [0x41, 0, 0x0e, 1, 0, 0] }, undefined], // br_table
    [{ body: nested(16) }, undefined],
    [
      { body: nested(17) },
      "one of its functions nests more than 16 blocks (if, while, switch)",
    ],
    [{ body: Array(14_000).fill(0x01) }, "bytes of the board's memory, but there are only 24576"],
    [{ data: [0, 0x41, 0xfc, 0x0f, 0x0b, 4, 1, 2, 3, 4] }, undefined], // at 2,044
    [
      { data: [0, 0x41, 0xfd, 0x0f, 0x0b, 4, 1, 2, 3, 4] },
      "end at byte 2049, but at most 2048 is allowed",
    ],
    [{ data: [1, 4, 1, 2, 3, 4] }, "it places data at run time"],
  ];
  for (const [module, why] of cases) {
    const wasm = crafted(module);
    if (why === undefined) checkModule(wasm, MOST);
    else refused(wasm, why);
  }
});

randomTest(
  "whatever changes in a module: it is accepted, or refused with a reason",
  3000,
  (random) => {
    const changed = built("main");
    const most = random.pick([200, 600, changed.length]); // its tables come first
    for (let n = random.int(1, 3); n > 0; n--) {
      changed[random.int(8, most - 1)] = random.int(
        0,
        255,
      );
    }
    try {
      checkModule(changed, MOST);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
    }
  },
);
