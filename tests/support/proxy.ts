/**
 * A TCP proxy that imitates a bad network, on command.
 *
 * It stands between a client and its target. *Up* is from the client to the target, *down* is the
 * way back. One rule governs every fault: **a TCP stream never has a hole in it.** A byte that has entered the proxy is
 * passed on in its place, however late; or it is lost, and then nothing after it passes either: that connection is
 * silent for ever, in both directions, with both its ends open, until each end gives up by itself. That is a half-open
 * connection.
 *
 * It is built on `node:net`, because a socket of `Deno.connect` can only be closed cleanly (FIN), while
 * `resetAndDestroy` of a Node socket sends a real RST, as an abrupt end does.
 *
 * ```ts
 * import { FaultProxy } from "./proxy.ts";
 *
 * const target = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * await using proxy = await FaultProxy.start({ target: { port: target.addr.port } });
 * // ... connect to proxy.port, then:
 * proxy.blackhole("both");
 * proxy.restore({ drop: true });
 * target.close();
 * ```
 *
 * @module
 */
import net from "node:net";
import type { Socket } from "node:net";
import { Random } from "./random.ts";

/** Up: from the client to the target. Down: from the target to the client. */
export type Direction = "up" | "down";

/** Bytes that have just arrived at the proxy, before any fault applies. */
export interface Arrival {
  /** Which connection, counted from 1 in the order in which they were accepted. */
  readonly connection: number;
  /** Which way the bytes are going. */
  readonly direction: Direction;
  /** What one read returned, not yet split. */
  readonly bytes: Uint8Array;
}

/** How to start a {@linkcode FaultProxy}. */
export interface FaultProxyOptions {
  /** Where connections lead; the hostname is 127.0.0.1 by default. */
  readonly target: { readonly hostname?: string; readonly port: number };
  /** Port to listen on (of 127.0.0.1); 0, the default, lets the system choose. */
  readonly port?: number;
  /** Seed of everything random, 1 by default: equal seeds cut equal streams alike. */
  readonly seed?: number;
  /**
   * Called with all bytes as they arrive. A fault that it causes already applies to these bytes, so that a test can
   * lose exactly one acknowledgement.
   */
  readonly onBytes?: (arrival: Arrival) => void;
}

/** How {@linkcode FaultProxy.split} cuts. */
export interface SplitOptions {
  /**
   * Pause between two pieces in ms. 0, the default, is one turn of the event loop: enough for a
   * receiver that waits for data. One that polls needs more than its period to see the pieces apart.
   */
  readonly gap?: number;
  /** Whether a piece may end before `bytes[at]`; everywhere, by default. */
  readonly mayCut?: (bytes: Uint8Array, at: number, direction: Direction) => boolean;
}

/** What travels through a lane: bytes, the end of the stream, or its abrupt end. */
type Parcel = Uint8Array | "end" | "reset";

/** How much a network holds for a receiver that it cannot reach, in bytes; then the sender is blocked. */
const HELD_LIMIT = 256 * 1024;

/** A running proxy. All its faults take effect at once, on all its connections. */
export class FaultProxy implements AsyncDisposable {
  /** Called with all bytes as they arrive; see {@linkcode FaultProxyOptions.onBytes}. */
  onBytes: ((arrival: Arrival) => void) | undefined;

  /** Deno's sanitizers do not see what `node:net` has open: this shows them a proxy that was never closed. */
  #tripwire: ReturnType<typeof setInterval> | undefined;
  readonly #server: net.Server;
  readonly #seed: number;
  readonly #closing = new AbortController();
  readonly #pairs = new Set<Pair>();
  readonly #path: Path;
  #target: { readonly host: string; readonly port: number };
  #accepted = 0;

