/**
 * The server's process: `server/main.ts` as run from the command line, with `noting_app.ts`.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";

const HERE = import.meta.dirname!;

/** How to start one. */
export interface ServerSettings {
  store: string;
  keys: string;
  /** Timeout in ms. */
  timeout: number;
  durability: "full" | "normal";
  /** Default: `noting_app.ts`. */
  app?: string;
  /** Further events and codes that are not complaints. */
  expects?: readonly string[];
}

/** Log entries that do not mean that something is wrong: outages, and consequences of a kill. */
const HARMLESS = new Set([
  "LOST",
  "SILENT",
  "STALLED",
  "LATE",
  "NO_HELLO",
  "STALE_GREETING",
  "CLOSED",
  "UNSAID",
]);

/** One server, from its start to its end. */
export class ServerProcess implements AsyncDisposable {
  /** Complaints that no outage explains. */
  readonly complaints: string[] = [];
  /** Resolves with the port once it listens; with undefined if it ended before. */
  readonly listening: Promise<number | undefined>;
  readonly #expects: readonly string[];
  #child: Deno.ChildProcess;
  #over: Promise<unknown>;
  #killed = false;
  #ended = false;

  constructor(
    { store, keys, timeout, durability, app = `${HERE}/noting_app.ts`, expects = [] }:
      ServerSettings,
  ) {
    this.#expects = expects;
    // Quiet: Deno's own messages are not complaints of the server.
    // deno-fmt-ignore
    const args = [
      "run", "-q", "-A", `${HERE}/../../server/main.ts`,
      "--host", "127.0.0.1", "--port", "0", "--open", "--keys", keys, "--store", store,
      "--durability", durability, "--timeout", `${timeout}`, "--log", "json",
      "--app", app,
    ];
    this.#child = new Deno.Command(Deno.execPath(), {
      args,
      env: { NO_COLOR: "1" },
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    this.listening = promise;
    this.#over = this.#readLog(resolve);
  }

  async #readLog(listens: (port: number | undefined) => void): Promise<void> {
    const lines = this.#child.stderr.pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream());
    for await (const line of lines) {
      if (!line.startsWith("{")) {
        if (!this.#killed) this.complaints.push(line);
        continue;
      }
      if (!line.endsWith("}")) continue; // cut off by the kill
      const { event, code, address } = JSON.parse(line);
      if (event === "listening") listens(Number(address.split(":").at(-1)));
      if (this.#expects.includes(event) || this.#expects.includes(code)) continue;
      const odd = event === "app_failed" || event === "store" ||
        (code !== undefined && !HARMLESS.has(code));
      if (odd) this.complaints.push(line);
    }
    const { code } = await this.#child.status;
    this.#ended = true;
    listens(undefined);
    if (!this.#killed && code !== 0) this.complaints.push(`the server ended with code ${code}`);
  }

  /** Sends SIGKILL. */
  async kill(): Promise<void> {
    this.#killed = true;
    this.#child.kill("SIGKILL");
    await this.#end();
  }

  /** Sends SIGSTOP, and SIGCONT after `ms`. */
  async freeze(ms: number): Promise<void> {
    this.#child.kill("SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#child.kill("SIGCONT");
  }

  /** Kills it if it still runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) await this.kill();
  }

  /** Stops it cleanly. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#end();
  }

  async #end(): Promise<void> {
    await this.#over;
    await this.#child.stdin.abort().catch(() => {});
  }
}
