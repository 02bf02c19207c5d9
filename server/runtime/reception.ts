import { Admission, type Admitted, type Host } from "../admission/admission.ts";
import { LocalError, PeerError } from "../protocol/errors.ts";
import type { Clock, Socket } from "../transport/platform.ts";
import { TimerWheel } from "../transport/wheel.ts";
import { Connection, type ConnectionHost } from "./connection.ts";
import { Greeting, type GreetingHost } from "./greeting.ts";
import { Intake } from "./intake.ts";
import type { Forget, Turn } from "./turn.ts";

/** What the reception needs from the server. */
export interface ReceptionHost {
  readonly turn: Turn;
  readonly clock: Clock;
  readonly admission: Host;
  /** Most connections at one time. */
  readonly connections: number;
  /** Time limit for a whole greeting, and the silence that counts as an outage, in ms. */
  readonly timeout: number;
  record: GreetingHost["record"];
  readonly take?: GreetingHost["take"];
  isForgotten(id: string): boolean;
  admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void;
  /** @param claimed The id that the other end claimed; "": none. */
  refused(address: string, claimed: string, error: PeerError | LocalError): void;
}

/** A connection whose greeting has not started. */
interface Waiting {
  readonly connection: Connection;
  readonly since: number;
}

/** Receives connections, and tracks all that are open. */
export class Reception implements ConnectionHost, GreetingHost {
  readonly wheel: TimerWheel;
  readonly #host: ReceptionHost;
  #open = new Set<Connection>();
  #greetings = new Map<Connection, Greeting>(); // incomplete; oldest first
  #lingering = new Set<Connection>(); // oldest first
  #waiting: Waiting[] = []; // connections whose greeting has not started
  readonly #intake: Intake;
  #closed = false;

  constructor(host: ReceptionHost) {
    this.#host = host;
    this.wheel = new TimerWheel(host.clock, host.timeout / 40);
    this.#intake = new Intake(
      host.clock,
      host.timeout,
      () => this.connections,
      () => this.#beginSome(),
    );
  }

  get turn(): Turn {
    return this.#host.turn;
  }

  get clock(): Clock {
    return this.#host.clock;
  }

  get timeout(): number {
    return this.#host.timeout;
  }

  get connections(): number {
    return this.#open.size;
  }

  /** A connection was made. */
  accept(socket: Socket): void {
    if (this.#closed) return socket.close();
    const { connections } = this.#host;
    if (this.#open.size >= connections && !this.#evict()) {
      const message = `there are ${connections} connections, the most allowed (limit connections)`;
      this.#host.refused(socket.address, "", new PeerError("TOO_MANY_CONNECTIONS", message));
      return socket.close();
    }
    const connection = new Connection(socket, this);
    const admission = new Admission(this.#host.admission, connection.hostname);
    this.#open.add(connection);
    this.#greetings.set(connection, new Greeting(connection, admission, this));
    this.#waiting.push({ connection, since: this.clock.now() });
    this.#beginSome();
  }

  /** The newest first: the longest waiting may have gone. */
  #beginSome(): void {
    while (this.#waiting.length > 0 && this.#intake.take()) {
      const { connection, since } = this.#waiting.pop()!;
      const greeting = this.#greetings.get(connection);
      if (!greeting) continue; // evicted
      if (this.clock.now() - since < this.timeout) greeting.begin();
      else {greeting.cut(
          new PeerError(
            "TOO_MANY_CONNECTIONS",
            "it waited too long because many connected at once",
          ),
        );}
    }
  }

  /**
   * Closes the oldest connection that only waits for the other end to close it, or else the oldest whose greeting is
   * not complete: silent strangers must not keep out devices, which greet at once. Returns false if there is neither.
   */
  #evict(): boolean {
    const [told] = this.#lingering;
    if (told) {
      told.close();
      return true;
    }
    const [oldest] = this.#greetings.values();
    oldest?.cut(
      new PeerError(
        "TOO_MANY_CONNECTIONS",
        "its greeting was not complete when others needed the room",
      ),
    );
    return oldest !== undefined;
  }

  /** The system has no room for another connection: closes half of those that may be closed. */
  makeRoom(): void {
    const count = this.#lingering.size + this.#greetings.size;
    for (let n = Math.ceil(count / 2); n > 0; n--) this.#evict();
  }

  get take(): GreetingHost["take"] {
    return this.#host.take;
  }

  record(...asked: Parameters<GreetingHost["record"]>): Forget {
    return this.#host.record(...asked);
  }

  isForgotten(id: string): boolean {
    return this.#host.isForgotten(id);
  }

  admit(connection: Connection, admitted: Admitted, ahead: Uint8Array): void {
    this.#host.admit(connection, admitted, ahead);
    this.#greetings.delete(connection);
  }

  refused(connection: Connection, error: PeerError | LocalError): void {
    const claimed = this.#greetings.get(connection)!.id;
    this.#greetings.delete(connection);
    if (!this.#closed) this.#host.refused(connection.address, claimed, error);
  }

  /** Ends the greetings of a device, because their view of it is outdated. */
  cut(id: string, reason: PeerError): void {
    for (const greeting of [...this.#greetings.values()]) {
      if (greeting.id === id) greeting.cut(reason);
    }
  }

  lingers(connection: Connection): void {
    this.#lingering.add(connection);
  }

  left(connection: Connection): void {
    this.#open.delete(connection);
    this.#lingering.delete(connection);
  }

  /** Closes all connections whose greeting is not complete, and accepts no more. */
  close(): void {
    this.#closed = true;
    this.#intake.close();
    for (const greeting of [...this.#greetings.values()]) {
      greeting.cut(new PeerError("LOST", "the server was closed"));
    }
    for (const connection of [...this.#lingering]) connection.close();
  }
}
