/** `deno task firmware` as a command: what it builds, prints, and refuses. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { buildEmulator } from "../../bridge/esp8266/targets/emulator/build.ts";
import { measure, showMeasured } from "../../bridge/esp8266/measure.ts";
import { rewriteOperations } from "../../bridge/esp8266/operations.ts";
import { patchWasm3 } from "../../bridge/esp8266/wasm3_patches.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import { application, chipTest, chipTools, firmware } from "./support.ts";

const ROOT = new URL("../../", import.meta.url);

/** Runs a program of this project to its end. */
async function call(program: string, args: string[], env: Record<string, string> = {}) {
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "-A", new URL(program, ROOT).pathname, ...args],
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    out: decoder.decode(output.stdout),
    err: decoder.decode(output.stderr),
  };
}

async function inFolder<T>(fn: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

chipTest("the same sources give the same bytes, wherever they are built", async () => {
  await inFolder(async (folder) => {
    const [here, there] = [`${folder}/a`, `${folder}/some/where/else`];
    const one = await Deno.readFile(await buildEmulator(here, "1.2.3"));
    const other = await Deno.readFile(await buildEmulator(there, "1.2.3"));
    assert(one.length > 50_000);
    assertEquals(one, other);
  });
});

chipTest("firmware --json: the files are listed, and nothing else is printed", async () => {
  await inFolder(async (folder) => {
    const { code, out, err } = await call("bridge/esp8266/build.ts", [
      "--out",
      folder,
      "--app",
      "main",
      "--json",
    ]);
    assertEquals([code, err], [0, ""]);
    const { board, files, sizes } = JSON.parse(out);
    assertEquals(board, "emulator");
    assertEquals(Object.keys(files), ["firmware", "main"]);
    for (const file of Object.values(files)) assert(Deno.statSync(file as string).size > 4000);
    assert(sizes["code in flash"] > 30_000);
  });
});

Deno.test("firmware: wrong arguments, and help", async () => {
  const help = await call("bridge/esp8266/build.ts", ["--help"]);
  assertEquals(help.code, 0);
  assertStringIncludes(help.out, "--board NAME");
  const wrong: [args: string[], said: string][] = [
    [["--board", "arduino"], '--board must be one of emulator, nonos, not "arduino"'],
    [["--board", "nonos"], "needs --sdk"],
    [["--flavour", "plum"], "--flavour must be one of"],
    [["--flash-mode", "fast"], '--flash-mode must be one of qio, qout, dio, dout, not "fast"'],
    [["--flash-mode", "dio"], "--flash-mode needs --board nonos"],
    [["--fast"], "--fast"],
    [["--aot", "main", "--aot", "qos"], "one application into the firmware, not 2"],
    [["--aot", "main", "--app", "qos"], "into the firmware: leave out --app"],
    [["--aot", "main", "--flavour", "pyboard"], "--flavour pyboard has its own"],
  ];
  for (const [args, said] of wrong) {
    const { code, err } = await call("bridge/esp8266/build.ts", args);
    assertEquals(code, 2, err);
    assertStringIncludes(err, said);
  }
});

Deno.test("run.ts: wrong arguments are reported before a chip is started", async () => {
  await inFolder(async (folder) => {
    const app = `${folder}/app.wasm`;
    await Deno.writeFile(app, Uint8Array.of(0));
    const chip = [app, "--id", "1", "--firmware", app];
    const cases: [string[], string][] = [
      [[], "name one application"],
      [[app], "give the device an --id"],
      [[...chip, "--port", "x"], '--port takes a number, not "x"'],
      [[...chip, "--port", "99999"], "port: must be 1 to 65535"],
      [[...chip, "--port", "1.5"], "port: must be 1 to 65535"],
      [[...chip, "--dialect", "3"], '--dialect takes 1 or 2, not "3"'],
      [[...chip, "--key", "12"], 'the key of "1" must be 64 hex digits'],
      [[...chip, "--key", "12", "--key-file", "x"], "only one of --key and --key-file"],
      [[...chip, "--key-file", `${folder}/none`], "none cannot be read"],
      [[app, "--id", "1", "--firmware", `${folder}/none`], "run `deno task firmware`"],
      [[...chip, "--nonsense"], "--nonsense"],
    ];
    for (const [args, said] of cases) {
      const { code, err } = await call("bridge/esp8266/run.ts", args);
      assertEquals(code, 2, err);
      assertStringIncludes(err, said);
      assertStringIncludes(err, "--help");
    }
  });
});

chipTest("firmware: a missing tool or application is named, with the remedy", async () => {
  await inFolder(async (folder) => {
    const app = await call("bridge/esp8266/build.ts", ["--out", folder, "--app", "nonsense"]);
    assertEquals(app.code, 1);
    assertStringIncludes(app.err, "deno task build");
    const tool = await call("bridge/esp8266/build.ts", ["--out", folder], { PATH: "/nowhere" });
    assertEquals(tool.code, 1, tool.err);
    assertStringIncludes(tool.err, "apt-get install gcc-xtensa-lx106");
    const aot = ["--out", folder, "--aot", "main"];
    const wabt = await call("bridge/esp8266/build.ts", aot, { PATH: "/nowhere" });
    assertEquals(wabt.code, 1, wabt.err);
    assertStringIncludes(wabt.err, "wasm2c is missing: apt-get install wabt");
    const sources = await call("bridge/esp8266/build.ts", ["--out", folder], {
      PATH: "/nowhere",
      XDG_CACHE_HOME: folder,
    });
    assertEquals(sources.code, 1);
    assertStringIncludes(sources.err, "npm is not installed");
  });
});

toolTest(
  "firmware --aot: a module that is not an application is refused",
  { ...chipTools, wasm2c: "wabt" },
  async () => {
    await inFolder(async (folder) => {
      const file = `${folder}/empty.wasm`;
      await Deno.writeFile(file, Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
      const { code, err } = await call("bridge/esp8266/build.ts", ["--out", folder, "--aot", file]);
      assertEquals(code, 1);
      assertStringIncludes(
        err,
        "empty is not an application: it does not export memory, registers, poll",
      );
      await Deno.writeFile(file, new TextEncoder().encode("text"));
      const text = await call("bridge/esp8266/build.ts", ["--out", folder, "--aot", file]);
      assertEquals(text.code, 1);
      assertStringIncludes(text.err, "wasm2c");
    });
  },
);

chipTest("firmware: an interpreter other than the reviewed one is refused", async () => {
  await inFolder(async (cache) => {
    const name = "react-native-webassembly-0.3.3";
    const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME")}/.cache`;
    await firmware(); // it is built already
    const from = `${home}/holdfast/${name}/package/cpp`;
    const to = `${cache}/holdfast/${name}/package/cpp`;
    await Deno.mkdir(to, { recursive: true });
    for (const { name } of Deno.readDirSync(from)) {
      Deno.copyFileSync(`${from}/${name}`, `${to}/${name}`);
    }
    await Deno.writeTextFile(`${to}/m3_env.c`, "\n", { append: true });
    const { code, err } = await call("bridge/esp8266/build.ts", ["--out", `${cache}/out`], {
      XDG_CACHE_HOME: cache,
    });
    assertEquals(code, 1);
    assertStringIncludes(err, "does not contain the sources of");
  });
});

Deno.test("a change to the interpreter whose place is gone is an error", () => {
  let said = "";
  try {
    patchWasm3(new Map([["m3_core.h", "something else"]]));
  } catch (error) {
    said = (error as Error).message;
  }
  assertStringIncludes(said, "a patch does not fit m3_core.h, which has this 0 times, not 1");
});

Deno.test("operations: a final call becomes a jump, and an unused frame is left out", () => {
  const assembly = `	.section	.text.op_Add,"ax",@progbits
op_Add:
	l32i.n	a8, a2, 0
	addi	sp, sp, -16
	s32i.n	a0, sp, 12
	beqz.n	a8, .L2
	callx0	a8
	j	.L1
.L2:
	movi.n	a2, 0
.L1:
	l32i.n	a0, sp, 12
	addi	sp, sp, 16
	ret.n
	.size	op_Add, .-op_Add
	.section	.text.other,"ax",@progbits
other:
	callx0	a8
	ret.n`;
  const rewritten = rewriteOperations(assembly);
  assertStringIncludes(
    rewritten,
    `op_Add:
	l32i.n	a8, a2, 0
	beqz.n	a8, .L2
	jx	a8
	j	.L1
.L2:
	movi.n	a2, 0
.L1:
	ret.n
`,
  );
  assertStringIncludes(rewritten, "other:\n\tcallx0\ta8\n\tret.n"); // not an operation: unchanged
  assert(rewritten.startsWith('\t.section\t.text.m3_operations,"ax",@progbits'));
});

Deno.test("operations: a used frame stays, and is popped before the jump", () => {
  const rewritten = rewriteOperations(`op_Call:
	addi	sp, sp, -32
	s32i.n	a0, sp, 28
	s32i.n	a12, sp, 24
	call0	m3_Yield
	l32i.n	a12, a2, 0
	callx0	a12
	l32i.n	a0, sp, 28
	l32i.n	a12, sp, 24
	addi	sp, sp, 32
	ret.n
	.size	op_Call, .-op_Call`);
  assertStringIncludes(
    rewritten,
    `	mov.n	a8, a12
	l32i.n	a0, sp, 28
	l32i.n	a12, sp, 24
	addi	sp, sp, 32
	jx	a8
`,
  );
});

/** Rewrites the instructions of an operation. */
function rewrite(...instructions: string[]): string[] {
  const lines = instructions.map((one) => /^\.L/.test(one) ? one : `\t${one.replace(" ", "\t")}`);
  const all = rewriteOperations(["op_X:", ...lines, "\t.size\top_X, .-op_X"].join("\n"));
  return all.split("\n").slice(5, -1).map((line) => line.trim().replace("\t", " "));
}

Deno.test("operations: an offset is moved into the load, unless something else needs the sum", () => {
  assertEquals(
    rewrite("addi.n a6, a2, 2", "addx4 a5, a5, a3", "l16ui a6, a6, 0"),
    ["addx4 a5, a5, a3", "l16ui a6, a2, 2"],
  );
  assertEquals(rewrite("addi.n a5, a5, 12", "l8ui a5, a5, 0"), ["l8ui a5, a5, 12"]);
  for (
    const kept of [
      ["addi.n a6, a2, 2", "s32i.n a6, a3, 0", "l16ui a6, a6, 0"], // used
      ["addi.n a6, a2, 2", "addi.n a2, a2, 4", "l16ui a6, a6, 0"], // the register has changed by then
      ["addi.n a6, a2, 2", ".L3:", "l16ui a6, a6, 0"], // a jump target in between
      ["addi.n a6, a2, 2", "bltu a6, a5, .L3", "l16ui a6, a6, 0"],
      ["addi.n a6, a2, 2", "beqz.n a5, .L3", "l16ui a6, a6, 0"],
      ["addi.n a6, a2, 2", "l16ui a7, a6, 0"], // a6 may be used later
      ["addi.n a6, a2, -2", "l16ui a6, a6, 0"], // loads have no negative offset
    ]
  ) assertEquals(rewrite(...kept), kept);
});

Deno.test("operations: the load extends the sign, unless something else needs the half word", () => {
  const extend = (to: string, from: string) => `slli ${to}, ${from}, 16 ; srai\t${to}, ${to}, 16`;
  assertEquals(
    rewrite("l16ui a7, a2, 0", extend("a6", "a7"), "l32i.n a7, a6, 0"),
    ["l16si a6, a2, 0", "l32i.n a7, a6, 0"],
  );
  assertEquals(
    rewrite("addi.n a6, a2, 2", "l16ui a6, a6, 0", extend("a6", "a6"), "add.n a6, a4, a6"),
    ["l16si a6, a2, 2", "add.n a6, a4, a6"],
  );
  for (
    const kept of [
      ["l16ui a7, a2, 0", extend("a6", "a7"), "add.n a7, a7, a6"], // used
      ["l16ui a7, a2, 0", extend("a6", "a7"), "l32i.n a7, a7, 0"],
      ["l16ui a7, a2, 0", extend("a6", "a7"), "jx a6"], // may be used after it
      ["l16ui a7, a2, 0", "mov.n a5, a7", extend("a6", "a7"), "movi.n a7, 0"],
      ["l16ui a7, a2, 0", "mov.n a5, a6", extend("a6", "a7"), "movi.n a7, 0"], // the old a6
      ["l16ui a7, a2, 0", ".L3:", extend("a7", "a7")],
    ]
  ) assertEquals(rewrite(...kept), kept);
});

toolTest(
  "measured: a message costs at most 14 times as much as in the fastest compiled code, or 3 times ahead of time",
  { ...chipTools, wasm2c: "wabt" },
  async () => {
    await inFolder(async (folder) => {
      const results = await measure(folder);
      console.log(showMeasured(results));
      const [wasm3, wasm2c, ...native] = results;
      assertEquals(native.map(({ way }) => way), ["native", "native -O2"]);
      for (const { incoming, outgoing } of native) {
        assert(wasm3!.incoming <= 14 * incoming && wasm3!.outgoing <= 14 * outgoing);
        assert(wasm2c!.incoming <= 3 * incoming && wasm2c!.outgoing <= 3 * outgoing);
      }
      assert(wasm3!.heap <= 16 * 1024);
    });
  },
);

toolTest(
  "firmware --aot: one application, in the firmware; run.ts runs it",
  { ...chipTools, wasm2c: "wabt" },
  async () => {
    await inFolder(async (folder) => {
      const file = `${folder}/odd "name".wasm`;
      await Deno.writeFile(file, application("remote_rx").wasm);
      const { code, out, err } = await call("bridge/esp8266/build.ts", [
        ...["--out", folder, "--aot", file, "--json"],
      ]);
      assertEquals([code, err], [0, ""]);
      const { aot, files, sizes } = JSON.parse(out);
      assertEquals([aot, Object.keys(files)], [true, ["firmware"]]);
      assert(sizes["code in flash"] > 20_000);

      const run = ["run", "-q", "-A", new URL("bridge/esp8266/run.ts", ROOT).pathname, "--aot"];
      const child = new Deno.Command(Deno.execPath(), {
        args: [...run, "--id", "rx", "--port", "1", "--firmware", files.firmware],
        env: { NO_COLOR: "1" },
        stdin: "null",
        stdout: "piped",
      }).spawn();
      let shown = "";
      try {
        for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
          shown += text;
          if (shown.includes("pin 2: 1")) break;
        }
      } finally {
        child.kill("SIGTERM");
        await child.status;
      }
      assertStringIncludes(shown, 'holdfast: application name=odd%20"name" in=firmware');
      const both = await call("bridge/esp8266/run.ts", ["main", "--aot", "--id", "rx"]);
      assertEquals(both.code, 2);
      assertStringIncludes(both.err, "do not name one");
    });
  },
);

chipTest(
  "run.ts: an application in a terminal, controlled from stdin, until it is interrupted",
  async () => {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("bridge/esp8266/run.ts", ROOT).pathname,
        "remote_rx",
        "--id",
        "rx",
        "--port",
        "1",
        "--firmware",
        await firmware(),
      ],
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let shown = "";
    const collect = async (stream: ReadableStream<BufferSource>) => {
      for await (const text of stream.pipeThrough(new TextDecoderStream())) shown += text;
    };
    const collecting = Promise.all([collect(child.stdout), collect(child.stderr)]);
    const saw = (text: string) =>
      until(() => shown.includes(text), { what: () => `${text}, in ${shown}` });
    const writer = child.stdin.getWriter();
    const type = (line: string) => writer.write(new TextEncoder().encode(`${line}\n`));
    try {
      await saw("holdfast: application name=remote_rx");
      await saw("pin 2: 1");
      await type("reset");
      await saw("reset=external");
      await type("nonsense");
      await saw("unknown input: nonsense");
    } finally {
      child.kill("SIGTERM");
      await Promise.all([writer.close(), collecting]);
    }
    assertEquals((await child.status).code, 0);
  },
);
