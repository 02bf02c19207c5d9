/** Keeps the errors of an application that is loaded into the server's process from ending it. */
import nodeTimers from "node:timers";
import { owner } from "../runtime/run.ts";

type Call = (...args: unknown[]) => unknown;

/** When an error of a timer is reported as an event, its application is no longer known, so it is caught here. */
function catching(call: unknown): unknown {
  if (typeof call !== "function") return call;
  const whose = owner(); // of whoever plans it
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

/** Node's timers, and the property in which each keeps what it calls. */
function exemplars(): [object, string][] {
  const timer = nodeTimers.setTimeout(() => {}, 0);
  const immediate = nodeTimers.setImmediate(() => {});
  nodeTimers.clearTimeout(timer);
  nodeTimers.clearImmediate(immediate);
  return [[timer, "_onTimeout"], [immediate, "_onImmediate"]];
}

/** Modules have Node's functions by name, so these cannot be replaced: what they make catches instead. */
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
 * From here on nothing that is thrown where nobody catches it ends the process.
 *
 * @param report Told of what cannot be said to be of one device's application; that is told to its run.
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
    if (owner()) return; // it is told already
    event.preventDefault();
    report(event.reason);
  });
}
