/**
 * How a command reaches the server that has a store open: by a socket beside the file, for its owner alone. The order
 * is a line of JSON, such as `{"command": "backup", "path": "…"}`; it is answered by any number of lines
 * `{"line": "…"}` that the command prints, and by `{}` or `{"code": "…", "message": "…"}` at the end.
 */
import { HoldfastError, LocalError } from "../protocol/errors.ts";

/** Bytes of an order, and ms until it must be there. */
const MOST = 64 * 1024;
const PATIENCE = 5000;

/** The socket of a store. */
export function controlPath(store: string): string {
  return `${store}.sock`;
}

/** Takes orders, until it is disposed. */
export class Control implements Disposable {
  #listener: Deno.UnixListener;
  #path: string;
  #carryOut: (order: unknown) => AsyncIterable<string>;

  /**
   * @param store Its file, which this process has locked: a socket that an earlier one has left is nobody's.
   * @param carryOut Given anything that is JSON. Gives the lines that the command prints.
   * @throws {Error} the operating system's
   */
  constructor(store: string, carryOut: (order: unknown) => AsyncIterable<string>) {
    this.#path = controlPath(store);
    this.#carryOut = carryOut;
    tryRemove(this.#path);
    this.#listener = Deno.listen({ transport: "unix", path: this.#path });
    Deno.chmodSync(this.#path, 0o600);
    this.#accept();
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) this.#serve(connection);
    } catch {
      // No more files: the devices need them more. Commands find nobody until the server is started again.
    }
  }

  /** Whoever it is, and whatever it does, the server goes on. */
  async #serve(connection: Deno.UnixConn): Promise<void> {
    using _ = connection;
    try {
      const order = await readOrder(connection);
      await writeLine(connection, await this.#obey(order, connection));
    } catch {
      // it has gone, or said nothing
    }
  }

  /** @returns what is said at the end */
  async #obey(order: string, connection: Deno.UnixConn): Promise<unknown> {
    try {
      for await (const line of this.#carryOut(JSON.parse(order))) {
        await writeLine(connection, { line });
      }
      return {};
    } catch (error) {
      if (error instanceof HoldfastError) return { code: error.code, message: error.message };
      return { code: "BAD_ARGUMENT", message: String(error) };
    }
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    tryRemove(this.#path);
  }
}

/**
 * Gives an order to the server that has this store open.
 *
 * @param print Given the lines that it says.
 * @returns false if there is none
 * @throws {LocalError} what the server answers; CLOSED if it has ended before that
 */
export async function order(
  store: string,
  order: unknown,
  print: (line: string) => void,
): Promise<boolean> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: controlPath(store) });
  } catch {
    return false;
  }
  using _ = connection;
  try {
    await writeLine(connection, order);
    for await (const answer of readLines(connection)) {
      const { line, code, message } = JSON.parse(answer);
      if (code !== undefined) throw new LocalError(code, String(message));
      if (line === undefined) return true;
      print(line);
    }
  } catch (error) {
    if (error instanceof LocalError) throw error;
    // It was killed, or does not speak as it should.
  }
  throw new LocalError("CLOSED", "the server has ended: perhaps it has done this, perhaps not");
}

/** An order, which whoever connects must say soon. */
async function readOrder(connection: Deno.UnixConn): Promise<string> {
  const timer = setTimeout(() => connection.close(), PATIENCE);
  try {
    for await (const line of readLines(connection, MOST)) return line;
    throw new Error("it has gone");
  } finally {
    clearTimeout(timer);
  }
}

async function* readLines(connection: Deno.UnixConn, most = Infinity): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  const piece = new Uint8Array(4096);
  let rest = "";
  for (let read; (read = await connection.read(piece)) !== null;) {
    const lines = (rest + decoder.decode(piece.subarray(0, read), { stream: true })).split("\n");
    rest = lines.pop()!;
    yield* lines;
    if (rest.length > most) throw new Error("the line does not end");
  }
}

async function writeLine(connection: Deno.UnixConn, what: unknown): Promise<void> {
  const bytes = new TextEncoder().encode(`${JSON.stringify(what)}\n`);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function tryRemove(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // it is not there
  }
}
