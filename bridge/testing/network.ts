/**
 * The simulated network: what TCP promises, and nothing more. Bytes of one connection and direction keep their order;
 * the seed decides when they arrive, in what pieces, and whether an end learns that the other is gone. Different
 * connections of one device may overtake each other.
 */
import { concat } from "../../server/protocol/lines.ts";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

/** Properties of the path between two machines, in ms and bytes. */
export interface Conditions {
  /** Minimum delay of each packet, one way. */
  latency: number;
  /** Maximum additional delay, drawn for each packet. */
  jitter: number;
  /** Longest segment, drawn again for each; Infinity: a write arrives in one piece. */
  segment: number;
  /** Bytes that fit between the two programs, per direction. */
  capacity: number;
  /** Bytes per ms. */
  rate: number;
}

/** Directions: from the device to the server, and back. */
export const UP = 0;
export const DOWN = 1;
export type Direction = typeof UP | typeof DOWN;

/** An attacker on the path. */
export interface Meddling {
  /** The bytes to pass on in place of a piece. */
  pass(direction: Direction, piece: Uint8Array, connection: object): Uint8Array;
}

/** Callbacks for the owner of one end of a connection. */
export interface EndOwner {
  opened?(): void;
  readable(): void;
  writable(): void;
  /** Nothing more arrives, and nothing more is sent. */
  ended(): void;
}

const NEWLINE = 10;

/** A lost packet is repeated after this many ms. */
const REPEAT = 1000;

/** The path between one device, or a stranger, and the server. */
export class Path {
  /** What happens to new connections. */
  connecting: "normal" | "refused" | "hanging" = "normal";
  /** Added to every delay, in ms. */
  slowness = 0;
  /** A smaller capacity for all its pipes. */
  congestion = Infinity;
  /** Whether an attacker records what the device sends. */
  isOverheard = false;
  /** An attacker who may change anything that passes after a greeting. */
  meddler: Meddling | undefined;
  /** The attacker of earlier faults, who remembers what has passed. */
  stranger: Meddling | undefined;
  /** The last connections made, to be cut by faults. */
  readonly connections: Circuit[] = [];
  readonly #holes = [0, 0];
  readonly #held: (() => void)[][] = [[], []];

  constructor(
    readonly clock: Clock,
    readonly random: Random,
    readonly conditions: Conditions,
    readonly hostname: string,
    /** The device whose path it is. */
    readonly owner?: string,
  ) {}

  /** Nothing passes in this direction until a `plug` has undone each `unplug`. */
  unplug(direction: Direction): void {
    this.#holes[direction]!++;
  }

  plug(direction: Direction): void {
    if (--this.#holes[direction]! > 0) return;
    for (const run of this.#held[direction]!.splice(0)) {
      this.clock.after(this.random.below(REPEAT), () => this.deliver(direction, run));
    }
  }

  isOpen(direction: Direction): boolean {
    return this.#holes[direction] === 0;
  }

  delay(): number {
    const { latency, jitter } = this.conditions;
    return latency + this.random.below(jitter + 1) + this.slowness;
  }

  /** Delivers something that TCP repeats until it arrives. */
  deliver(direction: Direction, run: () => void): void {
    if (this.isOpen(direction)) run();
    else this.#held[direction]!.push(run);
  }

  /** Delivers something that is sent once, or loses it. */
  sendOnce(direction: Direction, run: () => void): void {
    this.clock.after(this.delay(), () => {
      if (this.isOpen(direction)) run();
    });
  }
}

/** A machine that accepts connections. */
export interface Host {
  readonly listens: boolean;
  /** Its system has accepted a connection, which its program may take. */
  accept(end: End): void;
}

/** One direction of a connection. Places are counted from its first byte. */
class Pipe {
  #bytes: Uint8Array<ArrayBuffer>;
  #base = 0; // place of #bytes[0]
  #written = 0;
  #arrived = 0;
  #read = 0;
  #lastArrival = 0;
  #blocked = false;
  #greeting: number; // lines of the greeting that are still to come
  /** Nothing arrives any more. */
  cut = false;

