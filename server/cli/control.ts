/**
 * The socket over which commands on the same machine reach a server: the API, for everybody who may open the file. Where the
 * server keeps its store in a file, the socket lies beside it unless another path is given.
 */
import { LocalError } from "../protocol/errors.ts";

/** The socket of a store. */
export function controlPath(store: string): string {
  return `${store}.sock`;
}

/** Whether somebody listens there. */
export async function isListening(path: string): Promise<boolean> {
  try {
    (await Deno.connect({ transport: "unix", path })).close();
    return true;
  } catch {
    return false;
  }
}

/** Answers requests that come over a socket, until it is closed. */
export class Control {
  readonly #path: string;
  readonly #stop = new AbortController();
  readonly #http: Deno.HttpServer;

  private constructor(path: string, answer: (request: Request) => Promise<Response>) {
    this.#path = path;
    // From its first moment on it is its owner's alone.
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
   * Begins to listen. A socket on which nobody listens any more is replaced.
   *
   * @throws {LocalError} BAD_ARGUMENT: another server listens there, or there is another file
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

  /** Those who wait for an answer get none any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#http.finished;
    removeSocket(this.#path);
  }
}

/** @throws {LocalError} BAD_ARGUMENT: it is something else, which stays */
function removeSocket(path: string): void {
  try {
    if (!Deno.lstatSync(path).isSocket) throw bad(`${path} is there already, and no socket`);
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
