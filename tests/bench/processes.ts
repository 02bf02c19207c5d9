/**
 * The processes of a benchmark: the servers under test, and the loader. None outlives its `close`, or the benchmark,
 * because each exits when stdin is closed.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import type { WayOrder } from "./bridge_load.ts";
import type { Order, State, Written } from "./herd_load.ts";
import type { Closed, Command, Opened, Proof, Run, Saying } from "./load.ts";

const HERE = import.meta.dirname!;

/** The limit of open files of a process. */
export async function mostHandles(): Promise<number> {
  if (Deno.build.os === "windows") return Infinity;
  const { stdout } = await new Deno.Command("sh", { args: ["-c", "ulimit -Hn"] }).output();
  return Number(new TextDecoder().decode(stdout)) || Infinity; // it prints "unlimited"
}

/**
 * Lets a command have as many files open as the system allows. It keeps its process id.
 *
 * @param niceness see nice(1)
 */
function withHandles(command: string, args: string[], niceness: number): [string, string[]] {
  if (Deno.build.os === "windows") return [command, args];
  const script = `ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec nice -n ${niceness} "$0" "$@"`;
  return ["sh", ["-c", script, command, ...args]];
}

/**
 * Niceness of servers and the busy process, so that the load has priority: in the field devices have processors of
 * their own. They share what the load leaves.
 */
const BEHIND_THE_LOAD = 5;

/**
 * A free port outside of the range for outgoing connections: otherwise, while there is no server, one of thousands of
 * devices would sooner or later connect to itself.
 */
