import type { Session } from "../link/session.ts";
import { PeerError } from "../protocol/errors.ts";
import { concat, LineSplitter } from "../protocol/lines.ts";
import type { Clock } from "../transport/platform.ts";
import type { Connection, Stage } from "./connection.ts";
import type { Turn } from "./turn.ts";

/** Bytes that a session is given at once: it may want no more after them. */
const PIECE = 4096;

/** Bytes that are kept during a commit before the socket is read no more. */
const MOST_HELD = 16 * 1024;

const NEWLINE = 10;

const NOTHING = new Uint8Array(0);

/** Whose session it is. */
export interface ServingOwner {
  readonly session: Session;
  readonly turn: Turn;
  readonly clock: Clock;
  /** The session has changed: `flush` is to follow when that is safe. */
  readonly touch: () => void;
  /** What sends the device to its next address; "": the end of the connection is all that it is told. */
  readonly farewell: string;
  /** Whether all that the session holds is safe. */
  readonly isSafe: boolean;
  /** The connection has ended. Called while no commit is under way. */
  ended(serving: Serving, reason: PeerError): void;
}

/** A connection after its greeting: carries bytes between its socket and a session, and gives the session the time. */
export class Serving implements Stage {
  #connection: Connection;
  #owner: ServingOwner;
  #splitter: LineSplitter;
  #held = NOTHING; // read, but not given to the session yet
  #parting: PeerError | undefined; // why it is to end in peace
  #isTold = false; // and the device was told
  #over = false;

  constructor(connection: Connection, owner: ServingOwner) {
    this.#connection = connection;
    this.#owner = owner;
    this.#splitter = new LineSplitter(owner.session.limits.lineBytes + 2);
  }

