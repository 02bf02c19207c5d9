import type { Session } from "../link/session.ts";
import { PeerError } from "../protocol/errors.ts";
import { concat, LineSplitter } from "../protocol/lines.ts";
import type { Clock } from "../transport/platform.ts";
import type { Connection, Stage } from "./connection.ts";
import type { Turn } from "./turn.ts";

/** Most bytes that a session gets at once, as it may want no more after them. */
const PIECE = 4096;

/** Most bytes that are kept during a commit; beyond it the socket is not read. */
const MOST_HELD = 16 * 1024;

const NEWLINE = 10;

const NOTHING = new Uint8Array(0);

/** What serving needs from the device. */
export interface ServingOwner {
  readonly session: Session;
  readonly turn: Turn;
  readonly clock: Clock;
  /** The session has changed: `flush` must follow when that is safe. */
  readonly touch: () => void;
  /** The farewell that sends the device to its next address; "": it only sees the end of the connection. */
  readonly farewell: string;
  /** Whether everything in the session is safe. */
  readonly isSafe: boolean;
  /** The connection has ended. Called when records may be changed. */
  ended(serving: Serving, reason: PeerError): void;
}

/** A connection after its greeting: passes bytes between its socket and a session, and the time to the session. */
export class Serving implements Stage {
  #connection: Connection;
  #owner: ServingOwner;
  #splitter: LineSplitter;
  #held = NOTHING; // bytes read, but not yet given to the session
  #parting: PeerError | undefined; // set for an orderly end: the reason
  #isTold = false; // whether the farewell was sent
  #over = false;

  constructor(connection: Connection, owner: ServingOwner) {
    this.#connection = connection;
    this.#owner = owner;
    this.#splitter = new LineSplitter(owner.session.limits.lineBytes + 2);
  }

  /**
   * Takes the connection over from the greeting. Called when records may be changed.
   *
   * @param ahead What was read behind the greeting.
   */
  begin(ahead: Uint8Array): void {
    this.#connection.become(this);
    this.#owner.touch();
    this.#wakeLater(this.#owner.clock.now());
    this.#feed(ahead);
    if (this.#connection.isPaused) this.#goOn(); // the greeting had paused it
  }

  data(bytes: Uint8Array): void {
    if (this.#isKeepalive(bytes) && this.#owner.session.hear(this.#owner.clock.now())) return;
    if (this.#held.length > 0 || this.#owner.turn.busy) this.#hold(bytes);
    else this.#feed(bytes);
  }

  /** Whether these are only keepalives, as from idle devices; several at once if the server was late. */
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
      // While the store fails, `touch` flushes at once: that may have ended the connection of a device that is sent away.
      if (this.#over) return;
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
    // A commit is short, and most devices send little meanwhile: pausing and resuming would cost more.
    if (!turn.busy || this.#held.length > MOST_HELD) this.#connection.pause();
  }

  /** Reads on if the session wants input again. */
  readonly #goOn = (): void => {
    if (this.#over || !this.#owner.session.wantsInput) return;
    const held = this.#held;
    this.#held = NOTHING;
    this.#feed(held);
    if (!this.#owner.session.wantsInput || !this.#connection.isPaused) return;
    this.#owner.session.listen(this.#owner.clock.now());
    this.#connection.resume();
  };

  /**
   * Sends the session's output, and reads again if it wants input.
   *
   * @param safe False while the session cannot be made safe: then only keepalives are sent.
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
    this.#owner.touch(); // there may be new changes that are not safe yet
  }

  wake(now: number): void {
    const { session, turn } = this.#owner;
    const isGone = this.#isGone(now);
    // A busy server may not have read its sockets.
    if (isGone) this.#connection.lookAgain(this.#look);
    if (turn.busy) this.#keepAlive(now);
    else if (!isGone) {
      session.tick(now, !this.#connection.isPaused);
      this.#flushSoon(now);
    }
    this.#wakeLater(now);
  }

  /** Whether the device seems to be gone, going by what was read so far. */
  #isGone(now: number): boolean {
    const { session } = this.#owner;
    const reads = !this.#connection.isPaused;
    return session.isSilent(now, reads) || session.isLate(now, reads) ||
      this.#connection.isStalled(session.timeout, now);
  }

  /**
   * Everything that had arrived was read, so now it is clear whether the device is gone. It would not be clear when the
   * commit under way has ended: by then more may have arrived that was not read.
   */
  readonly #look = (): void => {
    if (this.#over) return;
    const { turn, clock } = this.#owner;
    const now = clock.now();
    // Also while a commit is under way: with one commit after another, that is nearly always.
    if (this.#isGone(now)) turn.enter(this.#judge);
    else this.wake(now);
  };

  #keepAlive(now: number): void {
    if (this.#connection.isWriting) return;
    const output = this.#owner.session.keepAlive(now);
    if (output !== "") this.#connection.write(output);
  }

  /** Flushes at once if everything is safe, otherwise when it is. */
  #flushSoon(now: number): void {
    if (this.#owner.isSafe) this.flush(true, now);
    else this.#owner.touch();
  }

  #wakeLater(now: number): void {
    const { session } = this.#owner;
    // What is due now is sent in a moment, or waits for the socket: check again soon.
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
      this.#goOn(); // held bytes came before the end
      this.#end(reason);
    });
  }

  #end(reason: PeerError): void {
    if (this.#over) return;
    this.#over = true;
    this.#owner.ended(this, reason);
  }

  /** Ends the connection once everything safe is sent, and sends the device to its next address. */
  part(reason: PeerError): void {
    this.#parting ??= reason;
    this.#owner.touch();
  }

  /** Sends the farewell when the system has accepted everything before it, and ends when it has accepted that. */
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

  /** Ends the connection without telling its owner. */
  drop(): void {
    this.#over = true;
    this.#connection.close();
  }

  get address(): string {
    return this.#connection.address;
  }
}
