/** When a session does something by itself: connects again, asks whether the broker is there, gives it up. */
import { BrokerError } from "./errors.ts";

/** For the connection, and for the answers to CONNECT and to PINGREQ, in ms. */
const PATIENCE = 10_000;

/** How long a broker that answers PINGREQ may leave other packets unanswered, in ms. */
const STUCK = 30_000;

/** Between connections, in ms: twice as long after each failure. */
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 60_000;

/** The packet that the broker must answer next. */
type Awaited = "TCP" | "CONNECT" | "PINGREQ";

export class Timing {
  readonly #wanted: number;
  #keepalive: number; // ms, as all of these
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

  /** How long until the next connection. */
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

  /** CONNECT goes out. */
  opened(now: number): void {
    this.#await("CONNECT", now);
  }

  /**
   * CONNACK has come.
   *
   * @param keepalive The broker's, in s. It may ask for longer pauses than ours, or with 0 for no questions at all: but
   * somebody must see when it is gone.
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

  /** The next question is due after a keepalive. */
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

  /** The broker takes what was sent: its answers cannot be there yet. */
  taken(now: number): void {
    if (this.#awaited === "PINGREQ") this.#answerBy = now + PATIENCE;
  }

  /** The broker has done something that it owed. */
  progressed(): void {
    this.#stuckSince = undefined;
  }

  /** @param owed What the broker has not answered, though it answers PINGREQ. @throws {BrokerError} SILENT */
  check(owed: string | undefined, now: number): void {
    if (owed === undefined) return this.progressed();
    this.#stuckSince ??= now;
    if (now - this.#stuckSince < STUCK) return;
    const message = `the broker answers PINGREQ, but has not answered ${owed} for ${STUCK} ms`;
    throw new BrokerError("SILENT", message);
  }

  /** The connection is gone. */
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