  /**
   * Takes the connection over from the greeting. Called while no commit is under way.
   *
   * @param ahead What was read behind the greeting.
   */
  begin(ahead: Uint8Array): void {
    this.#connection.become(this);
    this.#owner.touch();
    this.#wakeLater(this.#owner.clock.now());
    this.#feed(ahead);
    if (this.#connection.isPaused) this.#goOn(); // the greeting has held something back
  }

  data(bytes: Uint8Array): void {
    if (this.#isKeepalive(bytes) && this.#owner.session.hear(this.#owner.clock.now())) return;
    if (this.#held.length > 0 || this.#owner.turn.busy) this.#hold(bytes);
    else this.#feed(bytes);
  }

  /** Most of what idle devices send; several at once where the server was late. */
  #isKeepalive(bytes: Uint8Array): boolean {
    return bytes[0] === NEWLINE && this.#held.length === 0 && this.#splitter.held === 0 &&
      bytes.every((byte) => byte === NEWLINE);
  }

  /** Gives the session as much as it wants. */
  #feed(bytes: Uint8Array): void {
    const { session, clock, touch } = this.#owner;
    let at = 0;
    for (; at < bytes.length && session.wantsInput; at += PIECE) {
      touch();
      if (this.#over) return; // while the store fails it flushes at once, and a device that is sent away has gone by then
      try {
        session.receive(this.#splitter.push(bytes.subarray(at, at + PIECE)), clock.now());
      } catch (error) {
        return this.#fail(error);
      }
    }
    if (at < bytes.length) this.#hold(bytes.subarray(at));
    else if (!session.wantsInput) this.#connection.pause();
  }

  /** Keeps bytes until the commit under way has ended, or the session wants them. */
  #hold(bytes: Uint8Array): void {
    const { turn } = this.#owner;
    if (this.#held.length === 0 && turn.busy) turn.enter(this.#goOn);
    this.#held = concat(this.#held, bytes);
    // A commit takes a moment, in which most devices say little: to stop and begin again would cost more.
    if (!turn.busy || this.#held.length > MOST_HELD) this.#connection.pause();
  }

  /** Reads on if the session wants input again. */
  readonly #goOn = (): void => {
    if (this.#over || !this.#owner.session.wantsInput) return;
    const held = this.#held;
    this.#held = NOTHING;
    this.#feed(held);
    if (this.#owner.session.wantsInput) this.#connection.resume();
  };

  /**
   * Sends what the session has to send, and reads on if it wants input again.
   *
   * @param safe False while what the session holds cannot be made safe: then keepalives are all.
   */
  flush(safe: boolean, now: number): void {
    if (this.#over) return;
    if (!this.#connection.isWriting) {
      const { session } = this.#owner;
      const output = safe ? session.transmit(now) : session.keepAlive(now);
      if (output !== "") this.#connection.write(output);
    }
    if (this.#parting) return this.#part();
    if (this.#held.length > 0 || this.#connection.isPaused) this.#goOn();
  }

  drained(): void {
    if (this.#parting) return void this.#owner.turn.enter(this.#part);
    this.#owner.touch(); // there may be more by now, and it may not be safe yet
  }

  wake(now: number): void {
    const { session, turn } = this.#owner;
    const reads = !this.#connection.isPaused;
    const isGone = session.isSilent(now, reads) || session.isLate(now, reads) ||
      this.#connection.isStalled(session.timeout, now);
    // Later: a server that was busy has perhaps not listened. But also while a commit is under way: where one follows
    // the other, that is nearly always.
    if (isGone) this.#connection.lookAgain(() => turn.enter(this.#judge));
    if (turn.busy) this.#keepAlive(now);
    else if (!isGone) {
      session.tick(now, reads);
      this.#flushSoon(now);
    }
    this.#wakeLater(now);
  }

  #keepAlive(now: number): void {
    if (this.#connection.isWriting) return;
    const output = this.#owner.session.keepAlive(now);
    if (output !== "") this.#connection.write(output);
  }

  /** Flushes at once if that is safe, else when it is. */
  #flushSoon(now: number): void {
    if (this.#owner.isSafe) this.flush(true, now);
    else this.#owner.touch();
  }

  #wakeLater(now: number): void {
    const { session } = this.#owner;
    // What is due now is sent in a moment, or waits for the socket: look again soon.
    this.#connection.wakeAt(Math.max(session.deadline(), now + session.timeout / 40));
  }

  readonly #judge = (): void => {
    if (this.#over) return;
    const { session, clock } = this.#owner;
    const now = clock.now();
    try {
      session.tick(now, !this.#connection.isPaused);
      if (this.#connection.isStalled(session.timeout, now)) {
        throw new PeerError("STALLED", `the device accepted nothing for ${session.timeout} ms`);
      }
    } catch (error) {
      return this.#fail(error);
    }
    this.#flushSoon(now);
  };

  #fail(error: unknown): void {
    if (!(error instanceof PeerError)) throw error;
    this.#connection.close();
    this.#end(error);
  }

  ended(reason: PeerError): void {
    this.#owner.turn.enter(() => {
      this.#goOn(); // what is held came before the end
      this.#end(reason);
    });
  }

  #end(reason: PeerError): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended(this, reason);
  }

  /** Ends the connection when what is safe has gone out, and sends the device to its next address. */
  part(reason: PeerError): void {
    this.#parting ??= reason;
    this.#owner.touch();
  }

  /** Says farewell when the system has taken all before it, and ends when it has taken that. */
  readonly #part = (): void => {
    if (this.#over || this.#connection.isWriting) return;
    const { farewell } = this.#owner;
    if (farewell !== "" && !this.#isTold) this.#connection.write(farewell);
    this.#isTold = true;
    if (this.#connection.isWriting) return;
    if (farewell === "") this.#connection.close();
    else this.#connection.linger(this.#owner.session.timeout / 4);
    this.#end(this.#parting!);
  };

  /** Ends the connection, and tells its owner why. */
  cut(reason: PeerError): void {
    this.#connection.close();
    this.#owner.turn.enter(() => this.#end(reason));
  }

  /** Ends the connection; its owner knows. */
  drop(): void {
    this.#over = true;
    this.#connection.close();
  }

  get address(): string {
    return this.#connection.address;
  }
}
