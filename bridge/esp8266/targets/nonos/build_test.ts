/**
 * The firmware for the chip. Its SDK is in no package registry, and nothing here fetches it: without its folder in
 * HOLDFAST_SDK, the tests that need it are shown as ignored, in CI too. One also needs HOLDFAST_ESPTOOL, a checkout
 * of Python's esptool (see tests/browser/README.md).
 *
 * @module
 */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { BuildError } from "../../errors.ts";
import { decodeImage } from "../../../formats/image.ts";
import { checkPart, type FlashSize, partsFor, readManifest } from "../../../formats/manifest.ts";
import { release } from "../../release.ts";
import { run } from "../../toolchain.ts";
import { BUDGET, build, link } from "./build.ts";
import {
  flashReferences,
  functionsOf,
  storesToNowhere,
  subWordLoads,
} from "../../../../tests/firmware/machine_code.ts";

const SDK = Deno.env.get("HOLDFAST_SDK") || undefined;
const ESPTOOL = Deno.env.get("HOLDFAST_ESPTOOL") || undefined;
const PYTHON = Deno.env.get("HOLDFAST_PYTHON") ?? "python3";
const wasm = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

const options = (out: string, sdk: string) => ({
  out,
  sdk,
  version: "0.1.0",
  flavour: "wifi",
  applications: [{ name: "main", wasm }, { name: "other", wasm }],
  say: () => {},
});

