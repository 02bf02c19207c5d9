/** One TCP connection: carries bytes between a socket and a `Session`, and gives the session the time. */
import { PeerError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { Session } from "./session.ts";
import { type Lines, LineSplitter } from "./wire.ts";

const encoder = new TextEncoder();

/** Bytes read at once. Every connection keeps a buffer of this size. */
const READ_BYTES = 4096;

/** The first line of a connection, and what came behind it in the same read. */
export interface Hello {
  id: string;
  rest: Uint8Array;
}

export class Connection {
  readonly address: string;
  #conn: Deno.TcpConn;
  #buffer = new Uint8Array(READ_BYTES);
  #reason: PeerError | undefined;
  #closed = false;
  #session: Session | undefined;
  #received = () => {};
  #pumping = false;
  #writingSince = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #inputWanted: (() => void) | undefined;

  constructor(conn: Deno.TcpConn, readonly limits: Limits, readonly now: () => number) {
    this.#conn = conn;
    const { hostname, port } = conn.remoteAddr;
    this.address = `${hostname}:${port}`;
    conn.setNoDelay(true);
  }

  /** Reads the first line. @throws {PeerError} if it does not come in `timeout` ms, or is no hello */
  async hello(timeout: number): Promise<Hello> {
    const { helloBytes } = this.limits;
    const received = new Uint8Array(helloBytes + READ_BYTES);
    const timer = setTimeout(
      () => this.close(new PeerError("NO_HELLO", `no hello within ${timeout} ms`)),
      timeout,
    );
    try {
      for (let length = 0;;) {
        const n = await this.#read();
        received.set(this.#buffer.subarray(0, n), length);
        length += n;
        const end = received.subarray(0, length).indexOf(10);
        if (end > helloBytes || (end < 0 && length > helloBytes)) {
          throw new PeerError("HELLO_TOO_LONG", `a hello is longer than ${helloBytes} bytes`);
        }
        if (end >= 0) {
          return {
            id: parseHello(received.subarray(0, end)),
            rest: received.slice(end + 1, length),
          };
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Serves the session until the connection ends.
   *
   * @param rest What came behind the hello.
   * @param received Called when there may be messages for the application.
   * @returns why it ended
   */
  async serve(session: Session, rest: Uint8Array, received: () => void): Promise<PeerError> {
    this.#session = session;
    this.#received = received;
    const splitter = new LineSplitter(this.limits.lineBytes + 2);
    try {
      this.#tick();
      if (rest.length > 0) this.#take(splitter.push(rest));
      for (;;) {
        while (!session.wantsInput && !this.#closed) {
          await new Promise<void>((resolve) => this.#inputWanted = resolve);
        }
        const n = await this.#read();
        this.#take(splitter.push(this.#buffer.subarray(0, n)));
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return error;
    } finally {
      this.close();
      this.#session = undefined;
    }
  }

  #take(lines: Lines): void {
    try {
      this.#session!.receive(lines, this.now());
    } finally {
      this.#received(); // also what came before a bad line
    }
    this.flush();
  }

  /** Lets the session go on: after something was written to it, or taken out of it. */
  flush(): void {
    const session = this.#session;
    if (!session || this.#closed) return;
    if (session.resume()) this.#received();
    if (!this.#pumping) this.#pump(session);
    if (this.#inputWanted && session.wantsInput) {
      this.#inputWanted();
      this.#inputWanted = undefined;
    }
  }

  async #pump(session: Session): Promise<void> {
    this.#pumping = true;
    try {
      while (!this.#closed) {
        const output = session.transmit(this.now());
        if (output === "") break;
        await this.#write(encoder.encode(output));
      }
    } catch (error) {
      this.close(asPeerError(error));
    } finally {
      this.#pumping = false;
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    while (bytes.length > 0) {
      this.#writingSince = this.now();
      bytes = bytes.subarray(await this.#conn.write(bytes));
    }
  }

  async #read(): Promise<number> {
    try {
      const n = await this.#conn.read(this.#buffer);
      if (n !== null && !this.#closed) return n;
    } catch (error) {
      throw this.#reason ?? asPeerError(error);
    }
    throw this.#reason ?? new PeerError("LOST", "the other end closed the connection");
  }

  /** Runs when the session's deadline comes. Deadlines only move away, so one timer after the other will do. */
  #tick = (): void => {
    const session = this.#session;
    if (!session || this.#closed) return;
    const now = this.now();
    try {
      session.tick(now);
      if (this.#pumping && now - this.#writingSince >= session.timeout) {
        throw new PeerError("STALLED", `the other end took nothing for ${session.timeout} ms`);
      }
    } catch (error) {
      this.close(asPeerError(error));
      return;
    }
    this.flush();
    // While the socket takes nothing, the session's deadline to send passes unheeded.
    const wait = Math.max(session.deadline() - now, this.#pumping ? session.timeout / 20 : 1);
    this.#timer = setTimeout(this.#tick, wait);
  };

  /** Ends the connection; `serve` returns the reason given here first. */
  close(reason?: PeerError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reason = reason;
    clearTimeout(this.#timer);
    this.#inputWanted?.();
    this.#conn.close();
  }
}

/** Network errors are the peer's; anything else is a bug, and passes. */
function asPeerError(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  if (
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted ||
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.TimedOut
  ) {
    return new PeerError("LOST", error.message, { cause: error });
  }
  throw error;
}

function parseHello(line: Uint8Array): string {
  if (line.length === 0) throw new PeerError("BAD_HELLO", "the first line is empty, not an id");
  // Every later dialect starts with a control byte, which no id of dialect 1 may.
  if (line[0]! < 32) {
    throw new PeerError("UNKNOWN_DIALECT", `the hello starts with byte ${line[0]}: not dialect 1`);
  }
  let id;
  try {
    id = new TextDecoder("utf-8", { fatal: true }).decode(line);
  } catch (cause) {
    throw new PeerError("BAD_HELLO", "the id is not UTF-8", { cause });
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(id)) {
    throw new PeerError("BAD_HELLO", "the id has a control character");
  }
  return id;
}
