/**
 * The reference (micropython-iot), unmodified, as processes that a test starts, drives and kills.
 *
 * Its client runs in a Unix MicroPython (`device.py` and `shims/`), its server in CPython
 * (`stock_server.py`). None of it is in this repository: README.md says how to name a copy.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { until } from "../support/wait.ts";
import type { End } from "./exchange.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const reference = Deno.env.get("HOLDFAST_REFERENCE");
const micropython = Deno.env.get("HOLDFAST_MICROPYTHON");
const library = Deno.env.get("HOLDFAST_MICROPYTHON_LIB");

/** The id of the test's device. */
export const ID = "1";

/** Registers a test that needs the reference's client, server or both; without them it is ignored. */
export function referenceTest(
  name: string,
  needs: readonly ("client" | "server")[],
  body: () => Promise<void>,
): void {
  const missing = [];
  if (!reference) missing.push("HOLDFAST_REFERENCE");
  if (!micropython && needs.includes("client")) missing.push("HOLDFAST_MICROPYTHON");
  const how = ` [set ${missing.join(" and ")} to run it, see tests/interop/README.md]`;
  const ignore = missing.length > 0;
  Deno.test({ name: ignore ? name + how : name, ignore, fn: body });
}

/** One end of the reference, with an application that follows the test's commands. */
export class Stock implements End, AsyncDisposable {
  readonly heard: string[] = [];
  readonly acked: string[] = [];
  linked = false;
  /** How often it became linked. */
  connects = 0;
  /** The port the server listens on. */
  port = 0;

  readonly #process: Deno.ChildProcess;
  readonly #commands: WritableStreamDefaultWriter<Uint8Array>;
  readonly #log: string[] = [];
  readonly #ended: Promise<unknown>;
  #alive = true;

  /** Boots a device with the stock client. `timeout` in ms. */
  static client(port: number, timeout: number): Stock {
    const path = [`${here}shims`, reference!, ".frozen", ...(library ? [library] : [])].join(":");
    const args = [`${here}device.py`, ID, "127.0.0.1", `${port}`, `${timeout}`];
    return new Stock(micropython!, args, { MICROPYPATH: path });
  }

  /** Starts a stock server, and waits until it listens. `timeout` in ms. */
  static async server(timeout: number): Promise<Stock> {
    const args = ["-B", `${here}stock_server.py`, `${timeout}`, ID];
    const stock = new Stock("python3", args, { PYTHONPATH: reference! });
    await until(() => {
      stock.check();
      return stock.port;
    }, { what: () => `the stock server's port\n${stock.story()}` });
    return stock;
  }

  private constructor(command: string, args: string[], env: Record<string, string>) {
    this.#process = new Deno.Command(command, {
      args,
      env,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#commands = this.#process.stdin.getWriter();
    this.#ended = Promise.all([
      this.#follow(this.#process.stdout),
      this.#follow(this.#process.stderr),
      this.#process.status.then(() => this.#alive = false),
    ]);
  }

  /** Lets the application write the texts one after the other. */
  write(texts: readonly string[]): void {
    for (const text of texts) this.#command({ write: text });
  }

  /** Lets it write without waiting for acks in between. Only the client's application can. */
  writeAtOnce(texts: readonly string[]): void {
    for (const text of texts) this.#command({ write: text, wait: false });
  }

  /** Takes the access point away from the client, or gives it back. */
  radio(on: boolean): void {
    this.#command({ radio: on });
  }

  /** The last lines it printed. */
  story(): string {
    return this.#log.slice(-30).join("\n");
  }

  /** Throws if the process has ended. */
  check(): void {
    if (!this.#alive) throw new Error(`the process of the reference has ended:\n${this.story()}`);
  }

  /** Kills it. */
  async kill(): Promise<void> {
    if (this.#alive) this.#process.kill("SIGKILL");
    await this.#commands.abort().catch(() => {});
    await this.#ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  #command(command: unknown): void {
    const line = new TextEncoder().encode(JSON.stringify(command) + "\n");
    // It fails if the process has ended, which `check` reports.
    this.#commands.write(line).catch(() => {});
  }

  async #follow(output: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let partial = "";
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      const lines = (partial + text).split("\n");
      partial = lines.pop()!;
      for (const line of lines) this.#note(line);
    }
  }

  #note(line: string): void {
    this.#log.push(line);
    if (!line.startsWith("{")) return;
    const event: Partial<Event> = JSON.parse(line);
    if (event.port !== undefined) this.port = event.port;
    if (event.heard !== undefined) this.heard.push(event.heard);
    if (event.acked !== undefined) this.acked.push(event.acked);
    if (event.linked !== undefined) {
      this.linked = event.linked;
      if (event.linked) this.connects++;
    }
  }
}

/** A line that the applications print. */
interface Event {
  readonly port: number;
  readonly linked: boolean;
  readonly heard: string;
  readonly acked: string;
}
