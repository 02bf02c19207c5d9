/**
 * The emulated chip's TCP connection, over a socket of the host.
 *
 * @module
 */
import { isIP } from "node:net";
import { frame, FromChip, ToChip, u16 } from "./frames.ts";

/** The chip's TCP window: most bytes on their way to it that it has not taken yet. */
const WINDOW = 2920;
const SEGMENT = 1460;

/** One connection, from the attempt to its end. */
export class TcpConnection {
  #conn: Deno.TcpConn | undefined;
  #closed = false;
  #abandoned = false;
  #window = WINDOW;
  #wake: (() => void) | undefined;
  #writes: Promise<void> = Promise.resolve();
  #aborter = new AbortController();
  readonly ended: Promise<void>;

  constructor(
    readonly number: number,
    address: { hostname: string; port: number },
    readonly toChip: (bytes: Uint8Array) => void,
    lookup: (name: string) => Promise<string>,
  ) {
    this.ended = this.#run(address, lookup);
  }

  async #run(
    address: { hostname: string; port: number },
    lookup: (name: string) => Promise<string>,
  ): Promise<void> {
    if (!isIP(address.hostname)) {
      try {
        address = { ...address, hostname: await lookup(address.hostname) };
        this.#tell(ToChip.tcpNameKnown);
      } catch {
        this.#tell(ToChip.tcpNameUnknown);
        return this.close();
      }
    }
    try {
      const conn = await Deno.connect({ ...address, signal: this.#aborter.signal });
      if (this.#closed) return conn.close();
      this.#conn = conn;
      conn.setNoDelay(true);
      this.#tell(ToChip.tcpOpened);
      await this.#readAll(conn);
    } catch {
      // Whatever the error was, a chip only sees that the connection is gone.
    }
    this.#tell(ToChip.tcpClosed);
    this.close();
  }

  async #readAll(conn: Deno.TcpConn): Promise<void> {
    const buffer = new Uint8Array(SEGMENT);
    for (;;) {
      while (this.#window < SEGMENT && !this.#closed) {
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
      if (this.#closed) return;
      const n = await conn.read(buffer);
      if (n === null) return;
      this.#window -= n;
      this.#tell(ToChip.tcpData, buffer.subarray(0, n));
    }
  }

  #tell(type: string, payload: Uint8Array = new Uint8Array(0)): void {
    if (!this.#closed && !this.#abandoned) this.toChip(frame(type, this.number, payload));
  }

  /** Handles a frame of the chip about this connection. */
  handle(type: string, payload: Uint8Array): void {
    if (type === FromChip.tcpClose) this.close();
    else if (type === FromChip.tcpTaken) {
      this.#window += payload[1]! + (payload[2]! << 8);
      this.#wake?.();
    } else if (type === FromChip.tcpData) this.#send(payload.slice(1));
  }

  #send(bytes: Uint8Array): void {
    this.#writes = this.#writes.then(async () => {
      if (this.#abandoned) return; // nothing arrives, and nothing comes back
      try {
        for (let rest = bytes; rest.length > 0;) {
          rest = rest.subarray(await this.#conn!.write(rest));
        }
        this.#tell(ToChip.tcpSent, u16(bytes.length));
      } catch {
        // The reader gets the error, too.
      }
    });
  }

  /** The network is gone: neither end is told, and nothing passes any more. */
  abandon(): void {
    this.#abandoned = true;
  }

  /** Ends the host's socket, too. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // A connection that is made, but not reported yet, would stay open: so lets Deno report it first.
    setImmediate(() => this.#aborter.abort());
    this.#conn?.close();
    this.#wake?.();
  }
}
