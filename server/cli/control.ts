/**
 * How a command reaches the server that has a store open: by a socket beside the file, for its owner alone. One line of
 * JSON each way, `{"command": "backup", "path": "…"}`, answered by `{}` or `{"code": "…", "message": "…"}`.
 */
import { HoldfastError, LocalError } from "../protocol/errors.ts";

/** What a command asks for. */
export interface Order {
  command: "backup";
  /** Absolute. */
  path: string;
}

/** Bytes of a line, and ms until it must be there. */
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
  #carryOut: (order: Order) => Promise<void>;

  /**
   * @param store Its file, which this process has locked: a socket that an earlier one has left is nobody's.
   * @throws {Error} the operating system's
   */
  constructor(store: string, carryOut: (order: Order) => Promise<void>) {
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
      const answer = await this.#answer(await readLine(connection));
      await writeLine(connection, answer);
    } catch {
      // it has gone, or said nothing
    }
  }

  async #answer(line: string): Promise<unknown> {
    try {
      await this.#carryOut(parseOrder(line));
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
 * @returns false if there is none
 * @throws {LocalError} what the server answers
 */
export async function order(store: string, order: Order): Promise<boolean> {
  let connection: Deno.UnixConn;
  try {
    connection = await Deno.connect({ transport: "unix", path: controlPath(store) });
  } catch {
    return false;
  }
  using _ = connection;
  await writeLine(connection, order);
  const { code, message } = JSON.parse(await readLine(connection, Infinity));
  if (code !== undefined) throw new LocalError(code, String(message));
  return true;
}

function parseOrder(line: string): Order {
  const { command, path } = JSON.parse(line);
  if (command === "backup" && typeof path === "string") return { command, path };
  throw new LocalError("BAD_ARGUMENT", "the server does not know this command");
}

async function readLine(connection: Deno.UnixConn, patience = PATIENCE): Promise<string> {
  const timer = patience === Infinity ? undefined : setTimeout(() => connection.close(), patience);
  try {
    const decoder = new TextDecoder();
    let line = "";
    const piece = new Uint8Array(4096);
    while (!line.includes("\n")) {
      const read = await connection.read(piece);
      if (read === null) throw new Error("the server has ended");
      line += decoder.decode(piece.subarray(0, read), { stream: true });
      if (line.length > MOST) throw new Error("the line does not end");
    }
    return line;
  } finally {
    clearTimeout(timer);
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
