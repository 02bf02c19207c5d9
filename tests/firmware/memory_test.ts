/** The firmware's use of memory against the budgets, and that it reads flash only in whole words. */
import { assert, assertEquals } from "@std/assert";
import { BUDGET, heapLeft } from "../../bridge/esp8266/targets/nonos/build.ts";
import { buildEmulator } from "../../bridge/esp8266/targets/emulator/build.ts";
import { Command, encodeCommand } from "../../bridge/formats/improv.ts";
import { Emulator } from "../../bridge/esp8266/emulator/emulator.ts";
import { Server } from "../../server/mod.ts";
import { compile } from "../support/compile.ts";
import { toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";
import {
  application,
  chipTools,
  connects,
  firmware,
  isUp,
  line,
  plugIn,
  plugInBehindProxy,
} from "./support.ts";
import { Watch } from "./watched.ts";

const TIMEOUT = 2000;
const SPEED = 20;
/** Bytes. */
const LIMIT = { heap: 16 * 1024, stack: 3 * 1024 };
/** An application with five channels that uses everything: reports, settings, requests both ways, events. */
const FIVE_CHANNELS = `
  export * from "../assembly/core";
  export { canReceive } from "../assembly/app";
  import {
    adc_read, answer, answered, ask, debounce, done, every, gpio_read, gpio_write, hear, hello, integer, is, millis,
    number, on, pending, QOS, refuse, send, tell, tellAt, text,
  } from "../assembly/app";

  const HEATER = 5, FAN = 12, LOCK = 13, BUTTON = 4;

  let target = 500, fan = 0, unlocked = 0, button = 0, told = 0, day = 0, ticks = 0;

  export function onStart(): void {
    hello("@room 2");
    every(20);
  }

  export function onTick(): void {
    if (unlocked && !--unlocked) gpio_write(LOCK, 0);
    button = debounce(button, gpio_read(BUTTON));
    if (told != (button & 1)) {
      tell("!button");
      text(button & 1 ? "down" : "up");
      if (send(QOS)) told = button & 1;
    }
    if (ticks++ % 50 || pending() > 3) return;
    const temp = adc_read();
    gpio_write(HEATER, i32(temp < target));
    tellAt("=temp", millis());
    number(temp);
    send(QOS);
    if (!day) {
      ask("?day");
      send(QOS);
    }
  }

  export function onMessage(ptr: usize, length: i32): bool {
    if (!hear(ptr, length)) return true;
    if (on("=target")) {
      const wanted = integer(-1);
      if (wanted >= 0) {
        target = wanted;
        answer();
        number(target);
      }
    } else if (on("=fan")) {
      const wanted = integer(-1);
      if (wanted == 0 || wanted == 1) {
        gpio_write(FAN, fan = wanted);
        answer();
        number(fan);
      }
    } else if (on("?fan")) {
      answer();
      number(fan);
    } else if (on("?door") && is("open")) {
      if (unlocked) refuse("busy");
      else {
        gpio_write(LOCK, 1);
        unlocked = 150;
        answer();
        text("open");
      }
    } else if (answered(":day")) day = integer(0);
    return done();
  }`;

const tools = { ...chipTools, gcc: "gcc", "xtensa-lx106-elf-nm": "binutils-xtensa-lx106" };

async function inFolder<T>(fn: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir();
  try {
    return await fn(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs an application through everything that a chip does, watched by the plugin; returns its report on memory. */
async function observe(
  { name, wasm }: ReturnType<typeof application>,
  gcc: string,
  folder: string,
  aot = false,
): Promise<Map<string, number>> {
  const key = crypto.getRandomValues(new Uint8Array(32));
  let got = 0;
  await using server = await Server.listen({
    port: 0,
    hostname: "127.0.0.1",
    timeout: TIMEOUT,
    keys: [["chip", key]],
    app: async (device) => {
      for await (const _ of device) {
        got++;
        // The longest text that a chip takes, and a burst. Applications with channels answer.
        for (const text of ["x".repeat(512), "[1]", "y".repeat(100), "=none.1 1"]) {
          device.write(text, { wait: false }).catch(() => {});
        }
      }
    },
  });
  const elf = await firmware(["-DMEASURE"], aot ? { name, wasm } : undefined);
  const watch = await Watch.prepare(gcc, folder, elf);
  await using chip = await plugInBehindProxy({
    firmware: elf,
    ...(aot ? {} : { application: { name, wasm } }),
    id: "chip",
    port: server.port,
    speed: SPEED,
    settings: { timeout: TIMEOUT * SPEED, key, suite: 4, log: true }, // which takes the most stack
    arguments: watch.arguments,
  });
  const { board } = chip;
  let level = 0;
  const messages = (least: number) =>
    until(() => {
      board.setPin(0, level ^= 1); // remote_tx sends nothing else
      return isUp(board) && got >= least;
    }, { what: () => `message ${least} of ${name}:\n${board.lines.slice(-5).join("\n")}` });
  const some = name === "remote_rx" ? 1 : 3; // it sends once for each link
  await messages(some);
  const before = got;
  await chip.outage();
  board.type(crypto.getRandomValues(new Uint8Array(300)));
  // Settings are read, and changed to refused values, so that the chip is not restarted.
  board.type(encodeCommand(Command.get));
  board.type(encodeCommand(Command.set, Uint8Array.of(4, 2, 0, 0)));
  await messages(before + some);
  assert(connects(board) >= 2);
  const from = board.lines.length;
  board.measure();
  await line(board, "memory c-stack=", from);
  const { loads, stores, illegal, where } = watch.counters;
  assert(loads > 10_000, `only ${loads} loads were seen`);
  assert(stores > 1_000, `only ${stores} stores to memory for words were seen`);
  assertEquals(illegal, 0, `${illegal} accesses that the chip cannot do, the last ${where}`);
  const rows = board.lines.slice(from).map((l) => l.match(/memory (\S+)=(\d+)$/)).filter((m) =>
    m !== null
  );
  return new Map(rows.map(([, what, bytes]) => [what!, Number(bytes)]));
}

toolTest(
  "memory: applications stay within 16 KB of heap and 3 KB of stack, and read flash in words",
  tools,
  async ({ gcc }) => {
    const plain = ["main", "qos", "qos_fast", "remote_tx", "remote_rx"];
    const applications = [
      ...[...plain, "thermostat", "door", "logger"].map(application),
      { name: "5 channels", wasm: await compile(FIVE_CHANNELS) },
    ];
    const names = applications.map(({ name }) => name);
    const tables: Map<string, number>[] = [];
    for (const it of applications) {
      tables.push(await inFolder((folder) => observe(it, gcc, folder)));
    }
    const rows = [...tables[0]!.keys()];
    const width = Math.max(...rows.map((row) => row.length));
    const shown = rows.map((row) =>
      row.padEnd(width) + tables.map((table) => String(table.get(row)).padStart(11)).join("")
    );
    console.log(
      `bytes${" ".repeat(width - 5)}${names.map((n) => n.padStart(11)).join("")}\n${
        shown.join("\n")
      }`,
    );
    const left = tables.map((table) => heapLeft(BUDGET.dramLeft, table.get("given")!));
    console.log(
      `the chip's heap, left ${left.map((bytes) => String(bytes).padStart(11)).join("")}`,
    );
    for (const [at, table] of tables.entries()) assertWithin(names[at]!, table, LIMIT);
    assert(left[names.indexOf("main")]! >= 30 * 1024, `${left} bytes of heap are left`);
  },
);

toolTest(
  "memory: an application ahead of time takes a third of that, and reads flash in words",
  { ...tools, wasm2c: "wabt" },
  async ({ gcc }) => {
    const table = await inFolder((folder) => observe(application("main"), gcc, folder, true));
    console.log([...table].map(([what, bytes]) => `${what} ${bytes}`).join("\n"));
    assertWithin("main", table, { ...LIMIT, heap: LIMIT.heap / 3 });
  },
);

function assertWithin(
  name: string,
  table: Map<string, number>,
  { heap, stack }: typeof LIMIT,
): void {
  const within = (what: string, most: number) => {
    const bytes = table.get(what)!;
    assert(bytes <= most, `${name}: ${what} takes ${bytes} bytes of ${most}`);
  };
  within("used", heap);
  assertEquals(table.get("given"), table.get("used"), `${name}: only used memory is given`);
  within("c-stack-start", stack);
  within("c-stack", stack);
  within("refused", 0); // no memory was requested after the start
}

toolTest("memory: a firmware that reads bytes from flash is detected", tools, async ({ gcc }) => {
  await inFolder(async (folder) => {
    await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
    const elf = await firmware(["-mno-force-l32"]);
    const watch = await Watch.prepare(gcc, folder, elf);
    await using chip = await plugInBehindProxy({
      firmware: elf,
      application: application("main"),
      id: "chip",
      port: server.port,
      arguments: watch.arguments,
    });
    await line(chip.board, "holdfast: settings id=");
    assert(watch.counters.illegal > 0);
  });
});

toolTest(
  "memory: a byte stored to memory for words is detected",
  tools,
  async ({ gcc }) => {
    await inFolder(async (folder) => {
      for (const type of ["uint32_t", "uint8_t"]) {
        const text = `
        #include "port.h"
        #include "words.h"
        static uint32_t word IN_WORDS;
        void program(void) {
          *(volatile ${type} *)&word = 1;
          port_restart();
        }`;
        const elf = await buildEmulator(`${folder}/${type}`, "0", {
          defines: ["-DEMULATOR_PROGRAM"],
          more: [{ name: "program.c", text }],
        });
        const watch = await Watch.prepare(gcc, folder, elf, "program");
        await using chip = new Emulator({ firmware: elf, arguments: watch.arguments });
        await until(() => chip.boots > 1, { what: "the chip to start again" });
        assert(watch.counters.stores > 0);
        assertEquals(watch.counters.illegal > 0, type === "uint8_t", watch.counters.where);
      }
    });
  },
);

toolTest(
  "memory: blocks of the maximum depth fit into the start's stack, deeper ones are refused",
  tools,
  async () => {
    const elf = await firmware(["-DMEASURE"]);
    const inner: Record<string, (depth: number, body: string) => string> = {
      then: (depth, body) => `if (x != ${depth}) { ${body} x *= 3; } else { x += ${depth}; }`,
      other: (depth, body) => `if (x != ${depth}) { x *= 3; } else { ${body} x += ${depth}; }`,
      loop: (depth, body) => `while (x > ${depth}) { ${body} x += ${depth}; }`,
    };
    for (
      const [kind, [depth, refused]] of Object.entries({
        then: [16, 17],
        other: [16, 25],
        loop: [8, 9],
      })
    ) {
      for (const blocks of [depth!, refused!]) {
        let body = "x++;";
        for (let at = 0; at < blocks; at++) body = inner[kind]!(at, body);
        const wasm = await compile(
          `export * from "../assembly/core"; let x = 1;
           export function onTick(): i32 { ${body}; return x; }`,
        );
        await using board = await plugIn({
          port: 1,
          id: "1",
          firmware: elf,
          application: { name: "deep", wasm },
        });
        await line(
          board,
          `holdfast: application ${
            blocks === depth ? "name=deep" : "refused: blocks nested too deep"
          }`,
        );
        board.measure();
        const stack = await line(board, "memory c-stack-start=");
        const bytes = Number(stack.match(/=(\d+)/)![1]);
        // Of 6,144 on the chip, where interrupts take some of it, too.
        assert(bytes <= 5120, `${kind}, ${blocks} blocks: ${bytes} bytes of stack`);
      }
    }
  },
);

toolTest(
  "memory: with a nearly full or fragmented heap, an application loads or is refused with a reason",
  tools,
  async () => {
    await inFolder(async (folder) => {
      // With less and less memory in one piece. It never takes more than there is, nor more than it needs.
      const text = `
        #include "application.h"
        #include "arena.h"
        #include "console.h"
        #include "engine.h"
        #include "port.h"
        #include "target/events.h"
        static uint32_t needed(void) { return 2600; }
        static void say(const char *what) {
          console_begin(what);
          console_text(" spare=");
          console_number(memory_spare);
          console_text(" given=");
          console_number(arena_use().length);
          console_end();
        }
        void program(const uint8_t *wasm, size_t length) {
          const char *before = "";
          for (memory_spare = 20000; memory_spare; memory_spare -= 8) {
            if (memory_spare > 4096 && memory_spare % 424) continue; /* whatever comes first is short of memory below */
            port_feed_watchdog();
            const char *wrong = engine_load(wasm, length, application_imports, needed);
            if (wrong != before) say(wrong ? wrong : "loaded");
            before = wrong;
            if (arena_use().length > memory_spare) say("more than there is");
            if (!wrong && arena_use().length - arena_use().used > 7) say("more than it takes");
            if (wrong) arena_close();
          }
          say("done");
          port_restart();
        }`;
      const elf = await buildEmulator(folder, "0", {
        defines: ["-DEMULATOR_PROGRAM", "-I."],
        more: [{ name: "program.c", text }],
      });
      await using chip = new Emulator({ firmware: elf, application: application("main") });
      await line(chip, "done");
      const said = chip.lines.slice(0, 3).map((line) =>
        line.match(/holdfast: (.*) spare=(\d+) given=(\d+)/)!
      );
      assertEquals(said.map(([, what]) => what), [
        "loaded",
        "refused: too large for the memory",
        "done",
      ]);
      const [, , most, given] = said[0]!.map(Number), enough = Number(said[1]![2]) + 424;
      assert(most! > 19_500);
      assert(given! < enough && given! > enough - 424, `${given} bytes, and ${enough} were enough`);
    });
  },
);
