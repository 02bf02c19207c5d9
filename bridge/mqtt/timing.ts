/** The timers of a session: reconnecting, PINGREQ, and giving up a silent broker. */
import { BrokerError } from "./errors.ts";

/** Time limit for the connection, and for the answers to CONNECT and PINGREQ, in ms. */
const PATIENCE = 10_000;

/** How long a broker that answers PINGREQ may leave other packets unanswered, in ms. */
const STUCK = 30_000;

/** Pause between connections, in ms; doubles after each failure. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** The packet that the broker must answer next. */
type Awaited = "TCP" | "CONNECT" | "PINGREQ";

export class Timing {
  readonly #wanted: number;
  #keepalive: number; // in ms, like all of these
  #retryAt: number | undefined;
  #failures = 0;
  #awaited: Awaited | undefined;
  #answerBy = 0;
  #pingAt: number | undefined;
  #stuckSince: number | undefined;

  /** @param keepalive In s. */
  constructor(keepalive: number) {
    this.#wanted = this.#keepalive = keepalive * 1000;
  }

  /** A connection is wanted. */
  start(now: number): void {
    this.#retryAt = now;
  }

  wantsConnection(now: number): boolean {
    return this.#retryAt !== undefined && now >= this.#retryAt;
  }

  /** Time until the next connection, in ms. */
  pause(now: number): number {
    return Math.max(0, (this.#retryAt ?? now) - now);
  }

  /** When to call `timeout`, or to connect. */
  get deadline(): number | undefined {
    const answerBy = this.#awaited && this.#answerBy;
    const times = [this.#retryAt, answerBy, this.#pingAt].filter((time) => time !== undefined);
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  connecting(now: number): void {
    this.#retryAt = undefined;
    this.#await("TCP", now);
  }

  /** CONNECT is sent. */
  opened(now: number): void {
    this.#await("CONNECT", now);
  }

  /**
   * CONNACK has come.
   *
   * @param keepalive The broker's, in s. It may be longer than ours, or 0 for no PINGREQ at all; but the bridge must
   * notice when the broker is gone.
   */
  greeted(keepalive: number | undefined, now: number): void {
    this.#awaited = undefined;
    this.#keepalive = Math.min(this.#wanted, (keepalive || Infinity) * 1000);
    this.plan(now);
  }

  /** The broker has the session. */
  resumed(now: number): void {
    this.#failures = 0;
    this.plan(now);
  }

  /** The next PINGREQ is due after a keepalive. */
  plan(now: number): void {
    this.#pingAt = now + this.#keepalive;
  }

  /** PINGRESP has come. @returns whether it was due */
  answered(now: number): boolean {
    if (this.#awaited !== "PINGREQ") return false;
    this.#awaited = undefined;
    this.plan(now);
    return true;
  }

  /** The broker is still reading: its answers cannot have come yet. */
  taken(now: number): void {
    if (this.#awaited === "PINGREQ") this.#answerBy = now + PATIENCE;
  }

  /** The broker has sent an answer that it owed. */
  progressed(): void {
    this.#stuckSince = undefined;
  }

  /** @param owed A packet that the broker has not answered, though it answers PINGREQ. @throws {BrokerError} SILENT */
  check(owed: string | undefined, now: number): void {
    if (owed === undefined) return this.progressed();
    this.#stuckSince ??= now;
    if (now - this.#stuckSince < STUCK) return;
    const message = `the broker answers PINGREQ, but has not answered ${owed} for ${STUCK} ms`;
    throw new BrokerError("SILENT", message);
  }

  /** The connection has ended. */
  closed(now: number): void {
    this.#awaited = this.#pingAt = this.#stuckSince = undefined;
    const pause = FIRST_PAUSE * 2 ** Math.min(this.#failures++, 16);
    this.#retryAt = now + Math.min(LONGEST_PAUSE, pause);
  }

  /** @returns whether to send PINGREQ @throws {BrokerError} SILENT */
  timeout(now: number): boolean {
    if (this.#awaited && now >= this.#answerBy) {
      const what = this.#awaited === "TCP" ? "accepted a connection" : `answered ${this.#awaited}`;
      throw new BrokerError("SILENT", `the broker has not ${what} for ${PATIENCE} ms`);
    }
    if (this.#pingAt === undefined || now < this.#pingAt) return false;
    this.#pingAt = undefined; // until the answer
    this.#await("PINGREQ", now);
    return true;
  }

  #await(what: Awaited, now: number): void {
    this.#awaited = what;
    this.#answerBy = now + PATIENCE;
  }
}