async function withFolders(use: (...folders: string[]) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "holdfast-nonos-" });
  try {
    const folders = ["a", "b/deeper"].map((name) => `${folder}/${name}`);
    for (const name of folders) await Deno.mkdir(name, { recursive: true });
    await use(...folders);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function sdkTest(name: string, fn: (sdk: string) => Promise<void>): void {
  const ignore = SDK === undefined;
  Deno.test({ name: ignore ? `${name} [HOLDFAST_SDK]` : name, ignore, fn: () => fn(SDK!) });
}

Deno.test("a folder without an SDK is refused: the message says what it lacks and where to get it", async () => {
  await withFolders(async (out) => {
    await assertRejects(
      () => build(options(out!, out!)),
      BuildError,
      `${out} is not ESP8266_NONOS_SDK 3.0.x: it lacks include/user_interface.h. `,
    );
  });
});

sdkTest("two builds in two folders give the same firmware", async (sdk) => {
  await withFolders(async (a, b) => {
    const { files, sizes } = await build(options(a!, sdk));
    const again = await build(options(b!, sdk));
    assertEquals(again.sizes, sizes);
    for (const [name, file] of Object.entries(files)) {
      assertEquals(await Deno.readFile(again.files[name]!), await Deno.readFile(file), name);
    }
    assert(sizes["IRAM"]! <= BUDGET.iram && sizes["boot image"]! <= BUDGET.boot);

    // The manifest describes exactly these files, and the ROM can start the images.
    const manifest = readManifest(await Deno.readTextFile(files.manifest!));
    const sizeCodes: Record<FlashSize, number> = { "1MB": 2, "4MB": 4 };
    for (const [size, sizeCode] of Object.entries(sizeCodes)) {
      const parts = partsFor(manifest, size as FlashSize);
      for (const part of [...parts, ...manifest.applications]) {
        await checkPart(part, await Deno.readFile(`${a}/${part.file}`));
      }
      assertEquals(parts.map(({ name }) => name), [
        "boot",
        "code",
        "rf-calibration",
        "init-data",
        "system",
      ]);
      const image = decodeImage(await Deno.readFile(`${a}/${parts[0]!.file}`));
      assertEquals([image.sizeCode, image.mode], [sizeCode, "dout"]); // every module starts with it
      assertEquals(image.entry, 0x40100004);
    }
    assertEquals(manifest.applications.map(({ name }) => name), ["main", "other"]);
  });
});

Deno.test({
  name: `Python's esptool reads the images correctly${
    SDK && ESPTOOL ? "" : " [HOLDFAST_SDK and HOLDFAST_ESPTOOL]"
  }`,
  ignore: !SDK || !ESPTOOL,
  fn: () =>
    withFolders(async (out) => {
      const { files } = await build({ ...options(out!, SDK!), flashMode: "qio" });
      for (const name of ["boot.bin", "boot-4MB.bin"]) {
        const args = ["esptool.py", "--chip", "esp8266", "image_info", files[name]!];
        const said = await run(PYTHON, args, ESPTOOL!);
        assertMatch(said, /Entry point: (0x)?40100004/);
        assertMatch(said, /Checksum: (0x)?[0-9a-f]{2} \(valid\)/);
        const { segments, mode } = decodeImage(await Deno.readFile(files[name]!));
        assertEquals(mode, "qio");
        const read = said.matchAll(/^Segment \d+: len (0x[0-9a-f]+) load (0x[0-9a-f]+)/gm);
        assertEquals(
          [...read].map(([, length, address]) => [Number(length), Number(address)]),
          segments.map(({ address, data }) => [data.length, address]),
        );
      }
    }),
});

sdkTest(
  "no code reads flash in bytes or stores to an address without a register, and no interrupt needs flash",
  async (sdk) => {
    await withFolders(async (out) => {
      const { folder, objects, elf } = await link(options(out!, sdk));
      assertEquals(elf.symbols.filter((symbol) => symbol.undefined).map(({ name }) => name), []);
      for (const object of objects) {
        const disassembly = await run("xtensa-lx106-elf-objdump", ["-d", object], folder);
        assertEquals(storesToNowhere(disassembly), [], object);
        const faults = subWordLoads(disassembly);
        // The interpreter's operations read the application's memory, which is RAM.
        assertEquals(faults.filter((fault) => !fault.function.startsWith("op_")), [], object);
      }
      // The C library's functions read bytes, so their arguments must not be in flash.
      for (const object of objects.filter((name) => name.includes("target_"))) {
        const undefineds = await run("xtensa-lx106-elf-nm", ["--undefined-only", object], folder);
        assertEquals(undefineds.match(/\b(mem(cpy|move|cmp|chr)|str\w+)$/gm) ?? [], [], object);
      }
      const inRam = (await Promise.all(
        objects.map((object) =>
          run("xtensa-lx106-elf-objdump", ["-d", "-j", ".iram.text", object], folder)
            .then(functionsOf, () => []) // it has no such section
        ),
      )).flat();
      assertEquals(inRam.sort(), ["on_interrupt", "on_timer", "task_wake"]);
      const code = await run(
        "xtensa-lx106-elf-objdump",
        ["-d", "-j", ".text", "nonos.elf"],
        folder,
      );
      assertEquals(flashReferences(code, inRam), []);
      // The SDK's function that they call is in RAM as well.
      const post = elf.symbols.find(({ name }) => name === "system_os_post")!.value;
      assert(post >= 0x40100000 && post < 0x40108000, post.toString(16));
    });
  },
);

sdkTest("a release for the chip contains the vendor's licence and lwIP's notices", async (sdk) => {
  await withFolders(async (out) => {
    const { files } = await release({
      out: out!,
      board: "nonos",
      sdk,
      version: "0.1.0",
      build,
      flavours: { wifi: [{ name: "main", wasm }] },
      say: () => {},
    });
    for (const file of ["index.html", "SHA256SUMS", "firmware/nonos/init-data.bin"]) {
      assert(files.includes(file), file);
    }
    const manifest = readManifest(await Deno.readTextFile(`${out}/firmware/nonos/manifest.json`));
    assertEquals(manifest.applications.map(({ name }) => name), ["main"]);
    const licences = await Deno.readTextFile(`${out}/licences.txt`);
    for (
      const words of ["ESPRESSIF MIT License", "Swedish Institute of Computer Science", "wasm3"]
    ) {
      assertStringIncludes(licences, words);
    }
  });
});