  constructor(
    readonly path: Path,
    readonly connection: object,
    readonly direction: Direction,
    readonly capacity: number,
  ) {
    this.#bytes = new Uint8Array(2 * capacity);
    this.#greeting = direction === UP ? 2 : 1;
  }

  get room(): number {
    return Math.min(this.capacity, this.path.congestion) - (this.#written - this.#read);
  }

  get available(): number {
    return this.#arrived - this.#read;
  }

  /** Takes what fits. Calls `arrived` for each piece that has arrived. */
  write(bytes: Uint8Array, arrived: () => void): number {
    const n = Math.max(0, Math.min(bytes.length, this.room));
    this.#blocked = n < bytes.length;
    if (n > 0) this.#put(this.#meddled(bytes.subarray(0, n)), arrived);
    return n;
  }

  /** The bytes as an attacker passes them on; no more than there is room for. */
  #meddled(bytes: Uint8Array): Uint8Array {
    let end = 0;
    while (this.#greeting > 0 && end < bytes.length) {
      if (bytes[end++] === NEWLINE) this.#greeting--;
    }
    const { meddler } = this.path;
    if (!meddler || end === bytes.length) return bytes;
    const passed = meddler.pass(this.direction, bytes.subarray(end), this.connection);
    return concat(bytes.subarray(0, end), passed).subarray(0, this.room);
  }

  #put(bytes: Uint8Array, arrived: () => void): void {
    const n = bytes.length;
    if (this.#written - this.#base + n > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#read - this.#base, this.#written - this.#base);
      this.#base = this.#read;
    }
    this.#bytes.set(bytes, this.#written - this.#base);
    const { segment, rate } = this.path.conditions;
    for (let left = n; left > 0;) {
      const length = segment === Infinity
        ? left
        : Math.min(left, this.path.random.between(1, segment));
      left -= length;
      this.#written += length;
      this.#deliver(this.#written, length / rate, arrived);
    }
  }

