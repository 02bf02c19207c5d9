/**
 * Whose code runs. What an application plans, awaits and calls carries the run of it that it belongs to, through
 * promises and timers: so a promise that it has dropped is its own affair, and one that was restarted does not share
 * its messages with what is left of it.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { LocalError } from "../protocol/errors.ts";
import type { Pace } from "./pace.ts";

/** A device whose messages a run reads. */
export interface Reading {
  /** The run has failed: what it was handed comes again, and nothing else is handed to it. */
  leave(run: Run, error: unknown): void;
}

/** An application at work for one device, from its start to its end. */
export interface Run {
  readonly pace: Pace;
  /** Devices that it has read from. */
  readonly readings: Set<Reading>;
  /** It has failed, and nothing that is left of it is served any more: what it is told. */
  readonly over: LocalError | undefined;
  /** Something that it has planned, or a promise that it has dropped, has failed. */
  uncaught(error: unknown): void;
}

/** Somebody who was asked to be told of something. What fails in what it does then is its own affair. */
export class Listening {
  /** The run of the application that it belongs to, if it is one's. */
  readonly run = caller();

  /** @param uncaught As that of `Run`. */
  constructor(readonly uncaught: (error: unknown) => void) {}

  /** Tells it something. What that plans, awaits and calls is its own, whatever has caused it. */
  tell(what: () => void): void {
    watch();
    owners.run(this, what);
  }
}

const owners = new AsyncLocalStorage<Run | Listening>();

/** Who is told of what fails in the code that runs now, if nobody catches it; undefined: nobody of ours. */
export function owner(): { uncaught(error: unknown): void } | undefined {
  return owners.getStore();
}

/** The run that the code belongs to that runs now; undefined: it is no application's. */
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

/** Calls what belongs to a run from there on. */
export function within<T>(run: Run, start: () => T): T {
  watch();
  return owners.run(run, start);
}

/** A promise was rejected that nobody awaits. If it is nobody's of ours, it is none of our business. */
function claim(event: PromiseRejectionEvent): void {
  const whose = owner();
  if (!whose) return;
  event.preventDefault();
  whose.uncaught(event.reason);
}
