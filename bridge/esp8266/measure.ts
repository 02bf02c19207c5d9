/**
 * `deno task firmware --measure`: the cost of a message on the emulated chip. The core is interpreted, or translated
 * ahead of time as with `--aot`, or translated without checks of addresses, which is about as fast as the same code
 * written in C: once compiled for size like the rest of the firmware, and once for speed.
 *
 * @module
 */
import { encodeApplication } from "../formats/application.ts";
import type { Application } from "./target.ts";
import { buildEmulator } from "./targets/emulator/build.ts";
import { BuildError } from "./errors.ts";
import { EMULATOR } from "./emulator/processor.ts";
import { frame, FrameReader, FromChip, ToChip, u16, u32 } from "./emulator/frames.ts";
import { sectionSizes } from "./toolchain.ts";

const HERE = new URL("./", import.meta.url);

/** Makes wasm2c believe that the operating system detects bad addresses. */
const UNCHECKED = [
  ...["-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=1", "-DWASM_RT_SKIP_SIGNAL_RECOVERY=1"],
  "-DAOT_UNCHECKED",
];

/** The ways to run the core; undefined: interpreted. */
const WAYS: Record<string, { aotFlags?: string[] } | undefined> = {
  wasm3: undefined,
  wasm2c: {},
  // Compiled like the rest of the firmware; loads are inlined, as in C.
  native: { aotFlags: [...UNCHECKED, "-Os", "-Dinline=inline __attribute__((always_inline))"] },
  "native -O2": { aotFlags: UNCHECKED },
};

/** The counts for one way to run the core. */
export interface Measured {
  /** "wasm3", "wasm2c", "native" or "native -O2". */
  way: string;
  /** Instructions for a message of 32 bytes that arrives, is taken and acknowledged. */
  incoming: number;
  /** Instructions for a message that is written, sent and acknowledged. */
  outgoing: number;
  /** Instructions from the .wasm in flash until the core is ready. */
  load: number;
  /** Bytes of heap. */
  heap: number;
  /** Bytes of code and constants in flash, for the whole firmware. */
  flash: number;
  /** Instructions for the three HMACs of a greeting, the keys of a sealed link, an ephemeral key, the shared secret of
   * two such keys, and the cipher of a record with a message of 32 bytes. */
  proofs: number;
  keys: number;
  ephemeral: number;
  shared: number;
  record: number;
}

/** Builds and runs all ways. @throws {BuildError} */
export async function measure(
  folder: string,
  say: (line: string) => void = () => {},
): Promise<Measured[]> {
  const text = Deno.readTextFileSync(new URL("measure/message.c", HERE));
  const core = {
    name: "core",
    wasm: await Deno.readFile(new URL("../../client-as/build/core.wasm", HERE)),
  };
  const results: Measured[] = [];
  for (const [way, translated] of Object.entries(WAYS)) {
    say(`measuring ${way}`);
    const elf = await buildEmulator(`${folder}/${way.replace(" ", "")}`, "0", {
      defines: ["-DEMULATOR_PROGRAM"],
      more: [{ name: "message.c", text }],
      ...(translated ? { aot: core, ...translated } : {}),
    });
    const sizes = await sectionSizes(elf, folder);
    const counts = await runProgram(elf, core);
    results.push({
      way,
      incoming: counts.get("incoming")!,
      outgoing: counts.get("outgoing")!,
      load: counts.get("load")!,
      heap: counts.get("heap")!,
      flash: sizes[".irom.text"]! + sizes[".rodata"]!,
      proofs: counts.get("proofs")!,
      keys: counts.get("keys")!,
      ephemeral: counts.get("ephemeral")!,
      shared: counts.get("shared")!,
      record: counts.get("record")!,
    });
  }
  return results;
}

/** Runs the program to its end, one instruction at a time. */
async function runProgram(
  elf: string,
  { name, wasm }: Application,
): Promise<Map<string, number>> {
  const child = new Deno.Command("qemu-system-xtensa", {
    args: [...EMULATOR, "-icount", "shift=0", "-kernel", elf],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const send = (bytes: Uint8Array) =>
    void writer.write(bytes as Uint8Array<ArrayBuffer>).catch(() => {});
  send(frame(ToChip.wake, 0, u16(1), u32(1), new Uint8Array(64)));
  const area = encodeApplication(name, wasm);
  for (let at = 0; at < area.length; at += 4096) {
    send(frame(ToChip.flash, u32(0xf0000 + at), area.subarray(at, at + 4096)));
  }
  send(frame(ToChip.flash));
  const { code, stdout, stderr } = await child.output();
  await writer.close().catch(() => {});
  const decoder = new TextDecoder();
  const lines = new FrameReader().push(stdout).filter(({ type }) => type === FromChip.serial)
    .map(({ payload }) => decoder.decode(payload));
  const counts = lines.map((line) => line.match(/message (\w+)=(\d+)/)).filter((m) => m !== null);
  if (code !== 0 || counts.length < 9 || lines.some((line) => line.includes("failed"))) {
    throw new BuildError(
      `the program ended with ${code}: ${lines.join("")}${decoder.decode(stderr)}`,
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
    ].map((cell) => String(cell).padStart(10)).join(" ")
  );
  const head = ["", "incoming", "", "outgoing", "", "load", "heap", "flash"];
  const { proofs, keys, ephemeral, shared, record } = native;
  const sealing = `a greeting with a key: proofs ${proofs}, keys of a sealed link ${keys}, ` +
    `an ephemeral key ${ephemeral}, its shared secret ${shared}; ` +
    `the cipher of a record of one message: ${record}`;
  return [head.map((cell) => cell.padStart(10)).join(" "), ...rows, sealing].join("\n");
}
