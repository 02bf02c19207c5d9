/**
 * A TCP connection that the test controls: it sends whatever it is told to, right or wrong, and keeps everything that
 * it receives.
 *
 * @module
 */
import { until } from "./wait.ts";

const encoder = new TextEncoder();

/** One end of a connection. */
export class RawPeer implements AsyncDisposable {
  /** Everything received, as text. */
  heard = "";
  /** How the stream ended, if it has: "closed", or the name of the error. */
  ended: string | undefined;
  #reading: Promise<void> | undefined;
  #keepalive: ReturnType<typeof setInterval> | undefined;

  /** @param reads Whether it reads at all; `read` starts it later. */
  constructor(readonly conn: Deno.TcpConn, reads = true) {
    conn.setNoDelay(true);
    if (reads) this.read();
  }

  /** Connects to a port of 127.0.0.1. */
  static async dial(port: number, { reads = true } = {}): Promise<RawPeer> {
    return new RawPeer(await Deno.connect({ hostname: "127.0.0.1", port }), reads);
  }

  read(): void {
    this.#reading ??= this.#run();
  }

  async #run(): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    const decoder = new TextDecoder();
    try {
      for (let n; (n = await this.conn.read(buffer)) !== null;) {
        this.heard += decoder.decode(buffer.subarray(0, n), { stream: true });
      }
      this.ended = "closed";
    } catch (error) {
      this.ended = (error as Error).name;
    }
    clearInterval(this.#keepalive);
  }

  /** The lines heard so far, without keepalives. */
  get lines(): string[] {
    return this.heard.slice(0, this.heard.lastIndexOf("\n") + 1).split("\n").filter((l) =>
      l !== ""
    );
  }

  /** Sends all of it, or fails if the connection is gone. */
  async say(text: string | Uint8Array): Promise<void> {
    const bytes = typeof text === "string" ? encoder.encode(text) : text;
    for (let at = 0; at < bytes.length;) at += await this.conn.write(bytes.subarray(at));
  }

  /** The same, but the other end may close the connection meanwhile; returns whether it stayed open. */
  async sayIfHeard(text: string | Uint8Array): Promise<boolean> {
    try {
      await this.say(text);
      return true;
    } catch {
      return false;
    }
  }

  /** Sends a keepalive, or another line, every `ms` from now on. */
  keepAlive(ms: number, line = "\n"): void {
    this.#keepalive = setInterval(() => void this.sayIfHeard(line), ms);
  }

  /** Waits until these lines were heard, in this order, among any others. */
  async hears(...lines: string[]): Promise<void> {
    const what = () => `${JSON.stringify(lines)}, heard ${JSON.stringify(this.heard.slice(-500))}`;
    await until(() => {
      const heard = this.lines;
      let at = -1;
      return lines.every((line) => (at = heard.indexOf(line, at + 1)) >= 0);
    }, { what });
  }

  /** Waits for the first line; undefined if the connection ends before it. */
  async firstLine(): Promise<string | undefined> {
    await until(() => this.lines.length > 0 || this.ended !== undefined, { what: "a first line" });
    return this.lines[0];
  }

  /** Waits until the connection has ended, and says how. */
  end(): Promise<string> {
    return until(() => this.ended, { what: "the end of a connection" });
  }

  close(): void {
    clearInterval(this.#keepalive);
    try {
      this.conn.close();
    } catch {
      // It was closed before.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#reading;
  }
}

/**
 * Writes messages without qos until the socket takes no more. The other end must not read, but must send acks, of any
 * message; otherwise missing acks stop the messages before the socket does.
 *
 * @param isOver Returns true to end it early.
 */
export async function stuff(
  end: { write(text: string, options: { qos: false }): Promise<boolean> },
  isOver: () => boolean = () => false,
): Promise<void> {
  const text = "x".repeat(16 * 1024);
  for (let sent = 0, refused = 0; refused < 20 && !isOver();) {
    if (await end.write(text, { qos: false })) {
      refused = 0;
      if (++sent > 10_000) throw new Error("the socket takes messages without end");
    } else refused++;
    await new Promise((resolve) => setTimeout(resolve, refused ? 5 : 0));
  }
}

/** A server that the test controls: every connection to it becomes a `RawPeer`. */
export class RawServer implements AsyncDisposable {
  readonly port: number;
  /** In the order of their connections. */
  readonly peers: RawPeer[] = [];
  #listener: Deno.TcpListener;
  #accepting: Promise<void>;
  readonly #meetings: (void | Promise<void>)[] = [];

  /**
   * @param met Called with each new connection, before anything is read from it. It must end when the connection does:
   * closing the server waits for it.
   */
  constructor(
    readonly met: (peer: RawPeer, index: number) => void | Promise<void> = () => {},
    reads = true,
  ) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#accepting = this.#accept(reads);
  }

  async #accept(reads: boolean): Promise<void> {
    for await (const conn of this.#listener) {
      const peer = new RawPeer(conn, reads);
      this.peers.push(peer);
      this.#meetings.push(this.met(peer, this.peers.length - 1));
    }
  }

  /** The connection with this number, counted from 0, once it is there. */
  peer(index: number): Promise<RawPeer> {
    return until(() => this.peers[index], { what: `connection ${index} to be made` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const peer of this.peers) await peer[Symbol.asyncDispose]();
    await Promise.all(this.#meetings);
  }
}
