import type { Admission, Admitted, Step } from "../admission/admission.ts";
import type { DeviceRecord } from "../link/record.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import { concat } from "../protocol/lines.ts";
import type { Clock } from "../transport/platform.ts";
import type { Connection, Stage } from "./connection.ts";
import type { Forget, Turn } from "./turn.ts";

const NOTHING = new Uint8Array(0);

/** What a greeting needs from the server. */
export interface GreetingHost {
  readonly turn: Turn;
  readonly clock: Clock;
  /** Time that the other end has for its part of the greeting, in ms. */
  readonly timeout: number;
  /**
   * Asks for a device's record, and keeps it in memory.
   *
   * @returns a function to call when the record, or the answer, is no longer needed
   */
  record(
    id: string,
    told: (record: DeviceRecord) => void,
    failed: (error: unknown) => void,
  ): Forget;
  /**
   * Takes a device whose greeting was confirmed, if other processes may have it; undefined: there are no
   * others.
   *
   * @param known The record that the greeting used.
   * @returns a function to call when the device, or the answer, is no longer needed
   */
  readonly take?:
    | ((
      id: string,
      known: DeviceRecord,
      told: () => void,
      failed: (error: unknown) => void,
    ) => Forget)
    | undefined;
  /** Whether the store has just forgotten the device: its record may count messages that never were safe. */
  isForgotten(id: string): boolean;
  /**
   * Admits a connection. Called when records may be changed.
   *
   * @param ahead Bytes that were read after the greeting.
   * @throws {PeerError} why it is refused after all
   */
  admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void;
  /** A connection was refused, or has left by itself. */
  refused(connection: Connection, error: PeerError | LocalError): void;
}

/** Drives a new connection until its greeting is done. */
export class Greeting implements Stage {
  #connection: Connection;
  #admission: Admission;
  #host: GreetingHost;
  #held = NOTHING;
  #release: Forget | undefined; // releases the record or the device
  #known: DeviceRecord | undefined; // the record that it got
  #forget: Forget | undefined; // cancels what waits for the turn
  #greetedAt = 0; // when its hello came
  #oursSince: number | undefined; // set while the next step is ours, so the other end's time does not run
  #deadline = 0; // when the other end's time is over, if no step of ours comes before
  #late: PeerError | undefined; // why it is refused, which is sent later
  #leaving: PeerError | LocalError | undefined; // the reason, once the farewell is under way
  #over = false;

  constructor(connection: Connection, admission: Admission, host: GreetingHost) {
    this.#connection = connection;
    this.#admission = admission;
    this.#host = host;
  }

  /** Id of the device; "" while it is unknown. */
  get id(): string {
    return this.#admission.id;
  }

  begin(): void {
    this.#deadline = this.#host.clock.now() + this.#host.timeout;
    this.#connection.wakeAt(this.#deadline);
    this.#connection.start(this);
  }

  data(bytes: Uint8Array): void {
    if (this.#late || this.#leaving) return;
    if (!this.#admission.isWelcomed) this.#greetedAt = this.#host.clock.now();
    if (this.#oursSince !== undefined) {
      this.#held = concat(this.#held, bytes);
      this.#connection.pause();
      return;
    }
    if (this.#admission.skips(bytes)) return; // a commit under way would stop the other end's time
    const own = this.#host.turn.busy ? bytes.slice() : bytes;
    this.#step(() => this.#admission.receive(own));
  }

  /** Runs a step when no commit is under way, because a greeting tells both ends' positions. */
  #step(next: () => Step | void): void {
    this.#oursSince ??= this.#host.clock.now();
    this.#await(this.#host.turn.enter(() => {
      if (this.#over) return;
      try {
        const step = next();
        if (step) this.#follow(step);
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        this.#turnAway(error);
      }
    }));
  }