export function freePort(): number {
  for (let port = 20_000 + Deno.pid % 1000 * 10; port < 32_768; port++) {
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("there is no free port below 32768");
}

/** A process that takes lines on stdin and prints lines. */
class Process implements AsyncDisposable {
  /** The process whose `usage` is measured. */
  pid: number;
  #child: Deno.ChildProcess;
  #input: WritableStreamDefaultWriter<Uint8Array>;
  #output: Promise<void>[];
  /** Takes the lines it prints, on stdout or stderr. */
  onLine: (line: string) => void = () => {};
  #failure: Promise<never>; // rejects if it ends by itself
  #closed = false;

  constructor(readonly name: string, command: string, args: string[], niceness = 0) {
    const [program, all] = withHandles(command, args, niceness);
    this.#child = new Deno.Command(program, {
      args: all,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#input = this.#child.stdin.getWriter();
    let last = "";
    const read = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      const lines = stream.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
      for await (const line of lines) this.onLine(last = line);
    };
    this.#output = [read(this.#child.stdout), read(this.#child.stderr)];
    this.#failure = this.#child.status.then(async () => {
      if (this.#closed) return new Promise(() => {});
      await Promise.allSettled(this.#output);
      throw new Error(`${name} ended by itself. It said: ${last}`);
    });
    this.#failure.catch(() => {}); // whoever expects something gets the error
  }

  /** The first line for which `pick` returns something. */
  expect<T>(pick: (line: string) => T | undefined): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<T>();
    this.onLine = (line) => {
      const picked = pick(line);
      if (picked === undefined) return;
      this.onLine = () => {};
      resolve(picked);
    };
    return Promise.race([promise, this.#failure]);
  }

  /** Sends it an order, and returns its answer. */
  protected async ask<T>(what: Command | Order | WayOrder): Promise<T> {
    const answer = this.expect((line) => JSON.parse(line) as T | { error: string });
    // If it has ended, the answer says why.
    const told = this.tell(JSON.stringify(what)).catch(() => {});
    const [result] = await Promise.all([answer, told]);
    if (result && typeof result === "object" && "error" in result) throw new Error(result.error);
    return result as T;
  }

  async tell(line: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Ends it as a power cut would. @throws if it has ended by itself before */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      await this.#failure;
    }
    await this[Symbol.asyncDispose]();
  }

  /** Ends it cleanly, as an operator would. */
  async terminate(): Promise<void> {
    this.#closed = true;
    this.#child.kill("SIGTERM");
    await this[Symbol.asyncDispose]();
  }

  /** Processor time used so far, in s, and memory in use, in bytes; undefined where there is no /proc. */
  async usage(): Promise<{ cpu: number; memory: number } | undefined> {
    try {
      const stat = await Deno.readTextFile(`/proc/${this.pid}/stat`);
      const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
      // utime and stime are fields 14 and 15, in ticks of 10 ms; the name (2) may hold spaces.
      const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11, 13);
      const kilobytes = Number(status.match(/^VmRSS:\s+(\d+) kB$/m)![1]);
      return { cpu: (Number(user) + Number(system)) / 100, memory: kilobytes * 1024 };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.#input.close().catch(() => {});
    await Promise.all([this.#child.status, ...this.#output]);
  }
}

/** A server under test. */
export class Contestant extends Process {
  port = 0;

  private static async start(name: string, command: string, args: string[]): Promise<Contestant> {
    const contestant = new Contestant(name, command, args, BEHIND_THE_LOAD);
    contestant.port = await contestant.expect((line) => {
      const port = line.match(/^\{"port": ?(\d+)\}$|"address":"[\d.]+:(\d+)"/);
      return port ? Number(port[1] ?? port[2]) : undefined;
    });
    return contestant;
  }

  /** The bare line server: the ceiling. */
  static bare(options: string[] = []): Promise<Contestant> {
    return Contestant.script("bare", "bare.ts", options);
  }

  /** The same on `node:net`. */
  static bareNet(options: string[] = []): Promise<Contestant> {
    return Contestant.script("bare, node:net", "bare_net.ts", options);
  }

  /** A server of this folder. It prints `{"port": PORT}`, and exits when stdin is closed. */
  static script(name: string, script: string, options: string[]): Promise<Contestant> {
    const args = ["run", "-A", `${HERE}/${script}`, ...options];
    return Contestant.start(name, Deno.execPath(), args);
  }

  /**
   * Our server as run from the command line, with an application that takes all lines.
   *
   * @param options more of the command line
   * @param script another application of this folder
   */
  static holdfast(
    options: string[] = [],
    name = "holdfast",
    script = "sink.ts",
  ): Promise<Contestant> {
    const main = `${HERE}/../../server/main.ts`;
    const own = ["--host", "127.0.0.1", "--port", "0", "--log", "json"];
    if (!options.includes("--keys")) own.push("--open");
    const app = ["--app", `${HERE}/${script}`];
    const args = ["run", "-A", main, ...own, ...app, ...options];
    return Contestant.start(name, Deno.execPath(), args);
  }

  /**
   * A broker that stores nothing on disk; its settings are written to `folder`.
   *
   * @param more Further settings.
   */
  static async mosquitto(
    command: string,
    folder: string,
    more: readonly string[] = [],
  ): Promise<Contestant> {
    // It cannot choose a port by itself.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    // Remove its limits: it queues everything and has everything in flight.
    const settings = [`listener ${port} 127.0.0.1`, "allow_anonymous true", "persistence false"]
      .concat(
        "max_queued_messages 0",
        "max_inflight_messages 0",
        "connection_messages false",
        ...more,
      );
    if (Deno.uid() === 0) settings.push("user root"); // otherwise it switches to a user who may not read the file
    await Deno.writeTextFile(`${folder}/mosquitto.conf`, settings.join("\n") + "\n");
    // By itself it does not exit when stdin is closed.
    const script = '"$0" -c "$1" & trap "kill $!" EXIT; echo "pid $!"; cat';
    const args = ["-c", script, command, `${folder}/mosquitto.conf`];
    const broker = new Contestant("mosquitto", "sh", args, BEHIND_THE_LOAD);
    let pid: number | undefined;
    let running = false;
    await broker.expect((line) => {
      pid ??= Number(line.match(/^pid (\d+)$/)?.[1]) || undefined;
      running ||= line.endsWith(" running");
      return (running && pid !== undefined) || undefined;
    });
    broker.pid = pid!;
    broker.port = port;
    return broker;
  }

  /** The server of a checkout of micropython-iot, under CPython. */
  static reference(checkout: string, clients: number): Promise<Contestant> {
    const args = ["-u", `${HERE}/reference_server.py`, checkout, "2000", String(clients)];
    return Contestant.start("reference", "python3", args);
  }
}

/** The process that generates the load. */
export class Loader extends Process {
  /** @param script `load.ts`, or `mqtt.ts` for a broker. */
  constructor(script = "load.ts") {
    super("load", Deno.execPath(), ["run", "-A", `${HERE}/${script}`]);
  }

  open(
    port: number,
    ids: string[],
    dialect: 1 | 2 = 1,
    more: { says?: Saying; proof?: Proof } = {},
  ): Promise<Opened> {
    return this.ask({ do: "open", port, ids, dialect, ...more });
  }

  run(window: number, warmUpMs: number, ms: number): Promise<Run> {
    return this.ask({ do: "run", window, warmUpMs, ms });
  }

  close(): Promise<Closed> {
    return this.ask({ do: "close" });
  }
}

/** The process that sends to a broker in several ways, and subscribes to it. */
export class WayLoader extends Process {
  constructor() {
    super("load", Deno.execPath(), ["run", "-A", `${HERE}/bridge_load.ts`]);
  }

  open(order: Omit<Extract<WayOrder, { do: "open" }>, "do">): Promise<unknown> {
    return this.ask({ do: "open", ...order });
  }

  run(window: number, warmUpMs: number, ms: number): Promise<Run> {
    return this.ask({ do: "run", window, warmUpMs, ms });
  }

  close(): Promise<{ sent: number }> {
    return this.ask({ do: "close" });
  }
}

/** The process that is ten thousand devices. */
export class HerdLoader extends Process {
  constructor() {
    super("herd", Deno.execPath(), ["run", "-A", `${HERE}/herd_load.ts`]);
  }

  order(order: Exclude<Order, { do: "write" }>): Promise<State> {
    return this.ask(order);
  }

  write(rate: number, ms: number): Promise<Written> {
    return this.ask({ do: "write", rate, ms });
  }
}

/** A process that keeps one core busy. */
export class Busy extends Process {
  constructor() {
    // The loop also ends when stdin is closed, and in any case after 15 minutes of processor time.
    const loop = "(ulimit -t 900; while :; do :; done) &";
    const args = ["-c", `${loop} trap "kill $!" EXIT; trap exit INT TERM HUP; cat`];
    super("busy", "sh", args, BEHIND_THE_LOAD);
  }
}
