import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { encodeApplication } from "../../formats/application.ts";
import { decodeImage, encodeImage } from "../../formats/image.ts";
import {
  describePart,
  type Manifest,
  readManifest,
  writeManifest,
} from "../../formats/manifest.ts";
import { FlashError } from "../chip/errors.ts";
import { fetchPart, listFirmware } from "./firmware.ts";
import { forChip, keptThroughErase, loadPieces, settingsArea } from "./pieces.ts";

const MB = 1024 * 1024;
const BASE = "https://example.org/flasher/";

const boot = encodeImage({
  entry: 0x40100004,
  segments: [{ address: 0x40100000, data: new Uint8Array(64).fill(5) }],
}, "1MB");
const code = new Uint8Array(1000).fill(7);
const wasm = Deno.readFileSync(new URL("../../../client-as/build/main.wasm", import.meta.url));
/** A module that is not an application. */
const empty = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const application = encodeApplication("main", wasm);

/** A site with one firmware; the files can be changed. */
async function site(): Promise<Map<string, BodyInit>> {
  const manifest: Manifest = {
    name: "holdfast",
    version: "0.1.0",
    board: "nonos",
    flavour: "wifi",
    chip: "ESP8266",
    parts: [
      await describePart("boot", 0, "boot.bin", boot),
      await describePart("code", 0x10000, "code.bin", code),
    ],
    flash: { "1MB": [], "4MB": [] },
    applications: [await describePart("main", 0xf0000, "main.app.bin", application)],
    settings: { offset: 0xfa000, size: 4096 },
  };
  return new Map<string, BodyInit>([
    ["firmware/index.json", JSON.stringify(["nonos"])],
    ["firmware/nonos/manifest.json", writeManifest(manifest)],
    ["firmware/nonos/boot.bin", boot],
    ["firmware/nonos/code.bin", code],
    ["firmware/nonos/main.app.bin", application],
  ]);
}

function getter(files: Map<string, BodyInit>) {
  return (address: string) => {
    const body = files.get(address.slice(BASE.length));
    return Promise.resolve(
      body === undefined ? new Response("", { status: 404 }) : new Response(body),
    );
  };
}

async function builtIn(files: Map<string, BodyInit>) {
  const { firmware: [firmware] } = await listFirmware(BASE, getter(files));
  return { kind: "built", firmware: firmware! } as const;
}

function file(name: string, bytes: Uint8Array<ArrayBuffer>) {
  return { name, arrayBuffer: () => Promise.resolve(bytes.slice().buffer) };
}

Deno.test("firmware that came with the page is loaded with its application", async () => {
  const files = await site();
  const built = await builtIn(files);
  const part = built.firmware.manifest.applications[0]!;
  const pieces = await loadPieces(built, { ...built, part }, 4 * MB, getter(files));
  assertEquals(pieces, [
    { name: "firmware, first part", offset: 0, data: boot },
    { name: "firmware, second part", offset: 0x10000, data: code },
    { name: "application main", offset: 0xf0000, data: application },
  ]);
  assertEquals(settingsArea(built), { offset: 0xfa000, size: 4096 });
});

Deno.test("firmware with its application in it: no separate one is written or kept", async () => {
  const { firmware } = await builtIn(await site());
  const manifest = { ...firmware.manifest, flavour: "pyboard", aot: "pyboard", applications: [] };
  const built = { kind: "built", firmware: { ...firmware, manifest } } as const;
  const within = { kind: "within" } as const;
  const pieces = await loadPieces(built, within, MB, getter(await site()));
  assertEquals(pieces.map(({ offset }) => offset), [0, 0x10000]);
  assertEquals(keptThroughErase(built, within, false), []);
});

Deno.test("a .wasm of one's own gets the header, a finished image stays as it is", async () => {
  const keep = { kind: "keep" } as const;
  for (const [name, bytes] of [["main.wasm", wasm], ["any.bin", application]] as const) {
    const pieces = await loadPieces(keep, { kind: "file", file: file(name, bytes) }, MB);
    assertEquals(pieces, [{ name: `application ${name}`, offset: 0xf0000, data: application }]);
  }
  const long = `${"ü".repeat(20)}.wasm`;
  const [piece] = await loadPieces(keep, { kind: "file", file: file(long, wasm) }, MB);
  assertEquals(new TextDecoder().decode(piece!.data.subarray(16, 48)), "ü".repeat(16));
});

