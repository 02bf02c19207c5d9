/**
 * The Unix socket over which commands on the same machine reach a server. It serves the API to everybody who may open
 * the file. If the store is a file, the socket lies beside it unless another path is given.
 */
import { LocalError } from "../protocol/errors.ts";

/** The path of a store's socket. */
export function controlPath(store: string): string {
  return `${store}.sock`;
}

/** Whether a server listens there. */
export async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

/** Answers requests from the socket until it is closed. */
export class Control {
  readonly #path: string;
  readonly #stop = new AbortController();
  readonly #http: Deno.HttpServer;

  private constructor(path: string, answer: (request: Request) => Promise<Response>) {
    this.#path = path;
    // Only the owner may open it, from the moment it exists.
    const mask = Deno.umask(0o177);
    try {
      this.#http = Deno.serve({
        path,
        transport: "unix",
        onListen() {},
        signal: this.#stop.signal,
      }, answer);
    } finally {
      Deno.umask(mask);
    }
  }

  /**
   * Starts to listen. Replaces a socket on which nobody listens any more.
   *
   * @throws {LocalError} BAD_ARGUMENT: another server listens there, or the path is not a socket
   * @throws {Error} the operating system's
   */
  static async open(
    path: string,
    answer: (request: Request) => Promise<Response>,
  ): Promise<Control> {
    if (await isListening(path)) throw bad(`another server listens at ${path}`);
    removeSocket(path);
    return new Control(path, answer);
  }

  /** Requests under way are not answered any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#http.finished;
    removeSocket(this.#path);
  }
}

/** @throws {LocalError} BAD_ARGUMENT: the path is not a socket; it is left alone */
function removeSocket(path: string): void {
  try {
    if (!Deno.lstatSync(path).isSocket) throw bad(`${path} already exists and is not a socket`);
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
