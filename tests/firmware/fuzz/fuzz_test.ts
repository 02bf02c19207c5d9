/**
 * The firmware's byte paths under libFuzzer, for a bounded number of inputs that start from the vectors.
 * HOLDFAST_FUZZ_RUNS in the environment sets another number; HOLDFAST_SEED plays one again.
 *
 * @module
 */
import { assert, assertMatch } from "@std/assert";
import { encodeChanges, encodeCommand, encodeWifi } from "../../../bridge/formats/improv.ts";
import { bytesOfHex, loadVectors, sectorOf } from "../../vectors/settings/vectors.ts";
import { toolTest } from "../../support/tools.ts";
import { compileC, FIRMWARE, HERE } from "./compile.ts";

const RUNS = Number(Deno.env.get("HOLDFAST_FUZZ_RUNS") ?? 5_000);
const TOOLS = {
  clang: "clang",
  "/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a": "libclang-rt-14-dev",
};

const NONOS = new URL("../../../bridge/esp8266/targets/nonos", import.meta.url).pathname;

/** Runs a fuzzer on seeds; `sources` are paths. @throws {Error} with what it found */
async function fuzz(
  clang: string,
  name: string,
  sources: string[],
  seeds: Uint8Array[],
  flags: string[] = [],
) {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-fuzz-" });
  try {
    const program = `${folder}/${name}`;
    await compileC(clang, [`${HERE}/${name}.c`, ...sources], program, [
      "-fsanitize=fuzzer,address,undefined",
      "-Wno-unknown-attributes", // gcc has some that clang has not
      ...flags,
    ]);
    await Deno.mkdir(`${folder}/corpus`);
    for (const [at, seed] of seeds.entries()) {
      await Deno.writeFile(`${folder}/corpus/${at}`, seed);
    }
    const seed = Deno.env.get("HOLDFAST_SEED") ?? `${Math.floor(Math.random() * 2 ** 31) + 1}`;
    const { code, stderr } = await new Deno.Command(program, {
      args: [`-runs=${RUNS}`, `-seed=${seed}`, "-max_len=1024", "-print_final_stats=1", "corpus"],
      cwd: folder,
      stdout: "null",
      stderr: "piped",
    }).output();
    const said = new TextDecoder().decode(stderr);
    if (code !== 0) throw new Error(`HOLDFAST_SEED=${seed}: ${said.slice(-4000)}`);
    const executed = said.match(/number_of_executed_units: (\d+)/);
    assert(Number(executed?.[1]) >= RUNS, said); // it has run, and not just ended well
    return said;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const firmware = (...names: string[]) => names.map((name) => `${FIRMWARE}/${name}.c`);

toolTest("fuzz: the settings sector and its changes", TOOLS, async ({ clang }) => {
  const { sectors, changes } = loadVectors();
  const sector = sectorOf(sectors[1]!).subarray(0, 200);
  const cut = (first: number, length: number) => Math.ceil(first * 255 / length);
  await fuzz(clang, "fuzz_settings", firmware("settings", "bytes", "crc32"), [
    ...sectors.map((vector) => Uint8Array.of(255, 1, ...sectorOf(vector).subarray(0, 512))),
    ...changes.map((change) => bytesOfHex(change.changes)).map((change) =>
      Uint8Array.of(cut(200, 200 + change.length), 1, ...sector, ...change)
    ),
  ]);
});

toolTest("fuzz: frames on the serial line", TOOLS, async ({ clang }) => {
  const said = await fuzz(
    clang,
    "fuzz_improv",
    firmware("improv", "settings", "bytes", "words", "crc32"),
    [
      ...[1, 2, 3, 4, 0x48, 0x49].map((command) => encodeCommand(command)),
      encodeWifi("Home", "secret78"),
      ...encodeChanges({ server: "10.0.0.1", id: "kitchen", key: new Uint8Array(32), port: 1 }),
      ...loadVectors().changes.flatMap(({ changes }) =>
        changes.length <= 506 ? [encodeCommand(0x48, bytesOfHex(changes))] : []
      ),
    ],
  );
  assertMatch(said, /cov: \d+/);
});

toolTest("fuzz: the chip's connection, on any network", TOOLS, async ({ clang }) => {
  const steps = (...all: (number | number[])[]) => Uint8Array.from(all.flat());
  const open = [0, 0, 1, 0x55, 1, 2]; // the address is known, the port is free; it is answered
  await fuzz(clang, "fuzz_tcp", [`${NONOS}/tcp.c`, ...firmware("bytes")], [
    steps(open, [8, 9], 9, 20, 1, 3, 50, 1, 9, [8, 255], 9, 10),
    steps(open, 3, 255, 255, 5, 9, [8, 255], 9), // arrives, ends, and only then is it taken
    steps([0, 2], 10, [0, 2], 1, 0, 1, 1), // an answer for an attempt that was given up
    steps(open, 9, 6, 9, open, 9),
    steps(open, 9, [8, 255], 3, 100, 50, 1, [12, 1], 9, 0, open, 3, 20, 20, 9), // the firmware closes it from within
    steps(open, 9, [8, 3], 3, 100, 50, 1, [12, 2], 9, 1, 2, 3, 20, 20, 9), // and opens the next
  ], ["-std=gnu11", `-I${HERE}`, `-I${NONOS}`]);
});

toolTest("fuzz: the firmware, between any board and any application", TOOLS, async ({ clang }) => {
  const all = [...Deno.readDirSync(FIRMWARE)].map(({ name }) => name).sort();
  // Two are part of the fuzzer's own file, and in the interpreter's place is a module that does what it likes.
  const apart = ["engine_wasm3.c", "firmware.c", "setup.c"];
  const sources = all.filter((name) => name.endsWith(".c") && !apart.includes(name));
  const frames = [
    ...[1, 2, 3, 4, 0x48, 0x49].map((command) => encodeCommand(command)),
    encodeWifi("Home", "secret78"),
    ...encodeChanges({ server: "10.0.0.1", id: "kitchen", log: true }),
  ];
  // Whatever the start takes of the zeros: then a frame comes in, and the firmware runs.
  const seeds = frames.flatMap((frame) =>
    [40, 41].map((zeros) => Uint8Array.of(...Array(zeros).fill(0), frame.length, ...frame, 9, 9))
  );
  await fuzz(clang, "fuzz_firmware", sources.map((name) => `${FIRMWARE}/${name}`), seeds, [
    "-std=gnu11",
  ]);
});

toolTest("fuzz: the chip's pins, in front of its registers", TOOLS, async ({ clang }) => {
  const sources = ["gpio.c", "pins.c", "pwm.c"].map((name) => `${NONOS}/${name}`);
  const calls = [
    [4, 4, 128, 0, 250, 5, 4, 64, 0, 250], // two PWM outputs, of one frequency
    [4, 4, 128, 0, 250, 4, 4, 255, 3, 250, 4, 4, 0, 0, 250], // PWM, then steady: high, low
    [4, 4, 128, 0, 250, 4, 0, 1, 4, 1, 0, 4, 2, 1, 16, 4, 200, 0, 1],
  ];
  await fuzz(clang, "fuzz_pins", sources, calls.map((bytes) => Uint8Array.from(bytes)), [
    ...["-std=gnu11", `-I${HERE}`, `-I${HERE}/sdk`, `-I${NONOS}`],
  ]);
});

toolTest("fuzz: the chip's serial line, in front of its registers", TOOLS, async ({ clang }) => {
  const steps = [
    [0, 5, 1, 1, 1, 1, 1, 1, 1, 1, 0], // five bytes and a silence; the firmware is told
    [0, 200, 1, ...Array(200).fill(1), 0, 200, 1, ...Array(200).fill(1), 1], // more than may wait
    [2, 200, ...Array(200).fill(7), ...Array(600).fill(0)], // more than the FIFO takes at once
    [2, 9, ...Array(9).fill(7), ...Array(27).fill(0), 3, ...Array(60).fill(1)],
  ];
  await fuzz(
    clang,
    "fuzz_serial",
    firmware("words"),
    steps.map((bytes) => Uint8Array.from(bytes)),
    [
      ...["-std=gnu11", `-I${HERE}`, `-I${HERE}/sdk`, `-I${NONOS}`],
    ],
  );
});

toolTest("fuzz: the chip's loop, start and WiFi, under any SDK", TOOLS, async ({ clang }) => {
  // What resets it, how much flash there is; then interrupts, time, WiFi that comes and goes.
  const steps = [[0, 1], [4, 0, 0, 1, 2, 200], [1, 1, 1, 3, 5, 4, 4, 4, 2, 255, 3, 4, 5]];
  // It joins in its first run; then more comes than can wait until it runs again.
  const join = [0, 1, 0, 1, 1, 0, 255, 0];
  const news = (count: number) => Array.from({ length: count }, () => [3, 4, 0]).flat();
  const seeds = [...steps, [...join, ...news(2), 1], [...join, ...news(2), 3, 1]];
  await fuzz(clang, "fuzz_main", firmware("bytes"), seeds.map((bytes) => Uint8Array.from(bytes)), [
    ...["-std=gnu11", `-I${HERE}`, `-I${HERE}/sdk`, `-I${NONOS}`],
  ]);
});
