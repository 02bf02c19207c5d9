/**
 * An attacker on the path between a device and its server, who passes on their bytes or others.
 *
 * @module
 */

/** The direction of bytes. */
export type Way = "toServer" | "toDevice";

/** Returns the pieces to pass on in place of bytes that were read. */
export type Meddle = (way: Way, bytes: Uint8Array) => Uint8Array[];

const encoder = new TextEncoder();

/** A port that leads to a server's port through the attacker. */
export class Relay implements AsyncDisposable {
  /** Everything that was read, in order. */
  readonly heard: { way: Way; bytes: Uint8Array }[] = [];
  /** By default everything is passed on. */
  meddle: Meddle = (_, bytes) => [bytes];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #work: Promise<void>;
  #ends: Record<Way, Deno.Conn> | undefined;
  readonly #conns: Deno.Conn[] = [];

  constructor(readonly target: number) {
    this.#work = this.#run();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Everything that was read in one direction, as text. */
  textOf(wanted: Way): string {
    const pieces = this.heard.filter(({ way }) => way === wanted);
    return pieces.map(({ bytes }) => String.fromCharCode(...bytes)).join("");
  }

  /** Sends something in the name of the other end, on the newest connection. */
  async say(way: Way, text: string | Uint8Array): Promise<void> {
    await write(this.#ends![way], typeof text === "string" ? encoder.encode(text) : text);
  }

  async #run(): Promise<void> {
    const copies: Promise<void>[] = [];
    for await (const device of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port: this.target });
      this.#conns.push(device, server);
      this.#ends = { toServer: server, toDevice: device };
      copies.push(this.#copy("toServer", device, server), this.#copy("toDevice", server, device));
    }
    await Promise.all(copies);
  }

  async #copy(way: Way, from: Deno.Conn, to: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(16 * 1024);
    try {
      for (let n; (n = await from.read(buffer)) !== null;) {
        const bytes = buffer.slice(0, n);
        this.heard.push({ way, bytes });
        for (const piece of this.meddle(way, bytes.slice())) await write(to, piece);
      }
      await to.closeWrite();
    } catch (error) {
      // One end is gone, so the other is closed too, as on any network.
      if (!isGone(error)) throw error;
      for (const conn of [from, to]) close(conn);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const conn of this.#conns) close(conn);
    await this.#work;
  }
}

async function write(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function isGone(error: unknown): boolean {
  const { BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected } = Deno.errors;
  return [BadResource, BrokenPipe, ConnectionReset, Interrupted, NotConnected].some((it) =>
    error instanceof it
  );
}

function close(conn: Deno.Conn): void {
  try {
    conn.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error; // closed already
  }
}
