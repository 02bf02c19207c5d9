/** The bridge's state as counters in memory, which needs no query. */

import type { Amount } from "./rows.ts";

/** The state of a bridge. Counts begin with its start. */
export interface MqttState {
  /** Since when the broker is connected; undefined: it is not. */
  readonly connectedSince: Date | undefined;
  /** Why the broker is not connected; undefined while it is, and before the first attempt. */
  readonly problem: { readonly code: string; readonly message: string } | undefined;
  /** How often the broker was connected. */
  readonly connects: number;
  /** Publications that were not sent yet, bytes of their topics and payloads, and since when the oldest waits. A state
   * counts once, however often it has changed. */
  readonly waiting: { readonly rows: number; readonly bytes: number; readonly since?: Date };
  /** Publications that were sent, but not confirmed. */
  readonly inFlight: number;
  /** Publications that the broker has confirmed. */
  readonly published: number;
  /** Messages from the broker, also those that could not be carried out. */
  readonly received: number;
  /** Publications that were given up: too old, too large, or refused. */
  readonly givenUp: number;
}

/** Counts what the bridge does. */
export class Counters {
  connectedSince: number | undefined;
  problem: { code: string; message: string } | undefined;
  connects = 0;
  published = 0;
  received = 0;
  givenUp = 0;
  /** A time before which no waiting publication was added, in ms since 1970; undefined: none waits. */
  oldest: number | undefined;

  /** The broker is connected; or, with a reason, is not. */
  tell(date: number, problem?: { code: string; message: string }): void {
    this.problem = problem;
    this.connectedSince = problem ? undefined : date;
    if (!problem) this.connects++;
  }

  /** A publication was added to the queue. */
  added(since: number): void {
    this.oldest ??= since;
  }

  /** A publication was sent: later ones are not older. */
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
