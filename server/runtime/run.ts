/**
 * Tracks which application's code runs. Everything that an application schedules, awaits and calls carries its run
 * along, through promises and timers: so an unhandled rejection is attributed to it, and a restarted application
 * does not share its messages with what is left of the failed run.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { LocalError } from "../protocol/errors.ts";
import type { Pace } from "./pace.ts";

/** A device whose messages a run reads. */
export interface Reading {
  /** The run has failed: messages that it was handed come again, and it gets nothing more. */
  leave(run: Run, error: unknown): void;
}

/** A run of an application for one device, from its start to its end. */
export interface Run {
  readonly pace: Pace;
  /** Devices that it has read from. */
  readonly readings: Set<Reading>;
  /** Set when it has failed: the error for calls of what is left of it. */
  readonly over: LocalError | undefined;
  /** One of its timers has failed, or a promise that it does not handle was rejected. */
  uncaught(error: unknown): void;
}

/** A listener of events. Its errors go to its own `uncaught`, not to the code that emits the event. */
export class Listening {
  /** The run of its application, if it belongs to one. */
  readonly run = caller();

  /** @param uncaught As that of `Run`. */
  constructor(readonly uncaught: (error: unknown) => void) {}

  /** Calls it. Everything that it schedules, awaits and calls belongs to it. */
  tell(what: () => void): void {
    watch();
    owners.run(this, what);
  }
}

const owners = new AsyncLocalStorage<Run | Listening>();

/** Who gets uncaught errors of the code that runs now; undefined: nobody of ours. */
export function owner(): { uncaught(error: unknown): void } | undefined {
  return owners.getStore();
}

/** The run of the code that runs now; undefined: it is not an application's. */
export function caller(): Run | undefined {
  const it = owners.getStore();
  return it instanceof Listening ? it.run : it;
}

/** The pace of the present caller. @param own For callers outside of applications. */
export function paceOf(own: Pace): Pace {
  return caller()?.pace ?? own;
}

let watching = false;

function watch(): void {
  if (!watching) addEventListener("unhandledrejection", claim);
  watching = true;
}

/** Calls a function as a part of a run. */
export function within<T>(run: Run, start: () => T): T {
  watch();
  return owners.run(run, start);
}

/** Handles an unhandled rejection if it belongs to an application or a listener. */
function claim(event: PromiseRejectionEvent): void {
  const whose = owner();
  if (!whose) return;
  event.preventDefault();
  whose.uncaught(event.reason);
}