  /** Starts listening. From now on connections are passed on to the target. */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    proxy.#tripwire = setInterval(() => {}, 2 ** 30);
    return proxy;
  }

  private constructor(options: FaultProxyOptions) {
    const { hostname: host = "127.0.0.1", port } = options.target;
    this.#target = { host, port };
    this.#seed = options.seed ?? 1;
    this.onBytes = options.onBytes;
    this.#path = {
      hole: { up: false, down: false },
      delay: 0,
      cut: undefined,
      pause: (ms) => pause(ms, this.#closing.signal),
    };
    this.#server = net.createServer(
      { allowHalfOpen: true, noDelay: true },
      (client) => this.#accept(client),
    );
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Current connections, including those in which nothing passes any more. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Passes new connections on to another port, such as that of a restarted server. */
  retarget(port: number): void {
    this.#target = { ...this.#target, port };
  }

  /** Ends every connection abruptly: both ends receive a real RST, and bytes on their way are lost. */
  reset(): void {
    for (const pair of [...this.#pairs]) pair.reset();
  }

  /**
   * Lets nothing pass in the given direction: no byte, no end of a stream, no RST. Connections stay
   * open, new ones are accepted here but do not reach the target. {@linkcode restore} decides whether what disappeared
   * in the hole is lost or merely late; until then neither end can tell the difference.
   */
  blackhole(direction: Direction | "both" = "both"): void {
    if (direction !== "down") this.#path.hole.up = true;
    if (direction !== "up") this.#path.hole.down = true;
  }

  /**
   * Closes the hole. Whatever disappeared in it is delivered now, late; or, with `drop`, is lost: the connections that
   * lost something, and those opened meanwhile, are silent for ever. A connection without traffic in the meantime goes
   * on either way.
   */
  restore(options: { readonly drop?: boolean } = {}): void {
    const { hole } = this.#path;
    const lost = options.drop ? [...this.#pairs].filter((pair) => pair.isHeldUp(hole)) : [];
    hole.up = hole.down = false;
    for (const pair of lost) pair.silence();
    for (const pair of this.#pairs) pair.resume();
  }

  /**
   * Ends the client's side of every connection without the target noticing: the client's socket breaks (RST), the
   * target's stays open and silent.
   */
  halfOpen(): void {
    for (const pair of [...this.#pairs]) pair.halfOpen();
  }

  /**
   * From now on cuts the stream into pieces of 1 to `maxBytes` bytes, each written to its socket separately.
   * `undefined` ends that.
   */
  split(maxBytes: number | undefined, options: SplitOptions = {}): void {
    if (maxBytes !== undefined && !(maxBytes >= 1)) throw new RangeError("maxBytes is below 1");
    const { gap = 0, mayCut = () => true } = options;
    this.#path.cut = maxBytes === undefined ? undefined : { maxBytes, gap, mayCut };
  }

  /** From now on everything takes `ms` longer in each direction. 0 ends that. */
  delay(ms: number): void {
    this.#path.delay = ms;
  }

  /** Resets every connection, stops listening, and resolves when nothing is left of either. */
  async close(): Promise<void> {
    const pairs = [...this.#pairs];
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#closing.abort();
    for (const pair of pairs) pair.reset();
    await Promise.all([stopped, ...pairs.map((pair) => pair.gone)]);
    clearInterval(this.#tripwire);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    if (this.#closing.signal.aborted) return void client.resetAndDestroy();
    const connection = ++this.#accepted;
    const pair = new Pair(client, this.#path, {
      random: (direction) =>
        new Random(this.#seed * 0x10001 + connection * 2 + +(direction === "up")),
      dial: () => net.connect({ ...this.#target, allowHalfOpen: true }),
      arrived: (direction, bytes) => this.onBytes?.({ connection, direction, bytes }),
    });
    this.#pairs.add(pair);
    pair.gone.then(() => this.#pairs.delete(pair));
  }
}

/** The state of the network, shared by all connections. */
interface Path {
  readonly hole: Record<Direction, boolean>;
  /** Added delay in ms. */
  delay: number;
  cut: (Required<SplitOptions> & { readonly maxBytes: number }) | undefined;
  /** Resolves after `ms`, and early when the proxy closes. */
  readonly pause: (ms: number) => Promise<void>;
}

/** What a pair needs from its proxy. */
interface Surroundings {
  random(direction: Direction): Random;
  dial(): Socket;
  arrived(direction: Direction, bytes: Uint8Array): void;
}

/** A client's connection and the one to the target that goes with it. */
class Pair {
  /** Resolves when both sockets are closed. */
  readonly gone: Promise<void>;

  readonly #client: Socket;
  readonly #path: Path;
  readonly #around: Surroundings;
  readonly #up: Lane;
  readonly #down: Lane;
  readonly #gone = Promise.withResolvers<void>();
  #target: Socket | undefined;
  #silent = false;

  constructor(client: Socket, path: Path, around: Surroundings) {
    this.#client = client;
    this.#path = path;
    this.#around = around;
    this.#up = new Lane("up", path, around.random("up"));
    this.#down = new Lane("down", path, around.random("down"));
    this.gone = this.#gone.promise.then(() => Promise.all([this.#up.idle, this.#down.idle])).then();
    this.#listen(client, this.#up);
    this.resume();
  }

  /** Whether a hole holds up something that this connection has to pass on. */
  isHeldUp(hole: Record<Direction, boolean>): boolean {
    if (this.#silent) return false;
    return this.#target === undefined || (hole.up && this.#up.loaded) ||
      (hole.down && this.#down.loaded);
  }

  /** Continues with whatever the network allows now. */
  resume(): void {
    const { up, down } = this.#path.hole;
    if (this.#target === undefined && !this.#silent && !up && !down) {
      // A client that gave up before its connection reached the target never existed for the target.
      if (this.#up.finished) return this.reset();
      this.#target = this.#around.dial();
      this.#target.setNoDelay(true);
      this.#listen(this.#target, this.#down);
      this.#up.sink = this.#target;
      this.#down.sink = this.#client;
    }
    this.#up.pump();
    this.#down.pump();
  }

  /** Nothing passes any more; each end stays open for as long as its own peer keeps it so. */
  silence(): void {
    this.#silent = true;
    this.#up.clear();
    this.#down.clear();
    for (const socket of [this.#client, this.#target]) if (socket?.readableEnded) socket.destroy();
    this.#look();
  }

  halfOpen(): void {
    this.silence();
    this.#client.resetAndDestroy();
  }

  reset(): void {
    this.silence();
    this.#client.resetAndDestroy();
    this.#target?.resetAndDestroy();
  }

  #listen(socket: Socket, lane: Lane): void {
    const take = (parcel: Parcel) => {
      const atEnd = typeof parcel === "string";
      // The observer may silence or reset the connection whose bytes it sees.
      if (!atEnd && !this.#silent) this.#around.arrived(lane.direction, parcel);
      if (!this.#silent) lane.take(parcel, socket);
      // This end has left, and the other one will never know: the socket need not stay open.
      else if (atEnd) socket.destroy();
    };
    socket.on("data", (bytes: Uint8Array) => take(bytes));
    socket.on("end", () => take("end"));
    socket.on("error", () => take("reset"));
    socket.on("close", () => this.#look());
  }

  #look(): void {
    const targetGone = this.#target === undefined ? this.#silent : this.#target.closed;
    if (this.#client.closed && targetGone) this.#gone.resolve();
  }
}

/** One direction of a connection: a queue in front of a socket. */
class Lane {
  readonly direction: Direction;
  /** Where it leads; parcels wait until that is known. */
  sink: Socket | undefined;
  /** Settles when nothing of this lane is running. */
  idle: Promise<void> = Promise.resolve();

  readonly #path: Path;
  readonly #random: Random;
  #queue: { parcel: Parcel; readonly due: number; readonly source: Socket }[] = [];
  #held = 0;
  #pumping = false;

  constructor(direction: Direction, path: Path, random: Random) {
    this.direction = direction;
    this.#path = path;
    this.#random = random;
  }

  /** Whether something waits here to be passed on. */
  get loaded(): boolean {
    return this.#queue.length > 0;
  }

  /** Whether the end of the stream waits here. */
  get finished(): boolean {
    return typeof this.#queue.at(-1)?.parcel === "string";
  }

  take(parcel: Parcel, source: Socket): void {
    this.#queue.push({ parcel, due: performance.now() + this.#path.delay, source });
    if (typeof parcel !== "string") this.#held += parcel.length;
    if (this.#held > HELD_LIMIT) source.pause();
    this.pump();
  }

  clear(): void {
    for (const { source } of this.#queue) source.resume();
    this.#queue = [];
    this.#held = 0;
  }

  pump(): void {
    if (!this.#pumping) this.idle = this.#run();
  }

  async #run(): Promise<void> {
    this.#pumping = true;
    for (let next; (next = this.#next()) !== undefined;) {
      const wait = next.due - performance.now();
      // The network may have changed during the pause, so check again after it.
      if (wait > 0) await this.#path.pause(wait);
      else await this.#pass(next.parcel, this.sink!, next.source);
    }
    this.#pumping = false;
  }

  #next() {
    return this.sink === undefined || this.#path.hole[this.direction] ? undefined : this.#queue[0];
  }

  async #pass(parcel: Parcel, sink: Socket, source: Socket): Promise<void> {
    if (parcel === "reset") sink.resetAndDestroy();
    if (parcel === "end") sink.end();
    if (typeof parcel === "string") return void this.#queue.shift();
    const { cut } = this.#path;
    const piece = cut ? parcel.subarray(0, this.#pieceLength(parcel, cut)) : parcel;
    if (piece.length === parcel.length) this.#queue.shift();
    else this.#queue[0]!.parcel = parcel.subarray(piece.length);
    this.#held -= piece.length;
    await written(sink, piece);
    if (this.#held <= HELD_LIMIT) source.resume();
    if (cut) await this.#path.pause(cut.gap);
  }

  #pieceLength(bytes: Uint8Array, { maxBytes, mayCut }: NonNullable<Path["cut"]>): number {
    let length = this.#random.int(1, maxBytes);
    while (length < bytes.length && !mayCut(bytes, length, this.direction)) length++;
    return Math.min(length, bytes.length);
  }
}

/** Resolves when the system has taken the bytes, or when the socket is closed and never will. */
function written(socket: Socket, bytes: Uint8Array): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off("close", done);
      resolve();
    };
    socket.once("close", done);
    socket.write(bytes, done);
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
