import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { checkModule, LONGEST_MODULE } from "../server/protocol/module.ts";
import { compile } from "../tests/support/compile.ts";
import { embedded, inspect, overBudget } from "./build.ts";
import { CORE_WASM } from "./core_wasm.ts";

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const TYPES = [1, 4, 1, 0x60, 0, 0]; // one: () -> ()
const IMPORT = [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0]; // function e.f
const FUNCTION = [3, 2, 1, 0]; // one more
const START = [8, 1, 0];
const CODE = [10, 4, 1, 2, 0, 0x0b]; // empty

Deno.test("inspect finds imports, functions, code and a start section", () => {
  const wasm = new Uint8Array(
    [HEADER, TYPES, IMPORT, FUNCTION, START, CODE].flat(),
  );
  assertEquals(inspect(wasm), {
    fileBytes: wasm.length,
    codeBytes: 4,
    dataBytes: 0,
    functions: 1,
    imports: ["e.f"],
    startSections: 1,
  });
});

Deno.test("inspect refuses bytes that are not a module", () => {
  assertThrows(() => inspect(new Uint8Array([1, 2, 3])), WebAssembly.CompileError);
});

Deno.test("each figure over the core's budget is reported", () => {
  const facts = {
    fileBytes: 10,
    codeBytes: 5,
    dataBytes: 9999,
    functions: 99,
    imports: [],
    startSections: 0,
  };
  const budget = { fileBytes: 10, codeBytes: 5, imports: 0, startSections: 0 };
  assertEquals(overBudget(facts, budget), []);
  assertEquals(
    overBudget(
      { ...facts, fileBytes: 11, codeBytes: 6, imports: ["e.f"], startSections: 1 },
      budget,
    ),
    [
      "file bytes: 11, allowed 10",
      "code section bytes: 6, allowed 5",
      "imports (e.f): 1, allowed 0",
      "start sections: 1, allowed 0",
    ],
  );
});

/** Runs the command line in a folder, as `deno task` does. */
async function build(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "-A",
      "--no-check",
      new URL("./build.ts", import.meta.url).pathname,
      ...args,
    ],
    cwd: new URL("../", import.meta.url),
    env: { NO_COLOR: "1", INIT_CWD: folder },
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

Deno.test("a user's application, in any folder, becomes a .wasm beside it that the firmware can run", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const assembly = new URL("./assembly", import.meta.url).pathname;
    await Deno.mkdir(`${folder}/lamps`);
    await Deno.writeTextFile(
      `${folder}/lamps/lamp.ts`,
      `export * from "${"../".repeat(20)}..${assembly}/core";
       import { gpio_write } from "${"../".repeat(20)}..${assembly}/app";
       export function onMessage(ptr: usize, length: i32): void { gpio_write(2, length & 1); }`,
    );
    const { code, out, err } = await build(folder, "lamps/lamp.ts");
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, `built ${folder}/lamps/lamp.wasm`);
    const { imports } = checkModule(
      await Deno.readFile(`${folder}/lamps/lamp.wasm`),
      LONGEST_MODULE,
    );
    assertEquals(imports, ["host.hmac", "board.gpio_write"]);

    await Deno.writeTextFile(`${folder}/wrong.ts`, "export function onTick(): void { fly(); }");
    const wrong = await build(folder, "wrong.ts");
    assertEquals(wrong.code, 1);
    assertStringIncludes(wrong.err, "wrong.ts does not compile");
    assertStringIncludes(wrong.err, "Cannot find name 'fly'");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("build prints its help, and says which argument is wrong", async () => {
  const help = await build(".", "--help");
  assertEquals(help.code, 0);
  assert(help.out.includes("--force") && help.out.includes("my_app.wasm"), help.out);
  const wrong: [args: string[], why: string][] = [
    [["none.ts"], "/nowhere/none.ts does not exist"],
    [["main.wasm"], "an application must be a .ts file: main.wasm"],
    [["--fast"], "--fast"],
  ];
  for (const [args, why] of wrong) {
    const { code, out, err } = await build("/nowhere", ...args);
    assertEquals([code, out], [2, ""], args.join(" "));
    assertStringIncludes(err, why);
  }
});

/** An application with plain lines, and the same with every feature of channels. */
const PLAIN = `
  export * from "../assembly/core";
  import {
    begin, bytes, integer, is, millis, number, QOS, random, read, send, text, unsigned,
  } from "../assembly/app";
  export function onStart(): void { begin(20); text("@a 1"); send(QOS); }
  export function onTick(): void {
    begin(20); text("=a "); number(random()); send(QOS);
    begin(20); text("=a@"); unsigned(millis()); send(QOS);
  }
  export function onMessage(ptr: usize, length: i32): void {
    read(ptr, length);
    if (is("a")) { begin(20); number(integer(-1)); send(QOS); }
  }`;
const CHANNELS = `
  export * from "../assembly/core";
  export { canReceive } from "../assembly/app";
  import {
    answer, answered, ask, done, hear, hello, integer, is, millis, number, on, QOS, random, refuse, send, tell, tellAt,
  } from "../assembly/app";
  export function onStart(): void { hello("@a 1"); }
  export function onTick(): void {
    tell("=a"); number(random()); send(QOS);
    tellAt("=a", millis()); send(QOS);
    ask("?a"); send(QOS);
  }
  export function onMessage(ptr: usize, length: i32): bool {
    if (!hear(ptr, length)) return true;
    if (on("=a")) {
      if (is("a")) refuse("busy");
      else { answer(); number(integer(-1)); }
    } else if (answered(":a")) number(integer(-1));
    return done();
  }`;

Deno.test("all features of channels cost at most 600 bytes, and nothing if they are not used", async () => {
  const core = inspect(
    await compile(`export * from "../assembly/core"; import "../assembly/app";`),
  );
  assertEquals(overBudget(core), []);
  const plain = inspect(await compile(PLAIN));
  const channels = inspect(await compile(CHANNELS));
  const more = channels.fileBytes - plain.fileBytes;
  console.log(
    `channels: ${more} bytes more than plain lines, ${
      channels.fileBytes - core.fileBytes
    } more than the core alone`,
  );
  assert(more <= 600, `channels cost ${more} bytes`);
  assertEquals(channels.startSections, 0);
});

Deno.test("the module that programs import contains the core that was built", async () => {
  const core = await Deno.readFile(new URL("build/core.wasm", import.meta.url));
  assertEquals(CORE_WASM, core, "deno task build, and commit client-as/core_wasm.ts");
  const text = await Deno.readTextFile(new URL("core_wasm.ts", import.meta.url));
  assertEquals(text, embedded(core));
});
