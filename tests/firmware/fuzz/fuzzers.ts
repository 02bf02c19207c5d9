/**
 * The fuzzers of the firmware's C: the sources of each, and the inputs that it starts from. The inputs in
 * `corpus/NAME.txt`, one per line in hex, once found something, or reach code that few others reach.
 *
 * @module
 */
import { encodeChanges, encodeCommand, encodeWifi } from "../../../bridge/formats/improv.ts";
import { bytesOfHex, loadVectors, sectorOf } from "../../vectors/settings/vectors.ts";
import { ephemeral, type RecordVector, session } from "../../vectors/seal/vectors.ts";
import { Random } from "../../support/random.ts";
import { HERE as ARDUINO, LIBRARY, SOURCES } from "../../arduino/build.ts";
import { compileC, FIRMWARE, HERE } from "./compile.ts";

const NONOS = new URL("../../../bridge/esp8266/targets/nonos", import.meta.url).pathname;

/** External programs. */
export const TOOLS = {
  clang: "clang",
  "/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a": "libclang-rt-14-dev",
};

/** Longest input, in bytes. */
const LONGEST = 1024;

/** One fuzzer. */
export interface Fuzzer {
  /** Its source is `NAME.c`, unless there is a `file`. */
  name: string;
  /** Path of the source. */
  file?: string;
  about: string;
  /** Paths of its further sources. */
  sources: string[];
  seeds: () => Uint8Array[];
  flags?: string[];
}

/** A fuzzer's result. */
export interface Ended {
  /** Whether it has found nothing. */
  ok: boolean;
  /** libFuzzer's output. */
  said: string;
}

/** A compiled fuzzer in a folder of its own. */
export class Trial implements AsyncDisposable {
  private constructor(readonly fuzzer: Fuzzer, readonly folder: string) {}

  /** The inputs that it starts from, and new ones that reach something new. */
  get corpus(): string {
    return `${this.folder}/corpus`;
  }