Deno.test("files of one's own, at the addresses that were typed", async () => {
  const files = [{ file: file("a.bin", boot), address: "0x0" }, {
    file: file("b.bin", code),
    address: "65536",
  }];
  const pieces = await loadPieces({ kind: "files", files }, { kind: "keep" }, MB);
  assertEquals(pieces.map(({ name, offset }) => [name, offset]), [["a.bin", 0], ["b.bin", 65536]]);
});

/** A copy with one wrong bit in the byte at `at`. */
function damaged(bytes: Uint8Array<ArrayBuffer>, at: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  copy[at]! ^= 1;
  return copy;
}

Deno.test("an image that the chip's ROM would not start is refused before anything is erased", async () => {
  for (
    const bytes of [damaged(boot, 0), damaged(boot, 20), boot.slice(0, 40), code, new Uint8Array(0)]
  ) {
    const files = [{ file: file("a.bin", bytes), address: "0" }];
    const error = await assertRejects(
      () => loadPieces({ kind: "files", files }, { kind: "keep" }, MB),
      FlashError,
      "a.bin: an ESP8266 cannot boot this image",
    );
    assertEquals([error.code, error.address], ["BAD_IMAGE", 0]);
  }
});

Deno.test("an application that the firmware would not run is refused", async () => {
  const wrong: [Uint8Array<ArrayBuffer>, string][] = [
    [code, "neither a .wasm nor"],
    [new Uint8Array(0), "neither a .wasm nor"],
    [application.slice(0, 20), "its header is cut off"],
    [application.slice(0, 100), "its end is missing"],
    [damaged(application, 50), "the checksum of its header is wrong"],
    [damaged(application, 100), "its checksum is wrong"],
    [damaged(application, 4), "its header has an unknown version"],
    [empty, "x.bin: it is not an application for this firmware: it does not export registers"],
    [encodeApplication("empty", empty), "it does not export registers"],
    [wasm.slice(0, 3000), "it is damaged or cut off"],
    [new Uint8Array(50_000).map((_, at) => wasm[at] ?? 0), "more than the 20384 that fit a slot"],
  ];
  for (const [bytes, reason] of wrong) {
    const error = await assertRejects(
      () => loadPieces({ kind: "keep" }, { kind: "file", file: file("x.bin", bytes) }, MB),
      FlashError,
      reason,
    );
    assertEquals(error.code, "BAD_IMAGE");
  }
});

Deno.test("nothing chosen, an invalid address, a file that is gone: each is refused", async () => {
  const gone = {
    name: "gone.bin",
    arrayBuffer: () => Promise.reject(new Error("NotReadableError")),
  };
  const keep = { kind: "keep" } as const;
  const wrong = [
    [{ kind: "files", files: [] }, keep, "NOT_CHOSEN", "no firmware file"],
    [keep, { kind: "file", file: undefined }, "NOT_CHOSEN", "no application file"],
    [
      { kind: "files", files: [{ file: file("a", code), address: "12k" }] },
      keep,
      "BAD_PLAN",
      '"12k" is no',
    ],
    [
      { kind: "files", files: [{ file: file("a", code), address: " " }] },
      keep,
      "BAD_PLAN",
      "nothing is no",
    ],
    [
      { kind: "files", files: [{ file: gone, address: "0" }] },
      keep,
      "NO_FILE",
      "gone.bin cannot be read",
    ],
  ] as const;
  for (const [firmware, application, code, reason] of wrong) {
    const error = await assertRejects(
      () => loadPieces(firmware as Parameters<typeof loadPieces>[0], application, MB),
      FlashError,
      reason,
    );
    assertEquals(error.code, code);
  }
});

