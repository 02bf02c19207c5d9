/**
 * The firmware's C and the TypeScript agree on bytes: on the vectors, and on random ones. The C runs under the
 * sanitizers.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  decodeFieldsRead,
  decodeResult,
  decodeTexts,
  encodeCommand,
  encodeFrame,
  encodeWifi,
  FrameReader,
  FrameType,
} from "../../../bridge/formats/improv.ts";
import {
  changeSettings,
  decodeFields,
  decodeSettings,
  defaults,
  encodeFields,
  encodeSettings,
  missingSettings,
  type Settings,
  Tag,
  USED_BYTES,
} from "../../../bridge/formats/settings.ts";
import { encodeStatic } from "../../../bridge/formats/ipv4.ts";
import { bytesOfHex, loadVectors, sectorOf } from "../../vectors/settings/vectors.ts";
import { crc32 } from "../../../bridge/formats/crc32.ts";
import { LocalError } from "../../../server/protocol/errors.ts";
import { Random } from "../../support/random.ts";
import { toolTest } from "../../support/tools.ts";
import { ask, compileC, FIRMWARE, HERE } from "./compile.ts";

const SANITIZE = ["-fsanitize=address,undefined"];
const SOURCES = ["settings.c", "improv.c", "bytes.c", "words.c", "crc32.c"].map((name) =>
  `${FIRMWARE}/${name}`
);

const hex = (bytes: Uint8Array) =>
  bytes.length === 0 ? "-" : Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
const plain = (bytes: Uint8Array) => hex(bytes).replace("-", "");
const text = (value = "") => plain(new TextEncoder().encode(value));

/** Compiles `replay.c`, gives it to `use`, and removes it. */
async function withReplay(
  gcc: string,
  use: (answer: (questions: string[]) => Promise<string[]>) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-replay-" });
  try {
    const program = `${folder}/replay`;
    await compileC(gcc, [`${HERE}/replay.c`, ...SOURCES], program, SANITIZE);
    await use((questions) => ask(program, questions));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What `replay.c` answers about a sector. */
function aboutSector(sector: Uint8Array): string {
  const decoded = decodeSettings(sector);
  const word = decoded.state === "damaged" ? decoded.damage : decoded.state;
  const s: Settings = decoded.state === "ok" ? decoded.settings : {};
  const { port, timeout, dialect, log } = { ...defaults, ...s };
  const missing = missingSettings(s).map((name) => Tag[name]);
  return [
    word,
    `ssid=${text(s.ssid)} password=${text(s.password)} server=${text(s.server)} id=${text(s.id)}`,
    `key=${s.key ? plain(s.key) : ""} port=${port} timeout=${timeout} dialect=${dialect}`,
    `log=${log ? 1 : 0} server2=${text(s.server2)} ip=${s.ip ? plain(encodeStatic(s.ip)) : ""}`,
    `country=${text(s.country)} missing=${plain(Uint8Array.from(missing))}`,
  ].join(" ");
}

/** What `replay.c` answers about a change. */
function aboutChange(before: Uint8Array, changes: Uint8Array): string {
  try {
    const after = encodeSettings(changeSettings(decodeFields(before), changes));
    return `changed sector=${plain(after.subarray(0, USED_BYTES))}`;
  } catch (error) {
    if (error instanceof LocalError) return "refused";
    throw error;
  }
}

toolTest("settings in C: the vectors", { gcc: "gcc" }, async ({ gcc }) => {
  const { sectors, changes } = loadVectors();
  await withReplay(gcc, async (answer) => {
    const used = sectors.map((vector) => sectorOf(vector).subarray(0, USED_BYTES));
    assertEquals(await answer(used.map((bytes) => `sector ${hex(bytes)}`)), used.map(aboutSector));

    const refused = changes.map(({ after }) => after === null);
    const answers = await answer(
      changes.map((c) => `change ${c.before || "-"} ${c.changes || "-"}`),
    );
    assertEquals(answers.map((line) => line === "refused"), refused);
    for (const [at, { name, after }] of changes.entries()) {
      if (after === null) continue;
      const sector = encodeSettings(decodeFields(bytesOfHex(after))).subarray(0, USED_BYTES);
      assertEquals(answers[at], `changed sector=${plain(sector)}`, name);
    }
  });
});

toolTest(
  "settings in C: any bytes mean the same as in TypeScript",
  { gcc: "gcc" },
  async ({ gcc }) => {
    const seed = Math.floor(Math.random() * 2 ** 32);
    const random = new Random(Number(Deno.env.get("HOLDFAST_SEED") ?? seed));
    const { sectors, changes } = loadVectors();
    const questions: string[] = [];
    const expected: string[] = [];
    for (let i = 0; i < 3000; i++) {
      // The first is the blank one.
      const sector = sectorOf(random.pick(sectors.slice(1))).slice(0, USED_BYTES);
      const length = Math.min(sector[6]! | sector[7]! << 8, USED_BYTES - 12);
      for (let n = random.int(1, 3); n > 0; n--) {
        sector[random.int(4, 12 + Math.max(length, 1))] = random.pick([
          0,
          1,
          0x80,
          0xed,
          0xff,
          random.int(0, 255),
        ]);
      }
      if (!random.once(4)) { // mostly a good checksum, so that the code after its check is reached
        const fields = sector.subarray(12, 12 + Math.min(sector[6]! | sector[7]! << 8, 500));
        new DataView(sector.buffer).setUint32(8, crc32(sector.subarray(4, 8), fields), true);
      }
      questions.push(`sector ${hex(sector)}`);
      expected.push(aboutSector(sector));
    }
    // Only good sectors are ever changed.
    const before = changes.map((c) => bytesOfHex(c.before));
    for (let i = 0; i < 3000; i++) {
      const fields = random.pick(before);
      const change = bytesOfHex(random.pick(changes).changes);
      if (change.length > 0) change[random.int(0, change.length - 1)] = random.int(0, 255);
      const cut = random.once(3) ? change.slice(0, random.int(0, change.length)) : change;
      questions.push(`change ${hex(fields)} ${hex(cut)}`);
      expected.push(aboutChange(fields, cut));
    }
    await withReplay(gcc, async (answer) => {
      const answers = await answer(questions);
      for (const [at, question] of questions.entries()) {
        assertEquals(answers[at], expected[at], `HOLDFAST_SEED=${random.seed}: ${question}`);
      }
      // Checks that all kinds of answers occurred; otherwise the test would say little.
      const kinds = new Set(answers.map((line) => line.split(" ")[0]));
      assertEquals(
        [...kinds].sort(),
        ["changed", "checksum", "fields", "length", "magic", "ok", "refused", "version"]
          .sort(),
      );
    });
  },
);

toolTest("frames in C: commands are found as they were sent", { gcc: "gcc" }, async ({ gcc }) => {
  const random = new Random(7);
  const streams: [string, Uint8Array[]][] = [
    [" 02=", [encodeCommand(2)]],
    [" 48=0600", [encodeCommand(0x48, bytesOfHex("0600"))]],
    [" other", [encodeFrame({ type: FrameType.state, data: Uint8Array.of(4) })]],
    [" 00=", [encodeFrame({ type: FrameType.command, data: Uint8Array.of(2) })]],
    [" 00=", [encodeFrame({ type: FrameType.command, data: Uint8Array.of(2, 1) })]],
    [" 00=", [encodeFrame({ type: FrameType.command, data: new Uint8Array(0) })]],
    ["", [encodeCommand(2).with(10, 5)]], // wrong checksum
    [" 02= 03=", [bytesOfHex("ff49"), encodeCommand(2), bytesOfHex("494d50"), encodeCommand(3)]],
    // A frame that begins within an incomplete one.
    [" 02=", [bytesOfHex("494d50524f56010303"), encodeCommand(2), bytesOfHex("00")]],
  ];
  const largest = random.bytes(253);
  streams.push([` 48=${plain(largest)}`, [encodeCommand(0x48, largest)]]);
  await withReplay(gcc, async (answer) => {
    const questions = streams.map(([, pieces]) =>
      `frames ${hex(Uint8Array.from(pieces.flatMap((piece) => [...piece])))}`
    );
    assertEquals(await answer(questions), streams.map(([found]) => `frames${found}`));
    // An incomplete frame blocks the next one until a second has passed.
    const stopped = encodeCommand(0x48, largest).subarray(0, 100);
    const next = encodeCommand(2);
    assertEquals(
      await answer([`frames ${hex(stopped)}${hex(next)}`, `frames ${hex(stopped)} ${hex(next)}`]),
      ["frames", "frames 02="],
    );
  });
});

toolTest("frames in C: what the device answers is understood", { gcc: "gcc" }, async ({ gcc }) => {
  const read = (line: string | undefined) => {
    const { frames, text } = new FrameReader().push(bytesOfHex(line!.split("=")[1]!));
    assertEquals([frames.length, text.length], [1, 0]);
    return frames[0]!;
  };
  const fields = encodeFields({
    ssid: "Home",
    password: "correct horse",
    server: "10.0.0.1",
    id: "kitchen",
    key: new Uint8Array(32).fill(7),
    unknown: { 200: new Uint8Array(200), 201: new Uint8Array(50) },
  });
  await withReplay(gcc, async (answer) => {
    const [state, shown, open, info, long, wifi, ...malformed] = await answer([
      "byte 0104",
      `fields ${hex(fields)}`,
      `fields ${hex(encodeFields({ ssid: "Home" }))}`,
      `texts ${text("holdfast")} ${text("0.1.0")} ${text("ESP8266")} -`,
      `texts ${text("x".repeat(200))} ${text("y".repeat(60))} ${text("z")} -`,
      `wifi ${hex(encodeWifi("Home", "secret78").subarray(11, -2))}`,
      "wifi -",
      "wifi 04",
      `wifi ${hex(encodeWifi("Home", "secret78").subarray(11, -3))}`,
      `wifi ${hex(encodeWifi("Home", "secret78").subarray(11, -1))}`,
      "wifi 0000",
    ]);
    assertEquals(read(state), { type: FrameType.state, data: Uint8Array.of(4) });
    const { command, data } = decodeResult(read(shown))!;
    assertEquals(command, 0x49);
    assertEquals(decodeFieldsRead(data), {
      settings: {
        ssid: "Home",
        server: "10.0.0.1",
        id: "kitchen",
        unknown: { 200: new Uint8Array(200) }, // the other field did not fit
      },
      key: true,
    });
    assertEquals(decodeFieldsRead(decodeResult(read(open))!.data), {
      settings: { ssid: "Home" },
      key: false,
    });
    assertEquals(decodeTexts(decodeResult(read(info))!.data), ["holdfast", "0.1.0", "ESP8266"]);
    assertEquals(decodeTexts(decodeResult(read(long))!.data), ["x".repeat(200), "z"]);
    assertEquals(
      wifi,
      `fields fields=${plain(encodeFields({ ssid: "Home", password: "secret78" }))}0c00`,
    );
    assertEquals(malformed, Array(5).fill("malformed"));
  });
});
