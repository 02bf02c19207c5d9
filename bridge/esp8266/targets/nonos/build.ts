/**
 * Builds for the chip: links the firmware with the vendor's SDK, and writes the files for its flash.
 *
 * @module
 */
import type { BuildOptions, Built } from "../../target.ts";
import { builtIn, flavourDefines } from "../../target.ts";
import { type Elf, readElf } from "../../elf.ts";
import { BuildError } from "../../errors.ts";
import { compileFirmware } from "../../firmware.ts";
import { writeFlashFiles } from "../../flash_files.ts";
import { imagesOf } from "../../placement.ts";
import { run } from "../../toolchain.ts";

/** The vendor's libraries that are linked. */
const LIBRARIES = ["hal", "phy", "pp", "net80211", "lwip", "wpa", "crypto", "main"];

/** Files of the SDK that a build needs. */
const NEEDED = [
  "include/user_interface.h",
  "third_party/include/lwip/tcp.h",
  "ld/eagle.rom.addr.v6.ld",
  "bin/esp_init_data_default_v08.bin",
  ...LIBRARIES.map((name) => `lib/lib${name}.a`),
];

/** Memory of the chip, in bytes. */
const DRAM = { start: 0x3ffe8000, size: 0x14000 };
const IRAM = { start: 0x40100000, size: 0x8000 };

/** DRAM that must be left for the heap beside the linked data, and the sizes of the other places. */
export const BUDGET = {
  dramLeft: 54 * 1024,
  iram: IRAM.size,
  boot: 0x10000 - 1,
  code: 0xe0000,
};

/**
 * Heap that the SDK takes, in bytes: before the firmware starts, and for WiFi. Measured where the SDK ran with the
 * chip's own ROM, without a radio: linked with 55,648 bytes left, `main` reported 33,704 free bytes. A connection takes
 * more while it exists.
 */
const SDK_TAKES = { start: 1_544, wifi: 5_072 };

/** Bytes of heap that stay free beside an application of this size. @param dramLeft of the linked program */
export function heapLeft(dramLeft: number, application: number): number {
  const header = 16; // the heap's own, and alignment
  return dramLeft - SDK_TAKES.start - SDK_TAKES.wifi - application - header;
}

/** Builds the files for the flash. @throws {BuildError} */
export async function build(options: BuildOptions): Promise<Built> {
  const { elf, folder } = await link(options);
  const images = imagesOf(elf);
  const map = await Deno.readTextFile(`${folder}/nonos.map`);
  const sizes = measure(elf, map, images.code.length);
  check(sizes);
  const initData = await Deno.readFile(`${options.sdk}/bin/esp_init_data_default_v08.bin`);
  const files = await writeFlashFiles(options, "nonos", images, initData);
  options.say(`for 1 MB and 4 MB of flash: ${Object.keys(files).join(" ")}`);
  return { files, sizes };
}

/** Compiles and links. @throws {BuildError} */
export async function link(
  options: BuildOptions,
): Promise<{ elf: Elf; folder: string; objects: string[] }> {
  const { out, version, flavour, sdk, say } = options;
  if (sdk === undefined) throw new BuildError("the chip needs --sdk FOLDER: see README.md");
  checkSdk(sdk);
  const { folder, objects } = await compileFirmware(`${out}/work`, {
    name: "nonos",
    folder: new URL("./", import.meta.url),
    flags: [
      "-Itarget",
      "--param=min-pagesize=0", // or the compiler takes the registers' addresses for offsets from null
      ...["include", "third_party/include"].flatMap((path) => ["-isystem", `${sdk}/${path}`]),
    ],
  }, { version, defines: flavourDefines(flavour), say, aot: builtIn(options) });
  say("linking nonos.elf");
  // By its path: the SDK has another libgcc, for another compiler.
  const libgcc = (await run("xtensa-lx106-elf-gcc", ["-print-libgcc-file-name"], folder)).trim();
  await run("xtensa-lx106-elf-ar", ["rcsD", "libfirmware.a", ...objects], folder);
  await run("xtensa-lx106-elf-gcc", [
    "-nostdlib",
    ...["gc-sections", "build-id=none", "strip-debug", "orphan-handling=error", "no-warn-mismatch"]
      .map((option) => `-Wl,--${option}`),
    ...["-T", "target/linker.ld", "-T", `${sdk}/ld/eagle.rom.addr.v6.ld`],
    "-Wl,--undefined=call_user_start",
    ...["-Wl,--whole-archive", "libfirmware.a", "-Wl,--no-whole-archive"],
    `-L${sdk}/lib`,
    "-Wl,--start-group",
    ...LIBRARIES.map((name) => `-l${name}`),
    "-Wl,--end-group",
    libgcc,
    ...["-Wl,-Map,nonos.map", "-o", "nonos.elf"],
  ], folder);
  return { elf: readElf(await Deno.readFile(`${folder}/nonos.elf`)), folder, objects };
}