  #follow({ output, admitted, wants }: Step): void {
    if (admitted) this.#take(admitted);
    else if (wants !== undefined) this.#fetch(wants);
    else if (output !== "") this.#await(this.#host.turn.whenSafe(() => this.#say(output)));
    else this.#goOn();
  }

  /** The callback may already have run, so that something else is awaited by now. */
  #await(forget: Forget | undefined): void {
    if (forget) this.#forget = forget;
  }

  #fetch(id: string): void {
    this.#release = this.#host.record(
      id,
      (record) => {
        this.#known = record;
        this.#step(() => this.#admission.provide(record));
      },
      this.#storeFails,
    );
  }

  readonly #storeFails = (error: unknown): void => {
    if (this.#over) return;
    if (error instanceof PeerError) return this.#leave("", error); // it must greet again
    const why = error instanceof Error ? error.message : String(error);
    const message = `its record cannot be read: ${why}`;
    this.#leave("", new LocalError("STORE_FAILED", message, { cause: error }));
  };

  /** Takes the device, if another process may have it, and admits the connection. */
  #take(admitted: Admitted): void {
    const { take } = this.#host;
    if (!take) return this.#admit(admitted);
    this.#release?.();
    this.#release = take(
      admitted.id,
      this.#known!,
      () => this.#step(() => this.#admit(admitted)),
      this.#storeFails,
    );
  }

  /** Sends the welcome. */
  #say(output: string): void {
    if (this.#over) return;
    const early = this.#held;
    this.#held = NOTHING;
    try {
      // A welcome acknowledges what has arrived, and the commit that has removed the device did not store that.
      if (this.#host.isForgotten(this.id)) {
        throw new PeerError("STALE_GREETING", "the device was forgotten");
      }
      this.#admission.beforeWelcome(early);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return this.#turnAway(error);
    }
    this.#connection.write(output);
    // The hello may have lain unread until its time was over.
    this.#goOn(this.#host.timeout / 4);
  }

  /** Waits for the other end again. @param least How much time it has at least, in ms */
  #goOn(least = 0): void {
    const now = this.#host.clock.now();
    this.#deadline = Math.max(this.#deadline + now - this.#oursSince!, now + least);
    this.#oursSince = undefined;
    this.#connection.wakeAt(this.#deadline);
    if (this.#held.length === 0) return this.#connection.resume();
    const held = this.#held;
    this.#held = NOTHING;
    this.#step(() => this.#admission.receive(held));
  }

  #admit(admitted: Admitted): void {
    const { rest } = this.#admission;
    const read = this.#held.length === 0 ? rest : concat(rest, this.#held);
    const ahead = admitted.seal ? this.#connection.seal(admitted.seal, read) : read;
    admitted.greetedAt = this.#greetedAt;
    this.#host.admit(this.#connection, admitted, ahead);
    this.#finish();
  }

  #turnAway(error: PeerError): void {
    if (this.#admission.isLate) {
      this.#late = error;
      this.#connection.wakeAt(this.#host.clock.now() + this.#host.timeout / 4);
    } else this.#leave(this.#admission.farewell(error), error);
  }

  /** Lingers once the system has accepted the farewell. */
  #leave(farewell: string, error: PeerError | LocalError): void {
    this.#leaving = error;
    if (farewell === "") return this.#end(error);
    this.#connection.write(farewell);
    this.#connection.wakeAt(this.#host.clock.now() + this.#host.timeout);
    if (!this.#connection.isWriting) this.drained();
  }

  drained(): void {
    if (!this.#leaving || this.#over) return;
    this.#finish();
    this.#connection.linger(this.#host.timeout / 4);
    this.#host.refused(this.#connection, this.#leaving);
  }

  wake(): void {
    if (this.#leaving) this.#end(this.#leaving);
    else if (this.#late) this.#leave(this.#admission.farewell(this.#late), this.#late);
    else if (this.#oursSince === undefined) this.#connection.lookAgain(() => this.#judge());
  }

  #judge(): void {
    if (this.#over || this.#late || this.#leaving || this.#oursSince !== undefined) return;
    const { clock, timeout } = this.#host;
    if (clock.now() < this.#deadline) return; // what was read has given it more time
    const missing = this.#admission.isWelcomed ? "no answer to the welcome" : "no complete hello";
    this.cut(new PeerError("NO_HELLO", `${missing} within ${timeout} ms`));
  }

  ended(reason: PeerError): void {
    this.#end(this.#late ?? this.#leaving ?? reason);
  }

  /** Ends the connection without a farewell. */
  cut(error: PeerError): void {
    this.#end(error);
  }

  #end(error: PeerError | LocalError): void {
    if (this.#over) return;
    this.#finish();
    this.#connection.close();
    this.#host.refused(this.#connection, error);
  }

  #finish(): void {
    this.#over = true;
    this.#forget?.();
    this.#admission.end();
    this.#release?.();
  }
}
