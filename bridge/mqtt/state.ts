/** The bridge's state as counters in memory, so the store need not be asked. */

import type { Amount } from "./rows.ts";

/** How a bridge is. Counts begin with its start. */
export interface MqttState {
  /** Since when the broker is there. */
  readonly connectedSince: Date | undefined;
  /** Why it is not; undefined also when it was not tried yet. */
  readonly problem: { readonly code: string; readonly message: string } | undefined;
  /** How often it was there: after outages, again. */
  readonly connects: number;
  /** Publications that the broker was not sent, bytes of their topics and payloads, and since when the oldest waits. A
   * state counts once, however often it has changed. */
  readonly waiting: { readonly rows: number; readonly bytes: number; readonly since?: Date };
  /** Publications that it was sent, and has not confirmed. */
  readonly inFlight: number;
  /** Publications that it has confirmed. */
  readonly published: number;
  /** Messages that it has sent, also those that could not be carried out. */
  readonly received: number;
  /** Publications that were given up: too old, too large, or refused. */
  readonly givenUp: number;
}

/** Counts. */
export class Counters {
  connectedSince: number | undefined;
  problem: { code: string; message: string } | undefined;
  connects = 0;
  published = 0;
  received = 0;
  givenUp = 0;
  /** Nothing that waits was added before, in ms since 1970; undefined: nothing waits. */
  oldest: number | undefined;

  /** The broker is there; or, with a reason, is not. */
  tell(date: number, problem?: { code: string; message: string }): void {
    this.problem = problem;
    this.connectedSince = problem ? undefined : date;
    if (!problem) this.connects++;
  }

  /** A publication waits. */
  added(since: number): void {
    this.oldest ??= since;
  }

  /** One was sent: those behind it are not older. */
  sent(since: number): void {
    if (this.oldest !== undefined) this.oldest = Math.max(this.oldest, since);
  }

  /** @param kept What is in the store. @param inFlight What of it is under way. */
  state(kept: Amount, inFlight: Amount = { rows: 0, bytes: 0 }): MqttState {
    const { connectedSince, oldest, problem, connects, published, received, givenUp } = this;
    const rows = Math.max(0, kept.rows - inFlight.rows);
    return {
      ...{ problem, connects, published, received, givenUp, inFlight: inFlight.rows },
      connectedSince: connectedSince === undefined ? undefined : new Date(connectedSince),
      waiting: {
        rows,
        bytes: rows === 0 ? 0 : Math.max(0, kept.bytes - inFlight.bytes),
        ...(oldest !== undefined && rows > 0 && { since: new Date(oldest) }),
      },
    };
  }
}
