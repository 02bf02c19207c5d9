/** Keeps the errors of an application that is loaded into the server's process from ending it. */
import { caller } from "../runtime/run.ts";

type Call = (...args: unknown[]) => unknown;

/** What throws in a timer is nobody's any more when it is told as an event, so it is caught here. */
function catching(call: unknown): unknown {
  if (typeof call !== "function") return call;
  return function (this: unknown, ...args: unknown[]): unknown {
    try {
      return (call as Call).apply(this, args);
    } catch (error) {
      const run = caller();
      if (!run) throw error;
      run.uncaught(error);
      return undefined;
    }
  };
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
  addEventListener("error", (event) => {
    event.preventDefault();
    const run = caller();
    if (run) run.uncaught(event.error);
    else report(event.error);
  });
  addEventListener("unhandledrejection", (event) => {
    if (caller()) return; // it is told already
    event.preventDefault();
    report(event.reason);
  });
}
