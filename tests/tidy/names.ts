/**
 * Names with one meaning: of folders, and of the central classes.
 *
 * @module
 */
import { withoutComments } from "./text.ts";
import { nameOf, type Tree, within } from "./tree.ts";

/** A reserved word. */
export interface Name {
  word: string;
  /** What it means, wherever it is used. */
  means: string;
  /** Files and folders that may have this name, or places where all may. Undefined: any. */
  files?: readonly string[];
  /** Files in which a class, an interface or a type may have this name. */
  types: readonly string[];
}

/** These words have only this meaning; others may be used twice. */
export const NAMES: readonly Name[] = [
  {
    word: "link",
    means: "what lies between the two ends, as a whole: no class is the link",
    files: ["server/link"],
    types: [],
  },
  {
    word: "dialect",
    means: "one of the two wires, as the server's session speaks it",
    files: ["server/link"],
    types: ["server/link/dialect.ts"],
  },
  {
    word: "session",
    means: "the server's end of one device's stream, through all of its connections",
    files: ["server/link/session.ts"],
    types: ["server/link/session.ts"],
  },
  {
    word: "driver",
    means: "what carries out what a state machine asks for, with sockets and timers",
    files: [
      "server/runtime/driver.ts",
      "bridge/host/driver.ts",
      "bridge/esp8266/firmware/driver.c",
      "bridge/esp8266/firmware/driver.h",
    ],
    types: [],
  },
  {
    word: "connection",
    means: "one socket that the server has accepted, from its hello to its end",
    files: ["server/runtime/connection.ts"],
    types: ["server/runtime/connection.ts"],
  },
  {
    word: "server",
    means: "the server's end of all links",
    types: ["server/server.ts"],
  },
  {
    word: "device",
    means: "a client, as the server and its applications see it",
    types: ["server/device.ts"],
  },
  {
    word: "client",
    means: "the device's end of a link, in a program",
    types: ["bridge/host/client.ts"],
  },
  {
    word: "core",
    means: "the client's state machine, in WebAssembly",
    types: ["bridge/host/core.ts"],
  },
  {
    word: "store",
    means: "what outlives the server's process",
    types: ["server/store/store.ts"],
  },
  {
    word: "board",
    means: "what an application runs on: pins, a clock, I2C. On a PC it is a class",
    files: ["client-as/assembly/board.ts", "bridge/host/board.ts"],
    types: ["bridge/host/board.ts"],
  },
  {
    word: "target",
    means: "what the firmware can be built for",
    files: ["bridge/esp8266/target.ts"],
    types: ["bridge/esp8266/target.ts"],
  },
  {
    word: "emulator",
    means: "QEMU with the chip's processor in it, and the world around that",
    files: ["bridge/esp8266/emulator", "bridge/esp8266/targets/emulator"],
    types: ["bridge/esp8266/emulator/emulator.ts"],
  },
  {
    word: "sim",
    means: "the simulator of whole systems under one clock and one seed",
    files: ["tests/sim"],
    types: [],
  },
  {
    word: "bench",
    means: "the benchmarks",
    files: ["tests/bench"],
    types: [],
  },
  {
    word: "testbed",
    means: "the wires between a Pyboard and an ESP8266, simulated",
    files: ["tests/pyboard"],
    types: ["tests/pyboard/testbed.ts"],
  },
  {
    word: "fixture",
    means: "the emulated boards on the table of the browser's tests",
    files: ["tests/browser/page/fixture.ts"],
    types: ["tests/browser/page/fixture.ts"],
  },
];

const CODE = /\.(ts|js|c|cpp|h|ino|S|py)$/;
const TYPES =
  /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(?:class|interface|type|enum)\s+(\w+)(?=\s*(?:[<={]|extends\b|implements\b))/gm;

/** Places where a reserved word is used for something else. */
export function doubleMeanings(tree: Tree, names: readonly Name[] = NAMES): string[] {
  const faults = new Set<string>();
  const reserved = new Map(names.map((name) => [name.word, name]));
  for (const [path, text] of tree) {
    if (!CODE.test(path)) continue;
    const parts = path.split("/");
    for (const [at, part] of parts.entries()) {
      const word = part.replace(/(_test|\.spec)?\.\w+$/, "").toLowerCase();
      const name = reserved.get(word);
      const place = parts.slice(0, at + 1).join("/");
      if (name?.files === undefined || isAllowed(place, name.files)) continue;
      faults.add(`${place}: "${word}" is ${name.means}`);
    }
    if (!path.endsWith(".ts")) continue;
    for (const [, type] of withoutComments(text).matchAll(TYPES)) {
      const name = reserved.get(type!.toLowerCase());
      if (name === undefined || name.types.includes(path)) continue;
      faults.add(`${path}: ${type} is ${name.means}`);
    }
  }
  return [...faults].sort();
}

/** A test is named after what it tests. */
function isAllowed(place: string, allowed: readonly string[]): boolean {
  const tested = place.replace(/(_test|\.spec)\.(\w+)$/, ".$2");
  return allowed.some((path) =>
    within(tested, path) || within(path, place) && nameOf(path) === nameOf(place)
  );
}