  static async compile(clang: string, fuzzer: Fuzzer): Promise<Trial> {
    const trial = new Trial(fuzzer, await Deno.makeTempDir({ prefix: "holdfast-fuzz-" }));
    const { name, file = `${HERE}/${name}.c`, sources, flags = [] } = fuzzer;
    try {
      await compileC(clang, [file, ...sources], `${trial.folder}/${name}`, [
        "-fsanitize=fuzzer,address,undefined",
        "-Wno-unknown-attributes", // gcc has some that clang lacks
        ...flags,
      ]);
      await Deno.mkdir(trial.corpus);
      await Deno.mkdir(`${trial.folder}/found`);
      for (const [at, seed] of fuzzer.seeds().entries()) {
        await Deno.writeFile(`${trial.corpus}/seed-${at}`, seed);
      }
      for (const [at, input] of (await kept(fuzzer)).entries()) {
        await Deno.writeFile(`${trial.corpus}/kept-${at}`, Uint8Array.fromHex(input));
      }
      return trial;
    } catch (error) {
      await trial[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @param options libFuzzer's options. Without folders it uses its corpus. */
  async run(options: string[], folders = [this.corpus]): Promise<Ended> {
    const { code, stderr } = await new Deno.Command(`${this.folder}/${this.fuzzer.name}`, {
      args: [...options, `-max_len=${LONGEST}`, "-print_final_stats=1", ...folders],
      cwd: this.folder,
      stdout: "null",
      stderr: "piped",
    }).output();
    return { ok: code === 0, said: new TextDecoder().decode(stderr) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Deno.remove(this.folder, { recursive: true });
  }
}

/** The file of a fuzzer's inputs. */
export function corpusFile({ name }: Fuzzer): string {
  return `${HERE}/corpus/${name.slice("fuzz_".length)}.txt`;
}

/** The stored inputs, in hex. */
async function kept(fuzzer: Fuzzer): Promise<string[]> {
  const lines = (await Deno.readTextFile(corpusFile(fuzzer))).split("\n");
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

/** Stores more inputs. @param why A comment line above them. */
export async function keep(fuzzer: Fuzzer, inputs: Uint8Array[], why?: string): Promise<void> {
  const known = new Set(await kept(fuzzer));
  const added = inputs.map((input) => input.toHex()).filter((input) => !known.has(input)).sort();
  if (added.length === 0) return;
  const lines = why === undefined ? added : [`# ${why}`, ...added];
  await Deno.writeTextFile(corpusFile(fuzzer), lines.join("\n") + "\n", { append: true });
}

const firmware = (...names: string[]) => names.map((name) => `${FIRMWARE}/${name}.c`);
const nonos = (...names: string[]) => names.map((name) => `${NONOS}/${name}.c`);
const bytes = (inputs: number[][]) => () => inputs.map((input) => Uint8Array.from(input));

/** Compiler flags for targets/nonos here. */
const CHIP = ["-std=gnu11", `-I${HERE}`, `-I${NONOS}`];
const CHIP_AND_SDK = [...CHIP, `-I${HERE}/sdk`];

function settingsSeeds(): Uint8Array[] {
  const { sectors, changes } = loadVectors();
  const sector = sectorOf(sectors[1]!).subarray(0, 200);
  const cut = (first: number, length: number) => Math.ceil(first * 255 / length);
  return [
    ...sectors.map((vector) => Uint8Array.of(255, 1, ...sectorOf(vector).subarray(0, 512))),
    ...changes.map((change) => bytesOfHex(change.changes)).map((change) =>
      Uint8Array.of(cut(200, 200 + change.length), 1, ...sector, ...change)
    ),
  ];
}

/** Records of sessions of another link, in pieces of 40 bytes; before those with ephemeral keys comes the end of a
 * welcome. */
function sealSeeds(): Uint8Array[] {
  const end = new TextEncoder().encode(ephemeral.welcome.slice(-97));
  return [
    ...session.records.map((record) => pieces(record, Uint8Array.of(0))),
    ...ephemeral.records.map((record) => pieces(record, Uint8Array.of(1, end.length, ...end))),
  ];
}

function pieces({ sealed }: RecordVector, before: Uint8Array): Uint8Array {
  const bytes = bytesOfHex(sealed);
  const pieces = Array.from({ length: Math.ceil(bytes.length / 40) }, (_, n) => {
    return [90, ...bytes.subarray(n * 40, n * 40 + 40)]; // 90 % 50: the length of a piece
  });
  return Uint8Array.from([...before, 0, 43, 0, ...pieces.flat()]);
}

function improvSeeds(): Uint8Array[] {
  return [
    ...[1, 2, 3, 4, 0x48, 0x49].map((command) => encodeCommand(command)),
    encodeWifi("Home", "secret78"),
    ...encodeChanges({ server: "10.0.0.1", id: "kitchen", key: new Uint8Array(32), port: 1 }),
    ...loadVectors().changes.flatMap(({ changes }) =>
      changes.length <= 506 ? [encodeCommand(0x48, bytesOfHex(changes))] : []
    ),
  ];
}

function firmwareSeeds(): Uint8Array[] {
  const frames = [
    ...[1, 2, 3, 4, 0x48, 0x49].map((command) => encodeCommand(command)),
    encodeWifi("Home", "secret78"),
    ...encodeChanges({ server: "10.0.0.1", id: "kitchen", log: true }),
  ];
  // The start takes some of the zeros; then a frame arrives, and the firmware runs.
  return frames.flatMap((frame) =>
    [40, 41].map((zeros) => Uint8Array.of(...Array(zeros).fill(0), frame.length, ...frame, 9, 9))
  );
}

function firmwareSources(): string[] {
  // Two are part of the fuzzer's own file, and a hostile module replaces the interpreter.
  const apart = ["engine_wasm3.c", "firmware.c", "setup.c"];
  return [...Deno.readDirSync(FIRMWARE)].map(({ name }) => name).sort()
    .filter((name) => name.endsWith(".c") && !apart.includes(name))
    .map((name) => `${FIRMWARE}/${name}`);
}

const steps = (...all: (number | number[])[]) => Uint8Array.from(all.flat());

function connectionSeeds(): Uint8Array[] {
  const open = [0, 0, 1, 0x55, 1, 2]; // the address is found, the port is free, the connection is accepted
  return [
    steps(open, [8, 9], 9, 20, 1, 3, 50, 1, 9, [8, 255], 9, 10),
    steps(open, 3, 255, 255, 5, 9, [8, 255], 9), // bytes arrive, the connection ends, and only then they are taken
    steps([0, 2], 10, [0, 2], 1, 0, 1, 1), // an answer for an attempt that was given up
    steps([0, 2], 10, [13, 2], 1, 0, 1, 1, 10, [0, 2]), // and an attempt to the other name is made
    steps(open, 9, 6, 9, open, 9),
    steps(open, 9, [8, 255], 3, 100, 50, 1, [12, 1], 9, 0, open, 3, 20, 20, 9), // the firmware closes it in its callback
    steps(open, 9, [8, 3], 3, 100, 50, 1, [12, 2], 9, 1, 2, 3, 20, 20, 9), // and opens the next one
  ];
}

function loopSeeds(): Uint8Array[] {
  // The reset reason and flash size; then interrupts, time, WiFi that comes and goes.
  const all = [[0, 1], [4, 0, 0, 1, 2, 200], [1, 1, 1, 3, 5, 4, 4, 4, 2, 255, 3, 4, 5]];
  // It joins in its first run; then more arrives than can wait until it runs again.
  const join = [0, 1, 0, 1, 1, 0, 255, 0];
  const news = (count: number) => Array.from({ length: count }, () => [3, 4, 0]).flat();
  return [...all, [...join, ...news(2), 1], [...join, ...news(2), 3, 1]].map((input) =>
    steps(input)
  );
}

function deploySeeds(): Uint8Array[] {
  const offered = (image: number) => [0, 1, image, 0, 0, 0, 2];
  const sent = (image: number) => [0, 2, image, 63, 1, ...Array(63).fill([0, 2]).flat()];
  const gone = (image: number) => [0, 4, image, 2];
  const passed = [0, 5, 255, 1, 1, 2, 0, 1];
  const deployed = (image: number) => [...offered(image), ...sent(image), ...gone(image)];
  return [
    steps(0, deployed(1), passed, 1, passed, passed, passed), // kept
    steps(1, deployed(1), passed, 1, 0, 7, 1, 1, passed, passed, passed), // fallen back, and reported
    steps(0, deployed(1), passed, 1, passed, passed, deployed(2), passed, 1, passed, passed), // twice
    steps(0, deployed(6), passed, deployed(7), passed), // refused
    steps(0, 0, 8, 40, offered(1), offered(1), sent(1), gone(1), passed), // the power fails
  ];
}

/** The library for Arduino: each kind of world, quiet at first, then with more and more events. */
function arduinoSeeds(): Uint8Array[] {
  const random = new Random(1);
  return Array.from({ length: 64 }, (_, n) => {
    const often = random.int(2, 12);
    const events = Array.from({ length: 300 }, () => random.once(often) ? random.int(0, 8) : 0);
    return steps(n % 32, Array(40).fill(0), events, [3, 2, 3, 2, 206, 30], events);
  });
}

export const FUZZERS: readonly Fuzzer[] = [
  {
    name: "fuzz_arduino",
    file: `${ARDUINO}/fuzz_arduino.cpp`,
    about: "the library for Arduino, between any sketch, socket and server",
    sources: [...SOURCES.cpp, ...SOURCES.c],
    seeds: arduinoSeeds,
    // These two need clang++ as the linker, which compiles C as C++.
    flags: [`-I${LIBRARY}/src`, `-I${ARDUINO}/standin`, "-fno-sanitize=vptr,function"],
  },
  {
    name: "fuzz_settings",
    about: "the settings sector and its changes",
    sources: firmware("settings", "bytes", "crc32"),
    seeds: settingsSeeds,
  },
  {
    name: "fuzz_improv",
    about: "frames on the serial line",
    sources: firmware("improv", "settings", "bytes", "words", "crc32"),
    seeds: improvSeeds,
  },
  {
    name: "fuzz_firmware",
    about: "the firmware, between any board and any application",
    sources: firmwareSources(),
    seeds: firmwareSeeds,
    flags: ["-std=gnu11"],
  },
  {
    name: "fuzz_deploy",
    about: "applications that come over the link, in front of a flash that fails",
    sources: firmware("bytes", "crc32", "hmac", "module", "text", "words"),
    seeds: deploySeeds,
    flags: ["-std=gnu11"],
  },
  {
    name: "fuzz_seal",
    about: "what arrives after the greeting of a sealed link",
    sources: firmware("seal", "records", "chacha20_poly1305", "hmac", "bytes", "words"),
    seeds: sealSeeds,
  },
  {
    name: "fuzz_tcp",
    about: "the chip's connection, on any network",
    sources: [...nonos("tcp"), ...firmware("bytes", "crc32")],
    seeds: connectionSeeds,
    flags: CHIP,
  },
  {
    name: "fuzz_main",
    about: "the chip's loop, start and WiFi, under any SDK",
    sources: firmware("bytes", "words"),
    seeds: loopSeeds,
    flags: CHIP_AND_SDK,
  },
  {
    name: "fuzz_pins",
    about: "the chip's pins, in front of its registers",
    sources: nonos("gpio", "pins", "pwm"),
    seeds: bytes([
      [4, 4, 128, 0, 250, 5, 4, 64, 0, 250], // two PWM outputs with one frequency
      [4, 4, 128, 0, 250, 4, 4, 255, 3, 250, 4, 4, 0, 0, 250], // PWM, then steady: high, low
      [4, 4, 128, 0, 250, 4, 0, 1, 4, 1, 0, 4, 2, 1, 16, 4, 200, 0, 1],
    ]),
    flags: CHIP_AND_SDK,
  },
  {
    name: "fuzz_serial",
    about: "the chip's serial line, in front of its registers",
    sources: firmware("words"),
    seeds: bytes([
      [0, 5, 1, 1, 1, 1, 1, 1, 1, 1, 0], // five bytes and a silence; the firmware gets them
      [0, 200, 1, ...Array(200).fill(1), 0, 200, 1, ...Array(200).fill(1), 1], // more bytes than may wait
      [2, 200, ...Array(200).fill(7), ...Array(600).fill(0)], // more than the FIFO takes at once
      [2, 9, ...Array(9).fill(7), ...Array(27).fill(0), 3, ...Array(60).fill(1)],
    ]),
    flags: CHIP_AND_SDK,
  },
];