function checkSdk(sdk: string): void {
  for (const path of NEEDED) {
    try {
      Deno.statSync(`${sdk}/${path}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new BuildError(
        `${sdk} is not ESP8266_NONOS_SDK 3.0.x: it lacks ${path}. ` +
          "bridge/esp8266/targets/nonos/README.md says where to get it",
      );
    }
  }
}

type Sizes = Record<string, number>;

function measure(elf: Elf, map: string, code: number): Sizes {
  const size = (name: string) => elf.sections.find((section) => section.name === name)?.size ?? 0;
  const within = ({ start, size }: typeof DRAM) =>
    elf.sections.filter((s) => s.address >= start && s.address < start + size);
  const end = Math.max(...within(DRAM).map((s) => s.address + s.size));
  const iram = Math.max(...within(IRAM).map((s) => s.address + s.size)) - IRAM.start;
  const boot = elf.sections.filter((s) => s.bytes && s.address < 0x40200000);
  return {
    ".data": size(".data"),
    ".rodata": size(".rodata"),
    ".bss": size(".bss"),
    "DRAM of the firmware": dramOfFirmware(map),
    "DRAM left": DRAM.start + DRAM.size - end,
    "IRAM": iram,
    "boot image": boot.reduce((sum, section) => sum + section.size + 8, 8 + 16),
    "code in flash": code,
  };
}

/** Bytes of the firmware's own data in DRAM, from the linker's map. */
export function dramOfFirmware(map: string): number {
  const placed = map.slice(map.indexOf("Linker script and memory map"));
  let sum = 0;
  for (
    const [, address, size] of placed.matchAll(
      /^ *(?:[.\w]+\s+)?0x([0-9a-f]+)\s+0x([0-9a-f]+) libfirmware\.a\(/gm,
    )
  ) {
    const at = parseInt(address!, 16);
    if (at >= DRAM.start && at < DRAM.start + DRAM.size) sum += parseInt(size!, 16);
  }
  return sum;
}

/** @throws {BuildError} */
function check(sizes: Sizes): void {
  const complaints = [
    sizes["DRAM left"]! < BUDGET.dramLeft &&
    `DRAM left: ${sizes["DRAM left"]} bytes, must be at least ${BUDGET.dramLeft}`,
    sizes["IRAM"]! > BUDGET.iram && `IRAM: ${sizes["IRAM"]} of ${BUDGET.iram} bytes`,
    sizes["boot image"]! > BUDGET.boot &&
    `boot image: ${sizes["boot image"]} of ${BUDGET.boot} bytes`,
    sizes["code in flash"]! > BUDGET.code &&
    `code in flash: ${sizes["code in flash"]} of ${BUDGET.code} bytes`,
  ].filter((complaint) => complaint !== false);
  if (complaints.length > 0) {
    throw new BuildError(`the firmware is over its budget:\n  ${complaints.join("\n  ")}`);
  }
}
