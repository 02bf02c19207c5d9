/**
 * Shared by tests of the firmware: a build, and a chip that runs it behind a network that can fail.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { buildEmulator } from "../../bridge/esp8266/targets/emulator/build.ts";
import type { Settings } from "../../bridge/formats/settings.ts";
import { Emulator, type EmulatorOptions } from "../../bridge/esp8266/emulator/emulator.ts";
import { FaultProxy } from "../support/proxy.ts";
import { type Tools, toolTest } from "../support/tools.ts";
import { until } from "../support/wait.ts";

const ROOT = new URL("../../", import.meta.url);
const ESP8266 = new URL("bridge/esp8266/", ROOT);

/** The programs for building and running a chip's firmware, with their Debian packages. */
export const chipTools = {
  "xtensa-lx106-elf-gcc": "gcc-xtensa-lx106",
  "xtensa-lx106-elf-size": "binutils-xtensa-lx106",
  "/usr/lib/xtensa-lx106-elf/lib/libc.a": "picolibc-xtensa-lx106-elf",
  "qemu-system-xtensa": "qemu-system-misc",
  npm: "npm",
  tar: "tar",
} as const;

/** Registers a test that needs a chip. */
export function chipTest(
  name: string,
  fn: (tools: Tools<keyof typeof chipTools>) => Promise<void>,
): void {
  toolTest(name, chipTools, fn);
}

/**
 * The path of the firmware's ELF file, built from the sources as they are, with the application in it if one is
 * given. Test files run in parallel and need the same build: each builds in a folder of its own, and the first to
 * finish gives it the common name.
 */
export async function firmware(
  defines: string[] = [],
  aot?: ReturnType<typeof application>,
): Promise<string> {
  const folder = new URL(`build/test-${sourcesHash(defines, aot)}`, ESP8266).pathname;
  if (isThere(`${folder}/emulator.elf`)) return `${folder}/emulator.elf`;
  await Deno.mkdir(new URL("build", ESP8266), { recursive: true });
  const work = await Deno.makeTempDir({ dir: new URL("build", ESP8266).pathname });
  try {
    await buildEmulator(work, "0.1.0", { defines, aot });
    try {
      await Deno.rename(work, folder);
    } catch (error) {
      if (!isThere(`${folder}/emulator.elf`)) throw error;
    }
  } finally {
    if (isThere(work)) await Deno.remove(work, { recursive: true });
  }
  return `${folder}/emulator.elf`;
}

/** A hash of all sources, so that an old build is never taken for a new one. */
function sourcesHash(defines: string[], aot?: ReturnType<typeof application>): string {
  const hash = createHash("sha256").update(JSON.stringify(defines));
  if (aot) hash.update(aot.name).update(aot.wasm);
  for (const folder of ["", "firmware/", "aot/", "targets/emulator/"]) {
    const url = new URL(folder, ESP8266);
    const names = [...Deno.readDirSync(url)].filter(({ isFile }) => isFile).map(({ name }) => name);
    for (const name of names.filter((name) => /\.(ts|c|h|S|ld)$/.test(name)).sort()) {
      hash.update(name).update(Deno.readFileSync(new URL(name, url)));
    }
  }
  return hash.digest("hex").slice(0, 16);
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** An application of client-as/build. */
export function application(name: string): { name: string; wasm: Uint8Array<ArrayBuffer> } {
  return { name, wasm: Deno.readFileSync(new URL(`client-as/build/${name}.wasm`, ROOT)) };
}

/** A chip with settings for a server on this machine. */
export async function plugIn(
  { port, id, settings, ...options }: Partial<EmulatorOptions> & {
    port: number;
    id: string;
    /** Besides WiFi, server and id. `timeout` is in ms of the chip's clock: the server's times `speed`. */
    settings?: Settings;
  },
): Promise<Emulator> {
  return new Emulator({
    firmware: await firmware(),
    settings: { ssid: "Home", password: "12345678", server: "127.0.0.1", port, id, ...settings },
    ...options,
  });
}

/** Waits for a line on a chip's console that contains a text, or matches, after the first `from` lines. */
export async function line(board: Emulator, wanted: string | RegExp, from = 0): Promise<string> {
  const isWanted = (line: string) =>
    typeof wanted === "string" ? line.includes(wanted) : wanted.test(line);
  return await until(() => {
    board.check();
    return board.lines.slice(from).find(isWanted);
  }, { what: () => `the line ${wanted}, after:\n  ${board.lines.slice(-12).join("\n  ")}` });
}

/** Whether a chip's link is up, according to its console. */
export function isUp(board: Emulator): boolean {
  const last = board.lines.findLast((l) => /^holdfast: (link (up|down)|boot)/.test(l));
  return last?.startsWith("holdfast: link up") ?? false;
}

/** How often a chip's link came up since it was plugged in. */
export function connects(board: Emulator): number {
  return board.lines.filter((l) => l.startsWith("holdfast: link up")).length;
}

/** A chip behind a proxy. */
export async function plugInBehindProxy(
  options: Parameters<typeof plugIn>[0],
): Promise<{ board: Emulator; proxy: FaultProxy; outage: () => Promise<void> } & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const proxy = stack.use(await FaultProxy.start({ target: { port: options.port } }));
  const board = stack.use(await plugIn({ ...options, port: proxy.port }));
  /** An outage, from its beginning to its end. */
  const outage = async () => {
    await until(() => isUp(board), { what: "the link to be up" });
    const before = connects(board);
    proxy.blackhole();
    await until(() => !isUp(board), { what: "the outage to be noticed" });
    proxy.restore({ drop: true });
    await until(() => connects(board) > before, { what: "the link to be back" });
  };
  return { board, proxy, outage, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