  #deliver(place: number, time: number, arrived: () => void, isEnd = false): void {
    const { clock } = this.path;
    const due = Math.max(this.#lastArrival, clock.now + this.path.delay()) + time;
    this.#lastArrival = due;
    clock.at(Math.floor(due), () => {
      this.path.deliver(this.direction, () => {
        clock.onStep?.();
        if (this.cut || (!isEnd && place <= this.#arrived)) return; // a later segment was faster
        this.#arrived = Math.max(this.#arrived, place);
        arrived();
      });
    });
  }

  /** Ends the stream, after all that was written. */
  finish(arrived: () => void): void {
    this.#deliver(this.#written, 0, arrived, true);
  }

  /** @returns a view, valid until the next call */
  read(most: number): Uint8Array<ArrayBuffer> {
    const n = Math.min(most, this.available);
    const from = this.#read - this.#base;
    this.#read += n;
    return this.#bytes.subarray(from, from + n);
  }

  /** Whether the writer waits for room and there is some; true only once. */
  unblocked(): boolean {
    if (!this.#blocked || this.room <= 0) return false;
    this.#blocked = false;
    return true;
  }
}

/** One end of a connection. */
export class End {
  owner: EndOwner | undefined;
  peer!: End;
  /** The owner has closed it, or has ended. */
  closed = false;
  /** Nothing works any more. */
  failed = false;
  /** When something from the other end last arrived. */
  heardAt: number;
  /** Longest time without an arrival, not counting the current one, in ms. */
  longestSilence = 0;
  /** When the network last took something. */
  takenAt: number;
  #finished = false; // the other end has closed
  #saidAll = false; // this one has, or will not write any more

  constructor(readonly connection: Circuit, readonly input: Pipe, readonly output: Pipe) {
    this.heardAt = this.takenAt = connection.path.clock.now;
  }

  get path(): Path {
    return this.connection.path;
  }

  /** How long nothing from the other end has arrived, in ms. */
  get silence(): number {
    return this.path.clock.now - this.heardAt;
  }

  /** How many bytes the network would take. */
  get room(): number {
    return this.output.room;
  }

  /** @returns how many bytes the network has taken; if not all, its owner is told when it takes more */
  write(bytes: Uint8Array): number {
    const n = this.output.write(bytes, this.#arrived);
    if (n > 0) this.takenAt = this.path.clock.now;
    return n;
  }

  readonly #arrived = (): void => this.peer.#receive();

  #receive(): void {
    this.longestSilence = Math.max(this.longestSilence, this.silence);
    this.heardAt = this.path.clock.now;
    if (this.closed) this.#reset();
    else if (!this.failed) this.owner?.readable();
  }

  get available(): number {
    return this.failed ? 0 : this.input.available;
  }

  read(most: number): Uint8Array<ArrayBuffer> {
    const bytes = this.input.read(most);
    if (this.input.unblocked()) {
      this.path.clock.after(
        this.path.delay(),
        () =>
          this.path.deliver(this.output.direction, () => {
            if (!this.connection.cut && !this.peer.closed) this.peer.owner?.writable();
          }),
      );
    }
    return bytes;
  }

  /** Nothing more will come. */
  get isAtEnd(): boolean {
    return this.failed || (this.#finished && this.input.available === 0);
  }

  /** Ends writing; reading goes on. */
  finish(): void {
    if (this.closed || this.#saidAll) return;
    this.#saidAll = true;
    this.output.finish(() => this.peer.#finish());
  }

  close(): void {
    if (this.closed) return;
    if (this.input.available > 0) this.#reset();
    else this.finish();
    this.closed = true;
    this.owner = undefined;
  }

  /** Ends it with a reset: what was sent, and has not arrived, is lost. */
  abort(): void {
    if (this.closed) return;
    this.closed = true;
    this.owner = undefined;
    this.#reset();
  }

  /** Its program, and perhaps its machine, has ended without telling the other end. */
  vanish(): void {
    this.closed = true;
    this.owner = undefined;
  }

  #finish(): void {
    if (this.closed) return;
    this.#finished = true;
    this.owner?.readable();
  }

  #reset(): void {
    this.path.sendOnce(this.output.direction, () => {
      if (!this.connection.cut) this.peer.fail();
    });
  }

  /** The network says that the connection is gone. */
  fail(): void {
    if (this.closed || this.failed) return;
    this.failed = true;
    this.owner?.ended();
  }
}

/** One TCP connection, from the device's attempt to connect. */
export class Circuit {
  readonly client: End;
  readonly server: End;
  #up: Pipe;
  #down: Pipe;

  constructor(readonly path: Path, host: Host, owner?: EndOwner) {
    const { capacity } = path.conditions;
    const up = this.#up = new Pipe(path, this, UP, capacity);
    const down = this.#down = new Pipe(path, this, DOWN, capacity);
    this.client = new End(this, down, up);
    this.server = new End(this, up, down);
    this.client.peer = this.server;
    this.server.peer = this.client;
    this.client.owner = owner;
    path.connections.push(this);
    if (path.connections.length > 3) path.connections.shift();
    if (path.connecting !== "hanging") path.clock.after(path.delay(), () => this.#arrive(host));
  }

  #arrive(host: Host): void {
    const { path, client, server } = this;
    if (!path.isOpen(UP)) {
      if (!client.closed) path.clock.after(REPEAT, () => this.#arrive(host));
      return;
    }
    if (!host.listens || path.connecting === "refused") {
      path.sendOnce(DOWN, () => client.fail());
      return;
    }
    server.heardAt = path.clock.now;
    host.accept(server);
    path.clock.after(path.delay(), () =>
      path.deliver(DOWN, () => {
        if (client.closed) path.sendOnce(UP, () => server.fail());
        else if (!this.cut) client.owner?.opened?.();
      }));
  }

  /** Nothing arrives any more. */
  get cut(): boolean {
    return this.#up.cut;
  }

  /** Cuts it in the network. An end that is not told does not notice. */
  sever(tellClient: boolean, tellServer: boolean): void {
    this.#up.cut = this.#down.cut = true;
    if (tellClient) this.client.fail();
    if (tellServer) this.server.fail();
  }
}
