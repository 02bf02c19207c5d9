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

const runs = new AsyncLocalStorage<Run>();

/** The run that the code belongs to that runs now; undefined: it is no application's. */
export function caller(): Run | undefined {
  return runs.getStore();
}

/** The pace of the present caller. @param own For callers outside of applications. */
export function paceOf(own: Pace): Pace {
  return caller()?.pace ?? own;
}

let watching = false;

/** Calls what belongs to a run from there on. */
export function within<T>(run: Run, start: () => T): T {
  if (!watching) addEventListener("unhandledrejection", claim);
  watching = true;
  return runs.run(run, start);
}

/** A promise that nobody awaits was rejected. Only promises of runs concern us. */
function claim(event: PromiseRejectionEvent): void {
  const run = caller();
  if (!run) return;
  event.preventDefault();
  run.uncaught(event.reason);
}
