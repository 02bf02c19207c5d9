/**
 * Tests with a full file system.
 *
 * @module
 */
import { statfsSync } from "node:fs";
import { assert } from "@std/assert";

/** A small file system of its own, mounted over a folder. */
export interface SmallDisk {
  readonly folder: string;
  /** Fills it up. */
  fill(): void;
  /** Frees the room, and waits until it is available: the system frees a file's blocks once nobody has the file
   * open. */
  empty(): void;
}

/** Longest wait in ms. */
const MOST_WAIT = 30_000;

/** Registers a test with such a disk; without the permission to mount, it is shown as ignored. */
export function smallDiskTest(name: string, run: (disk: SmallDisk) => Promise<void> | void): void {
  const ignore = !mayMount();
  Deno.test({ name: ignore ? `${name} [needs root, to mount]` : name, ignore, fn });
  async function fn(): Promise<void> {
    const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
    assert(mount(folder));
    const filler = `${folder}/filler`;
    const fill = () => {
      using file = Deno.openSync(filler, { write: true, create: true });
      const block = new Uint8Array(4096);
      try {
        for (;;) file.writeSync(block);
      } catch {
        // full
      }
    };
    const empty = () => {
      Deno.removeSync(filler);
      const end = performance.now() + MOST_WAIT;
      for (;;) {
        const { bfree, blocks } = statfsSync(folder);
        if (bfree > blocks / 2) return;
        assert(performance.now() < end, `${bfree} of ${blocks} blocks are free`);
      }
    };
    try {
      await run({ folder, fill, empty });
    } finally {
      assert(command("umount", "-l", folder));
      Deno.removeSync(folder);
    }
  }
}

let answer: boolean | undefined;

function mayMount(): boolean {
  if (answer !== undefined) return answer;
  if (Deno.build.os !== "linux" || Deno.uid() !== 0) return answer = false;
  const folder = Deno.makeTempDirSync({ prefix: "holdfast_" });
  answer = mount(folder);
  if (answer) command("umount", "-l", folder);
  Deno.removeSync(folder);
  return answer;
}

function mount(folder: string): boolean {
  return command("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder);
}

function command(name: string, ...args: string[]): boolean {
  return new Deno.Command(name, { args, stderr: "null" }).outputSync().success;
}
