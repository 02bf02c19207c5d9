/**
 * `deno task firmware --measure`: what a message costs on the emulated chip, with the core interpreted, translated
 * ahead of time by wasm2c, and translated without its checks, which is about what a compiler makes of the same in C.
 *
 * @module
 */
import { encodeApplication } from "./application.ts";
import { buildSim } from "./boards/sim/build.ts";
import { BuildError } from "./errors.ts";
import { frame, FrameReader, FromChip, ToChip, u16, u32 } from "./sim/frames.ts";
import { run, sectionSizes } from "./toolchain.ts";

const HERE = new URL("./", import.meta.url);
const CORE = new URL("../../client-as/build/core.wasm", HERE);

/** Counts of one way to run the core. */
export interface Measured {
  /** "wasm3", "wasm2c" or "native". */
  way: string;
  /** Instructions for a message of 32 bytes that arrives, is taken and acknowledged. */
  incoming: number;
  /** Instructions for one that is written, sent and acknowledged. */
  outgoing: number;
  /** Instructions from the .wasm in flash to a core that is ready. */
  load: number;
  /** Bytes of heap. */
  heap: number;
  /** Bytes of code and constants in flash, the whole firmware with it. */
  flash: number;
}

/** Builds and runs all ways. @throws {BuildError} */
export async function measure(
  folder: string,
  say: (line: string) => void = () => {},
): Promise<Measured[]> {
  const text = (name: string) => Deno.readTextFileSync(new URL(`measure/${name}`, HERE));
  const bench = { name: "bench.c", text: text("bench.c") };
  const results: Measured[] = [];
  for (const way of ["wasm3", "wasm2c", "native"]) {
    say(`measuring ${way}`);
    const more = [bench];
    if (way !== "wasm3") more.push(...await translated(way === "native", folder, text));
    const without = way === "wasm3" ? [] : ["engine_wasm3.c"];
    const elf = await buildSim(`${folder}/${way}`, "0", ["-DSIM_BENCH"], () => {}, {
      without,
      more,
    });
    const sizes = await sectionSizes(elf, folder);
    const counts = await runBench(elf);
    results.push({
      way,
      incoming: counts.get("incoming")!,
      outgoing: counts.get("outgoing")!,
      load: counts.get("load")!,
      heap: counts.get("heap")!,
      flash: sizes[".irom.text"]! + sizes[".rodata"]!,
    });
  }
  return results;
}

/** The core in C, and what it needs. */
async function translated(
  native: boolean,
  folder: string,
  text: (name: string) => string,
): Promise<{ name: string; text: string; flags?: string[] }[]> {
  await Deno.mkdir(folder, { recursive: true });
  await run("wasm2c", [CORE.pathname, "-n", "core", "-o", "core_wasm2c.c"], folder);
  const flags = [
    "-w",
    "-O2",
    "-mno-force-l32",
    "-DNDEBUG",
    `-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=${native ? 1 : 0}`,
  ];
  return [
    { name: "wasm-rt.h", text: text("wasm-rt.h") },
    { name: "core_wasm2c.h", text: Deno.readTextFileSync(`${folder}/core_wasm2c.h`) },
    { name: "core_wasm2c.c", text: Deno.readTextFileSync(`${folder}/core_wasm2c.c`), flags },
    { name: "engine_wasm2c.c", text: text("engine_wasm2c.c"), flags },
  ];
}

/** Runs a bench to its end, one instruction at a time. */
async function runBench(elf: string): Promise<Map<string, number>> {
  const args = [
    "-M",
    "sim",
    "-cpu",
    "lx106",
    "-display",
    "none",
    "-monitor",
    "none",
    "-serial",
    "none",
  ];
  const child = new Deno.Command("qemu-system-xtensa", {
    args: [...args, "-semihosting", "-icount", "shift=0", "-kernel", elf],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const send = (bytes: Uint8Array) =>
    void writer.write(bytes as Uint8Array<ArrayBuffer>).catch(() => {});
  send(frame(ToChip.wake, 0, u16(1), u32(1), new Uint8Array(64)));
  const area = encodeApplication("core", await Deno.readFile(CORE));
  for (let at = 0; at < area.length; at += 4096) {
    send(frame(ToChip.flash, u32(0xf0000 + at), area.subarray(at, at + 4096)));
  }
  send(frame(ToChip.flash));
  const { code, stdout, stderr } = await child.output();
  await writer.close().catch(() => {});
  const decoder = new TextDecoder();
  const lines = new FrameReader().push(stdout).filter(({ type }) => type === FromChip.serial)
    .map(({ payload }) => decoder.decode(payload));
  const counts = lines.map((line) => line.match(/bench (\w+)=(\d+)/)).filter((m) => m !== null);
  if (code !== 0 || counts.length < 4 || lines.some((line) => line.includes("failed"))) {
    throw new BuildError(
      `the bench ended with ${code}: ${lines.join("")}${decoder.decode(stderr)}`,
    );
  }
  return new Map(counts.map(([, what, number]) => [what!, Number(number)]));
}

/** The results as a table: instructions, and bytes. */
export function showMeasured(results: Measured[]): string {
  const native = results.find(({ way }) => way === "native")!;
  const times = (value: number, base: number) => `${(value / base).toFixed(1)} x`;
  const rows = results.map(({ way, incoming, outgoing, load, heap, flash }) =>
    [
      way,
      incoming,
      times(incoming, native.incoming),
      outgoing,
      times(outgoing, native.outgoing),
      load,
      heap,
      flash,
    ].map((cell) => String(cell).padStart(9)).join(" ")
  );
  const head = ["", "incoming", "", "outgoing", "", "load", "heap", "flash"];
  return [head.map((cell) => cell.padStart(9)).join(" "), ...rows].join("\n");
}
