/**
 * A process's writes and syncs, as seen by the kernel, with strace. The files themselves do not show what would survive
 * a loss of power, because the system also shows data that is not on the disk yet.
 *
 * @module
 */
import { dirname } from "node:path";

/** One system call that has succeeded. */
export type Call =
  | { call: "write"; path: string; offset: number | undefined }
  | { call: "truncate"; path: string }
  | { call: "sync"; path: string }
  | { call: "rename"; from: string; to: string }
  | { call: "say"; text: string };

const TRACED = "fsync,fdatasync,pwrite64,write,writev,ftruncate,rename,renameat,renameat2";

/** Whether strace may trace on this machine. */
export function mayTrace(strace: string): boolean {
  const { success } = new Deno.Command(strace, {
    args: ["-f", "-o", "/dev/null", "true"],
    stderr: "null",
  }).outputSync();
  return success;
}

/** Runs a program to its end. @returns its calls, in their order; a write to stdout is a call "say" */
export async function callsOf(strace: string, ...args: string[]): Promise<Call[]> {
  const trace = Deno.makeTempFileSync({ prefix: "holdfast_" });
  try {
    const { success, stderr } = await new Deno.Command(strace, {
      args: ["-f", "-y", "-s", "40", "-o", trace, "-e", `trace=${TRACED}`, ...args],
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return [...parse(Deno.readTextFileSync(trace))];
  } finally {
    Deno.removeSync(trace);
  }
}

function* parse(trace: string): Iterable<Call> {
  const begun = new Map<string, string>(); // interrupted calls, by thread
  for (const line of trace.split("\n")) {
    const [, thread = "", rest = ""] = line.match(/^(\d+) +(.*)$/) ?? [];
    const unfinished = rest.match(/^(.*) <unfinished \.\.\.>$/);
    if (unfinished) {
      begun.set(thread, unfinished[1]!);
      continue;
    }
    const resumed = rest.match(/^<\.\.\. \w+ resumed>(.*)$/);
    const whole = resumed ? begun.get(thread) + resumed[1]! : rest;
    const [, name, params = "", result] = whole.match(/^(\w+)\((.*)\) += (-?\d+)/) ?? [];
    if (name === undefined || Number(result) < 0) continue;
    yield toCall(name, params);
  }
}

function toCall(name: string, params: string): Call {
  if (name.startsWith("rename")) {
    const [from = "", to = ""] = Array.from(params.matchAll(/"([^"]*)"/g), ([, path]) => path!);
    return { call: "rename", from, to };
  }
  const [, fd, path = ""] = params.match(/^(\d+)<([^>]*)>/) ?? [];
  if (name === "fsync" || name === "fdatasync") return { call: "sync", path };
  if (fd === "1") return { call: "say", text: params.match(/"([^"]*)"/)?.[1] ?? "" };
  if (name === "ftruncate") return { call: "truncate", path };
  const offset = name === "pwrite64" ? Number(params.match(/(\d+)$/)?.[1]) : undefined;
  return { call: "write", path, offset };
}

/**
 * Tracks, call by call, what was written to an SQLite file and its log and not synced, and checks what must be on the
 * disk before something else happens.
 */
export class Disk {
  readonly unsynced = new Set<string>();
  readonly counts = { commits: 0, checkpoints: 0, restarts: 0, backups: 0 };
  readonly faults: string[] = [];
  #folderSynced = 0; // number of the call that synced the folder
  #renamed = 0;
  #calls = 0;

  /** @param isSynced Whether a commit must be on the disk when it has returned. */
  constructor(readonly path: string, readonly isSynced: boolean) {}

  see(call: Call): void {
    this.#calls++;
    switch (call.call) {
      case "write":
        return this.#write(call.path, call.offset);
      case "truncate":
        // Frames after the newest commit in the log are never read, so they may come back.
        return call.path === `${this.path}-wal` ? undefined : this.#write(call.path, undefined);
      case "sync":
        if (call.path === dirname(this.path)) this.#folderSynced = this.#calls;
        this.unsynced.delete(call.path);
        return;
      case "rename":
        if (call.to !== `${this.path}-backup`) return;
        this.#renamed = this.#calls;
        this.#mustBeSynced(call.from, "a backup takes its place");
        return;
      case "say":
        return call.text.startsWith("commit") ? this.#commit() : this.#backup();
    }
  }

  #write(path: string, offset: number | undefined): void {
    if (!path.startsWith(this.path)) return;
    const log = `${this.path}-wal`;
    if (path === this.path && this.counts.commits > 0) {
      if (!this.unsynced.has(path)) this.counts.checkpoints++;
      this.#mustBeSynced(log, "its pages are moved into the file");
    }
    if (path === log && offset === 0 && this.counts.commits > 0) {
      this.counts.restarts++;
      this.#mustBeSynced(this.path, "the log begins again");
    }
    this.unsynced.add(path);
  }

  #commit(): void {
    this.counts.commits++;
    if (this.#folderSynced === 0) this.faults.push("the files' names may be lost");
    if (this.isSynced) this.#mustBeSynced(`${this.path}-wal`, "a commit returns");
  }

  #backup(): void {
    this.counts.backups++;
    if (this.#renamed > this.#folderSynced) this.faults.push("a backup's name may be lost");
  }

  #mustBeSynced(path: string, before: string): void {
    if (this.unsynced.has(path)) this.faults.push(`${path} is not synced before ${before}`);
  }
}
