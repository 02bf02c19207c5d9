import { PeerError } from "../../server/protocol/errors.ts";
import type { Core } from "./core.ts";

/** Bytes collected before they are handed to the socket. */
const SEND_BYTES = 64 * 1024;

const READ_BYTES = 16 * 1024;

/** What a `Socket` reports. */
export interface SocketEvents {
  /** It is connected. */
  opened(): void;
  /** Bytes were read, or it can take more. */
  wake(): void;
  /** It is gone, not by `close`. Called once. */
  ended(reason: PeerError): void;
}

/** One TCP connection, from the attempt to its end. */
export class Socket {
  /** Resolves when nothing is left of it. */
  readonly ended: Promise<void>;
  #conn: Deno.Conn | undefined;
  #closed = false;
  #abort = new AbortController();
  #output = new Uint8Array(1024);
  #outputLength = 0;
  #writing = false;
  #input = new Uint8Array(0); // read, but the core has no room for it yet
  #moved: (() => void) | undefined;

  /** Starts to connect. */
  constructor(
    address: { hostname: string; port: number },
    tls: { caCert: string } | true | undefined,
    readonly events: SocketEvents,
  ) {
    const caCerts = tls && tls !== true ? { caCerts: [tls.caCert] } : {};
    this.ended = this.#run(
      tls
        ? Deno.connectTls({ ...address, ...caCerts })
        : Deno.connect({ ...address, signal: this.#abort.signal }),
    );
  }

  async #run(connecting: Promise<Deno.TcpConn | Deno.TlsConn>): Promise<void> {
    try {
      const conn = await asPeerError(connecting);
      if (this.#closed) return conn.close();
      this.#conn = conn;
      if ("setNoDelay" in conn) conn.setNoDelay(true);
      this.events.opened();
      await this.#readAll(conn);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (!this.#closed) this.events.ended(error);
    }
  }

  async #readAll(conn: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    for (;;) {
      const n = await asPeerError(conn.read(buffer));
      if (this.#closed) return;
      if (n === null) throw new PeerError("LOST", "the server closed the connection");
      this.#input = buffer.subarray(0, n);
      this.events.wake();
      while (this.#input.length > 0 && !this.#closed) {
        await new Promise<void>((resolve) => this.#moved = resolve);
      }
    }
  }

  /** Whether `send` may be called. */
  get canSend(): boolean {
    return this.#conn !== undefined && !this.#writing && this.#outputLength < SEND_BYTES;
  }

  /** Collects a piece; `flush` sends what was collected. */
  send(piece: Uint8Array): void {
    const length = this.#outputLength + piece.length;
    if (length > this.#output.length) {
      const larger = new Uint8Array(length * 2);
      larger.set(this.#output);
      this.#output = larger;
    }
    this.#output.set(piece, this.#outputLength);
    this.#outputLength = length;
  }

  flush(): void {
    if (this.#outputLength > 0 && !this.#writing) this.#write(this.#conn!);
  }

  async #write(conn: Deno.Conn): Promise<void> {
    this.#writing = true;
    try {
      for (let at = 0; at < this.#outputLength;) {
        at += await asPeerError(conn.write(this.#output.subarray(at, this.#outputLength)));
      }
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return; // the reader is told of it too, and reports it
    }
    this.#outputLength = 0;
    this.#writing = false;
    if (!this.#closed) this.events.wake();
  }

  /** Moves what was read into the core, as far as it has room. Returns whether that was anything. */
  moveInput(core: Core, now: number): boolean {
    const n = Math.min(this.#input.length, core.roomToReceive);
    if (n === 0) return false;
    core.receive(this.#input.subarray(0, n), now);
    this.#input = this.#input.subarray(n);
    if (this.#input.length === 0) this.#moved?.();
    return true;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // A connection that is made, but not told of yet, would be lost and stay open: Deno tells first.
    setImmediate(() => this.#abort.abort());
    this.#conn?.close();
    this.#moved?.();
  }
}

/** Whatever goes wrong in a call to the network is the peer's or the network's fault. */
async function asPeerError<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (cause) {
    throw new PeerError("LOST", cause instanceof Error ? cause.message : String(cause), { cause });
  }
}