Deno.test("flashes of other sizes get the layout of the next smaller one", async () => {
  const files = await site();
  const built = await builtIn(files);
  const large = boot.slice();
  large[3] = 0x40;
  const manifest = structuredClone(built.firmware.manifest);
  manifest.flash["4MB"] = [await describePart("boot", 0, "boot4.bin", large)];
  files.set("firmware/nonos/boot4.bin", large);
  const firmware = { kind: "built", firmware: { ...built.firmware, manifest } } as const;
  const sizeByte = async (bytes: number) =>
    (await loadPieces(firmware, { kind: "keep" }, bytes, getter(files)))[0]!.data[3];
  assertEquals(await Promise.all([1, 2, 4, 16].map((mb) => sizeByte(mb * MB))), [
    0x20,
    0x20,
    0x40,
    0x40,
  ]);
  const error = await assertRejects(() => sizeByte(MB / 2), FlashError, "has 512 KB");
  assertEquals(error.code, "BAD_PLAN");
});

Deno.test("the image gets the chosen mode for reading the flash, and on an ESP8285 the only possible one", async () => {
  const files = await site();
  const built = await builtIn(files);
  const pieces = await loadPieces(built, { kind: "keep" }, MB, getter(files));
  const asBuilt = decodeImage(boot).mode;
  assertEquals(forChip(pieces, built, { name: "ESP8266EX" }, asBuilt), pieces);
  assertEquals(forChip(pieces, { kind: "files", files: [] }, { name: "ESP8285" }, "qio"), pieces);
  const modes = [
    ["ESP8285", "qio", "dout"],
    ["ESP8266EX", "qio", "qio"],
    ["ESP8266EX", undefined, "dout"],
  ] as const;
  for (const [name, chosen, mode] of modes) {
    const [first, ...rest] = forChip(pieces, built, { name }, chosen);
    assertEquals(decodeImage(first!.data as Uint8Array<ArrayBuffer>).mode, mode);
    assertEquals(first!.data.with(2, boot[2]!), boot);
    assertEquals(rest, pieces.slice(1));
  }
});

Deno.test("an erase of the whole flash can keep the settings and the application, but not the firmware", async () => {
  const built = await builtIn(await site());
  const part = built.firmware.manifest.applications[0]!;
  const settings = { name: "settings, kept", offset: 0xfa000, size: 4096 };
  assertEquals(keptThroughErase(built, { ...built, part }, true), [settings]);
  assertEquals(keptThroughErase(built, { ...built, part }, false), []);
  assertEquals(keptThroughErase(built, { kind: "keep" }, true), [
    settings,
    { name: "application, kept", offset: 0xf0000, size: 0xa000 },
  ]);
  assertThrows(
    () => keptThroughErase({ kind: "keep" }, { kind: "keep" }, false),
    FlashError,
    "firmware",
  );
});

Deno.test("files that do not match their manifest, or are missing, are refused", async () => {
  const files = await site();
  const built = await builtIn(files);
  const part = readManifest(files.get("firmware/nonos/manifest.json") as string).parts[1]!;
  files.set("firmware/nonos/code.bin", damaged(code, 5));
  const changed = await assertRejects(
    () => fetchPart(built.firmware, part, getter(files)),
    FlashError,
  );
  assertEquals([changed.code, changed.address], ["BAD_IMAGE", 0x10000]);
  assertStringIncludes(changed.message, "SHA-256");
  files.delete("firmware/nonos/code.bin");
  const missing = await assertRejects(
    () => fetchPart(built.firmware, part, getter(files)),
    FlashError,
  );
  assertEquals(missing.message, "nonos/code.bin is not there (404)");
  const offline = () => Promise.reject(new TypeError("failed to fetch"));
  const unfetched = await assertRejects(() => fetchPart(built.firmware, part, offline), FlashError);
  assertEquals(unfetched.code, "NO_FILE");
});

Deno.test("a wrong manifest is a complaint, and the other firmware can still be chosen", async () => {
  const files = await site();
  files.set("firmware/index.json", JSON.stringify(["broken", "missing", "nonos", "../evil"]));
  files.set("firmware/broken/manifest.json", "{");
  const { firmware, complaints } = await listFirmware(BASE, getter(files));
  assertEquals(firmware.length, 1);
  assertEquals(complaints.length, 3);
  assertStringIncludes(complaints[0]!, "broken: the manifest is not JSON");
  files.set("firmware/index.json", "{}");
  await assertRejects(() => listFirmware(BASE, getter(files)), FlashError, "is no list");
});
