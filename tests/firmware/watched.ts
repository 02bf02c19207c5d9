/**
 * A chip whose emulator counts instructions and checks memory accesses: see plugin/plugin.c.
 *
 * @module
 */
import { run } from "../../bridge/esp8266/toolchain.ts";

/** The counts so far. */
export interface Counters {
  instructions: number;
  /** Loads from flash and instruction memory. */
  loads: number;
  /** Stores to instruction memory. */
  stores: number;
  /** Those of less than a word, which the chip cannot do. */
  illegal: number;
  /** Where the last of these was, and which address it used; for people. */
  where: string;
}

/** Watches a chip from its start. Add `arguments` to its options. */
export class Watch {
  readonly arguments: string[];

  private constructor(readonly folder: string, from: string) {
    this.arguments = ["-plugin", `${folder}/plugin.so,counters=${folder}/counters,from=0x${from}`];
  }

  /** Compiles the plugin into `folder`. `elf`: the firmware to watch, from `start` on. */
  static async prepare(
    gcc: string,
    folder: string,
    elf: string,
    start = "firmware_start",
  ): Promise<Watch> {
    const source = new URL("plugin/plugin.c", import.meta.url).pathname;
    const args = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", source];
    await run(gcc, [...args, "-o", "plugin.so"], folder);
    const symbols = await run("xtensa-lx106-elf-nm", [elf], folder);
    const [, from] = symbols.match(new RegExp(`^([0-9a-f]+) \\w ${start}$`, "m")) ?? [];
    if (from === undefined) throw new Error(`${elf} has no ${start}`);
    return new Watch(folder, from);
  }

  get counters(): Counters {
    const bytes = Deno.readFileSync(`${this.folder}/counters`);
    const view = new DataView(bytes.buffer);
    const number = (n: number) => Number(view.getBigUint64(n * 8, true));
    const hex = (n: number) => `0x${number(n).toString(16)}`;
    return {
      instructions: number(0),
      loads: number(1),
      stores: number(2),
      illegal: number(3),
      where: `at ${hex(4)}, of ${hex(5)}`,
    };
  }
}
