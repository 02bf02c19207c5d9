/** The client's memory of a simulated host, which outlives its process; in a share of the worlds on a file. */
import type { ClientMemory, MemoryChange, Remembered } from "../../bridge/host/memory.ts";
import { MemoryFile } from "../../bridge/host/memory_file.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { ClientDisk } from "./client_disk.ts";
import type { SimDevice } from "./device.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import { copyDatabase, type Folder, removeDatabase } from "../../bridge/testing/files.ts";
import { read, tear } from "./sqlite.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export class SimMemory {
  /** The committed state. */
  readonly #disk = new ClientDisk();
  #path: string | undefined;
  #file: MemoryFile | undefined;

  /** @param first Number of the first message, as after a long time. */
  constructor(readonly device: SimDevice, readonly folder: Folder | undefined, first: number) {
    this.#path = folder?.next();
    if (first === 0 || folder) return;
    const progress = { position: { epoch: 0, next: 0 } };
    const epoch = device.world.random.word() || 1;
    const outbox = { epoch, first, next: first, messages: [] };
    this.#disk.state = { progress, outbox, clock: { time: 0, date: 0 } };
  }

  /** Nothing can be written. */
  set full(full: boolean) {
    this.#disk.full = full;
  }

  /** Opens it for a process. @param committed Called when a commit is safe, before the process goes on or is killed */
  open(platform: SimPlatform, committed: (change: MemoryChange) => void): ClientMemory {
    if (this.#path !== undefined) {
      this.#file = new MemoryFile(this.#path, this.device.id);
      const [file, rows] = [this.#file.kept, this.#disk.state].map(asText);
      if (file !== rows) throw new Violation(`the memory's file has ${file}, and not ${rows}`);
    }
    return {
      kept: this.#disk.state,
      commit: (change) => {
        if (platform.isAlive) this.#commit(change, platform, committed);
        if (!platform.isAlive) throw new Error("the process is dead");
      },
      close() {},
    };
  }

  #commit(
    change: MemoryChange,
    platform: SimPlatform,
    committed: (change: MemoryChange) => void,
  ): void {
    const { device, device: { world } } = this;
    world.step();
    if (!platform.isAlive) return; // killed before the commit
    if (this.#disk.full) throw new LocalError("STORE_FAILED", "the memory is full");
    const { tears } = device;
    device.tears = undefined;
    if (tears === "before" && !this.#path) return device.dieOf("device killed in a commit");
    const before = tears === "before" ? read(`${this.#path}-wal`) : undefined;
    this.#file?.commit(change);
    // A commit that is not complete in the log does not count.
    if (tears === "before" && this.#kill((path) => tear(`${path}-wal`, before!, below))) {
      return device.dieOf("device killed in a commit");
    }
    const held = this.#disk.state?.outbox.messages ?? [];
    this.#disk.commit(change);
    committed(change);
    for (const { text } of change.written) device.books.deviceKept(decoder.decode(text));
    for (const { number, text } of held) {
      if (number >= change.first && !change.withdrawn.includes(number)) continue;
      device.books.deviceForgot(decoder.decode(text), device.leastLine);
    }
    if (tears) device.dieOf("device killed in a commit");

    function below(n: number): number {
      return world.random.below(n);
    }
  }

  /** Its process is killed: the next one finds the current state. */
  die(): void {
    this.#kill(() => true);
  }

  /** @param change Changes what is left. @returns its result */
  #kill(change: (path: string) => boolean): boolean {
    const path = this.#path;
    if (path === undefined || !this.#file) return true;
    const next = this.folder!.next();
    copyDatabase(path, next);
    const changed = change(next);
    this.#file.close();
    this.#file = undefined;
    removeDatabase(path);
    this.#path = next;
    return changed;
  }
}

function asText(kept: Remembered | undefined): string {
  return JSON.stringify(
    kept,
    (_, value) => value instanceof Uint8Array ? decoder.decode(value) : value,
  );
}
