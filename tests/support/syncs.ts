/**
 * What a process writes and syncs, as the kernel sees it: by strace. Whether something would survive a loss of power
 * cannot be seen in the files themselves, as the system shows what is not on the disk yet.
 *
 * @module
 */

/** One system call that has succeeded. */
export type Call =
  | { call: "write"; path: string; offset: number | undefined }
  | { call: "sync"; path: string }
  | { call: "rename"; from: string; to: string }
  | { call: "say"; text: string };

const TRACED = "fsync,fdatasync,pwrite64,write,writev,ftruncate,rename,renameat,renameat2";

/** Whether this machine lets strace trace. */
export function mayTrace(strace: string): boolean {
  const { success } = new Deno.Command(strace, {
    args: ["-f", "-o", "/dev/null", "true"],
    stderr: "null",
  }).outputSync();
  return success;
}

/** Runs a program to its end. @returns its calls, in their order; what it writes to stdout is what it says */
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
  const begun = new Map<string, string>(); // by threads that were interrupted
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
  const offset = name === "pwrite64" ? Number(params.match(/(\d+)$/)?.[1]) : undefined;
  return { call: "write", path, offset };
}
