/** One TCP connection: carries bytes between a socket and a `Session`, and gives the session the time. */
import { PeerError } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { Session } from "./session.ts";
import { concat, type Lines, LineSplitter } from "./wire.ts";

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
    let received = new Uint8Array(0);
    const timer = setTimeout(
      () => this.close(new PeerError("NO_HELLO", `no hello within ${timeout} ms`)),
      timeout,
    );
    try {
      for (;;) {
        const n = await this.#read();
        received = concat(received, this.#buffer.subarray(0, n));
        const end = received.indexOf(10);
        if (end > helloBytes || (end < 0 && received.length > helloBytes)) {
          throw new PeerError("HELLO_TOO_LONG", `a hello is longer than ${helloBytes} bytes`);
        }
        if (end >= 0) {
          return { id: parseHello(received.subarray(0, end)), rest: received.slice(end + 1) };
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
    this.#readOn(session);
  }

  #readOn(session: Session): void {
    if (!this.#inputWanted || !session.wantsInput) return;
    this.#inputWanted();
    this.#inputWanted = undefined;
  }

  async #pump(session: Session): Promise<void> {
    this.#pumping = true;
    try {
      while (!this.#closed) {
        const output = session.transmit(this.now());
        this.#readOn(session); // there may have been too much to send
        if (output === "") break;
        await this.#write(encoder.encode(output));
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
    } finally {
      this.#pumping = false;
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    while (bytes.length > 0) {
      this.#writingSince = this.now();
      try {
        bytes = bytes.subarray(await this.#conn.write(bytes));
      } catch (error) {
        throw lost(error);
      }
    }
  }

  async #read(): Promise<number> {
    let n;
    try {
      n = await this.#conn.read(this.#buffer);
    } catch (error) {
      throw this.#reason ?? lost(error);
    }
    if (n !== null && !this.#closed) return n;
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
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
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

/** Whatever a socket fails with is the fault of the peer or of the network. */
function lost(cause: unknown): PeerError {
  return new PeerError("LOST", cause instanceof Error ? cause.message : String(cause), { cause });
}

function parseHello(line: Uint8Array): string {
  if (line.length === 0) throw new PeerError("BAD_HELLO", "the first line is empty, not an id");
  // Every later dialect starts with a control byte, which no id of dialect 1 may.
  if (line[0]! < 32) {
    throw new PeerError("UNKNOWN_DIALECT", `the hello starts with byte ${line[0]}: not dialect 1`);
  }
  let id;
  try {
    id = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line);
  } catch (cause) {
    throw new PeerError("BAD_HELLO", "the id is not UTF-8", { cause });
  }
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(id)) {
    throw new PeerError("BAD_HELLO", "the id has a control character");
  }
  return id;
}
