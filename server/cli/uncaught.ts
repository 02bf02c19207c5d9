/** Keeps uncaught errors of an application in the server's process from ending that process. */
import nodeTimers from "node:timers";
import { owner } from "../runtime/run.ts";

type Call = (...args: unknown[]) => unknown;

/** An error of a timer is caught here, because once it is reported as an event its application is no longer known. */
function catching(call: unknown): unknown {
  if (typeof call !== "function") return call;
  const whose = owner(); // of the application that sets the timer
  return function (this: unknown, ...args: unknown[]): unknown {
    try {
      return (call as Call).apply(this, args);
    } catch (error) {
      if (!whose) throw error;
      whose.uncaught(error);
      return undefined;
    }
  };
}

/** Node's timers, and the property in which each keeps its callback. */
function exemplars(): [object, string][] {
  const timer = nodeTimers.setTimeout(() => {}, 0);
  const immediate = nodeTimers.setImmediate(() => {});
  nodeTimers.clearTimeout(timer);
  nodeTimers.clearImmediate(immediate);
  return [[timer, "_onTimeout"], [immediate, "_onImmediate"]];
}

/** Modules import Node's functions by name, so these cannot be replaced; the timers that they make catch instead. */
function catchInNodeTimers(): void {
  for (const [{ constructor: { prototype } }, property] of exemplars()) {
    Object.defineProperty(prototype, property, {
      configurable: true,
      set(this: object, call: unknown) {
        const value = catching(call);
        Object.defineProperty(this, property, { value, writable: true, enumerable: true });
      },
    });
  }
}

/**
 * From here on no uncaught error ends the process.
 *
 * @param report Receives errors that belong to no device's application; others go to the application's
 * run.
 */
export function surviveUncaught(report: (error: unknown) => void): void {
  const timers = globalThis as unknown as Record<string, Call>;
  for (const name of ["setTimeout", "setInterval", "setImmediate"]) {
    const timer = timers[name]!;
    timers[name] = (call, ...rest) => timer(catching(call), ...rest);
  }
  catchInNodeTimers();
  addEventListener("error", (event) => {
    event.preventDefault();
    const whose = owner();
    if (whose) whose.uncaught(event.error);
    else report(event.error);
  });
  addEventListener("unhandledrejection", (event) => {
    if (owner()) return; // it is already reported
    event.preventDefault();
    report(event.reason);
  });
}
