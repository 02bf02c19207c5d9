/** One TCP connection: carries bytes between a socket and a `Session`, and gives the session the time. */
import type { Admission, Admitted } from "../admission/admission.ts";
import { PeerError } from "../protocol/errors.ts";
import type { Limits } from "../link/limits.ts";
import type { Session } from "../link/session.ts";
import { LineSplitter } from "../protocol/lines.ts";

const encoder = new TextEncoder();

/** Bytes read at once. Every connection keeps a buffer of this size. */
const READ_BYTES = 4096;

export class Connection {
  readonly address: string;
  /** Address without the port. */
  readonly hostname: string;
  #conn: Deno.Conn<Deno.NetAddr>;
  #buffer = new Uint8Array(READ_BYTES);
  #ahead: Uint8Array = new Uint8Array(0); // read behind the greeting
  #reason: PeerError | undefined;
  #closed = false;
  #gone = Promise.withResolvers<void>();
  #session: Session | undefined;
  #touch = () => {};
  #writing = false;
  #writingSince = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #inputWanted: (() => void) | undefined;

  constructor(conn: Deno.Conn<Deno.NetAddr>, readonly limits: Limits, readonly now: () => number) {
    this.#conn = conn;
    const { hostname, port } = conn.remoteAddr;
    this.hostname = hostname;
    this.address = `${hostname}:${port}`;
    (conn as Partial<Deno.TcpConn>).setNoDelay?.(true); // TLS has none
  }

  /**
   * Reads the greeting, and answers it.
   *
   * @param timeout For all of it, in ms.
   * @param safe Resolves when all changes so far are safe.
   * @throws {PeerError} why the connection may not come in
   */
  async admit(
    admission: Admission,
    timeout: number,
    safe: () => Promise<void>,
  ): Promise<Admitted> {
    const late = new PeerError("NO_HELLO", `no complete hello within ${timeout} ms`);
    const timer = setTimeout(() => this.close(late), timeout);
    try {
      for (;;) {
        const n = await this.#read();
        const { output, admitted } = admission.receive(this.#buffer.subarray(0, n));
        if (output !== "") {
          await Promise.race([safe(), this.#gone.promise]);
          if (this.#closed) throw this.#reason ?? late;
          await this.#greet(output);
        }
        this.#ahead = admission.rest;
        if (admitted) return admitted;
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (admission.isLate) await this.#pause(timeout / 4);
      // It may be gone already.
      if (!this.#closed) await this.#greet(admission.farewell(error)).catch(() => {});
      throw error;
    } finally {
      admission.end();
      clearTimeout(timer);
    }
  }

  /** Lets so many ms pass, or less if the connection is closed meanwhile. */
  async #pause(ms: number): Promise<void> {
    let timer;
    const passed = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
    await Promise.race([passed, this.#gone.promise]);
    clearTimeout(timer);
  }

  #greet(output: string): Promise<void> {
    return this.#write(encoder.encode(output), this.now());
  }

  /**
   * Serves the session until the connection ends.
   *
   * @param touch Called when the session has changed: `flush` is to follow when that is safe.
   * @returns why it ended
   */
  async serve(session: Session, touch: () => void): Promise<PeerError> {
    this.#session = session;
    this.#touch = touch;
    const splitter = new LineSplitter(this.limits.lineBytes + 2);
    const take = (bytes: Uint8Array) => {
      touch();
      session.receive(splitter.push(bytes), this.now());
    };
    try {
      this.#tick();
      if (this.#ahead.length > 0) take(this.#ahead);
      this.#ahead = this.#ahead.slice(0, 0);
      for (;;) {
        while (!session.wantsInput && !this.#closed) {
          await new Promise<void>((resolve) => this.#inputWanted = resolve);
        }
        const n = await this.#read();
        take(this.#buffer.subarray(0, n));
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return error;
    } finally {
      this.close();
      this.#session = undefined;
    }
  }

  /**
   * Sends what the session has to send, and wakes the reader if the session wants input again.
   *
   * @param safe False while what the session holds cannot be made safe: then keepalives are all.
   */
  flush(safe: boolean): void {
    const session = this.#session;
    if (!session || this.#closed) return;
    if (!this.#writing) {
      const now = this.now();
      const output = safe ? session.transmit(now) : session.keepAlive(now);
      if (output !== "") this.#send(output, now);
    }
    if (this.#inputWanted && session.wantsInput) {
      this.#inputWanted();
      this.#inputWanted = undefined;
    }
  }

  async #send(output: string, now: number): Promise<void> {
    this.#writing = true;
    try {
      await this.#write(encoder.encode(output), now);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
      return;
    }
    this.#writing = false;
    this.#touch(); // there may be more by now, and it may not be safe yet
  }

  async #write(bytes: Uint8Array, now: number): Promise<void> {
    this.#writingSince = now;
    while (bytes.length > 0) {
      try {
        bytes = bytes.subarray(await this.#conn.write(bytes));
      } catch (error) {
        throw this.#reason ?? lost(error);
      }
      if (bytes.length > 0) this.#writingSince = this.now();
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
      if (this.#writing && now - this.#writingSince >= session.timeout) {
        throw new PeerError("STALLED", `the other end took nothing for ${session.timeout} ms`);
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.close(error);
      return;
    }
    this.#touch();
    // What is due now goes out in a moment, or waits for the socket: look again soon.
    const soon = session.timeout / 40;
    this.#timer = setTimeout(this.#tick, Math.max(session.deadline() - now, soon));
  };

  /** Ends the connection; `serve` returns the reason given here first. */
  close(reason?: PeerError): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gone.resolve();
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
