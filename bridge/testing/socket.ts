/** A simulated socket: behaves in every way in which a real one may. */
import { PeerError } from "../../server/protocol/errors.ts";
import type { Socket, SocketEvents } from "../../server/transport/platform.ts";
import type { End } from "./network.ts";
import type { Process } from "./process.ts";
import { Violation } from "./violation.ts";

/** Called with the bytes that pass, before the program sees them or after it has written them. */
export interface Tap {
  wrote(bytes: Uint8Array): void;
  read(bytes: Uint8Array): void;
  /** The longest time, in ms, without a read that counts as heard; undefined: all bytes count. */
  quiet?(): number | undefined;
}

/** What a program sees if it keeps bytes that it must not keep. */
const POISON = 0xee;

const NOTHING = new Uint8Array(0);

const encoder = new TextEncoder();

export class SimSocket implements Socket {
  readonly hostname: string;
  /** The program has it, has not closed it, and was not told of its end. */
  isOpen = true;
  /** Since when reading is paused. */
  pausedAt: number | undefined;
  readonly madeAt: number;
  /** Since when reading goes on. */
  readAt: number;
  /** Bytes that the system has taken. */
  taken = 0;
  /** When something was last written. */
  wroteAt: number;
  /** The greeting is over: its owner keeps the link alive, and does not write while its last write is unfinished. */
  isServing = false;
  /** Since when its owner has finished, and only waits for the other end to close the connection. */
  leftAt = -Infinity;
  tap: Tap | undefined;
  /** Called before each write. */
  onWrite: (() => void) | undefined;
  /** Since when the system has not taken everything; and when it last had taken everything. */
  heldSince = 0;
  takenAllAt = 0;
  #events: (SocketEvents & { opened?(): void }) | undefined;
  #started = false;
  #isConnected: boolean;
  #pending: Uint8Array = NOTHING; // written, not taken by the system
  #owesDrained = false;
  #slips = false; // one more piece arrives in spite of `pause`
  #isDue = false; // a read is planned

  /** @param events For a connection that is still being made. */
  constructor(
    readonly process: Process,
    readonly end: End,
    readonly address: string,
    events?: SocketEvents & { opened(): void },
  ) {
    this.hostname = end.path.hostname;
    this.madeAt = this.readAt = this.wroteAt = process.world.clock.now;
    this.#events = events;
    this.#started = events !== undefined;
    this.#isConnected = events === undefined;
    end.owner = {
      opened: () => this.#arrive(() => this.#open()),
      readable: () => this.#readSoon(),
      writable: () => this.#arrive(() => this.#push()),
      ended: () => this.#fail(),
    };
  }

  /** The greeting is over. */
  serves(): void {
    this.isServing = true;
    this.readAt = this.wroteAt = this.process.world.clock.now;
  }

  /** Bytes that the program has written and the system has not taken. */
  get held(): number {
    return this.#pending.length;
  }

  /** Calls something in the program, after a while. */
  #arrive(run: () => void): void {
    this.process.arrive(() => {
      if (this.isOpen) run();
    });
  }

  #open(): void {
    this.#isConnected = true;
    this.readAt = this.process.world.clock.now;
    this.#events!.opened!();
    this.#look();
  }

  start(events: SocketEvents): void {
    if (this.#started) throw new Violation("a socket is started twice");
    this.#started = true;
    this.#events = events;
    if (this.end.failed) this.#fail();
    else this.#look();
  }

  /** Checks whether there is something to read; not from within the program's code. */
  #look(): void {
    this.process.world.clock.after(0, () => this.#readSoon());
  }

  /** There may be something to read: at the program's next turn. */
  #readSoon(): void {
    if (!this.#started || !this.#isConnected || !this.isOpen || this.#isDue) return;
    if (this.end.available === 0 && !this.end.isAtEnd) return;
    this.#isDue = true;
    this.#arrive(() => {
      this.#isDue = false;
      this.#read();
    });
  }

  #read(): void {
    const { random } = this.process.world;
    while (this.isOpen && (this.pausedAt === undefined || this.#slips) && this.end.available > 0) {
      this.#slips = false;
      const most = random.chance(0.9) ? Infinity : random.between(1, this.end.available);
      const bytes = this.end.read(most).slice();
      this.tap?.read(bytes);
      this.#events!.data(bytes);
      bytes.fill(POISON);
    }
    this.#slips = false;
    if (this.isOpen && this.pausedAt === undefined && this.end.isAtEnd) {
      this.#tell(new PeerError("LOST", "the other end has closed the connection"));
    }
  }

  /** The network reports that it is gone. A program that does not read may learn this only when it writes. */
  #fail(): void {
    if (this.pausedAt !== undefined && this.process.world.random.chance(0.5)) return;
    if (this.#started) this.#failSoon();
  }

  #failSoon(): void {
    this.process.world.clock.after(0, () => {
      this.#arrive(() => this.#tell(new PeerError("LOST", "reset")));
    });
  }

  #tell(reason: PeerError): void {
    this.isOpen = false;
    this.end.close();
    this.#events!.ended(reason);
  }

  write(data: Uint8Array | string): boolean {
    if (!this.isOpen) return false;
    if (!this.#isConnected) throw new Violation("a socket is written to before it is connected");
    const bytes = typeof data === "string" ? encoder.encode(data) : data;
    if (this.isServing && this.held > 0) {
      throw new Violation(
        `${this.address} is written to, and has not taken what was written before`,
      );
    }
    this.onWrite?.();
    this.wroteAt = this.process.world.clock.now;
    this.tap?.wrote(bytes);
    if (this.end.failed) {
      this.#failSoon();
      return false;
    }
    if (this.#pending.length > 0) this.#pending = concat(this.#pending, bytes);
    else {
      const n = this.end.write(bytes);
      this.taken += n;
      this.#pending = bytes.subarray(n); // not copied, as in a real system
    }
    if (this.#pending.length > 0) {
      if (!this.#owesDrained) this.heldSince = this.process.world.clock.now;
      this.#owesDrained = true;
    } // The system may need a moment, though it has room.
    else if (!this.#owesDrained && this.process.world.random.chance(0.1)) {
      this.#owesDrained = true;
      this.process.world.clock.after(0, () => this.#arrive(() => this.#push()));
    }
    return !this.#owesDrained;
  }

  #push(): void {
    if (this.#pending.length > 0) {
      const n = this.end.write(this.#pending);
      this.taken += n;
      this.#pending = this.#pending.subarray(n);
    }
    if (this.#pending.length > 0 || !this.#owesDrained) return;
    this.#owesDrained = false;
    this.takenAllAt = this.process.world.clock.now;
    this.#events!.drained();
  }

  pause(): void {
    if (!this.isOpen || this.pausedAt !== undefined) return;
    this.pausedAt = this.process.world.clock.now;
    this.#slips = this.process.world.random.chance(0.3);
  }

  resume(): void {
    if (!this.isOpen || this.pausedAt === undefined) return;
    this.pausedAt = undefined;
    this.#slips = false;
    this.readAt = this.process.world.clock.now;
    if (this.end.failed) this.#failSoon();
    else this.#look();
  }

  finish(): void {
    if (this.held > 0) throw new Violation("a socket is finished that has not taken all");
    if (this.isOpen) this.end.finish();
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.end.close();
  }

  /** Its process is killed: the system closes it, or the machine is gone. */
  die(closes: boolean): void {
    this.isOpen = false;
    if (closes) this.end.close();
    else this.end.vanish();
  }
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
