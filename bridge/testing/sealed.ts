/** Isolates a world from the machine that runs it. */
import type { Random } from "./random.ts";

/** The globals that give a program time, timers or random numbers from the machine. */
const FROM_MACHINE = {
  setTimeout: globalThis,
  clearTimeout: globalThis,
  setInterval: globalThis,
  clearInterval: globalThis,
  setImmediate: globalThis,
  now: performance,
  date: Date,
  random: Math,
  randomUUID: crypto,
} as const;

/** A program's replacement for each of them. */
export type Instead = Partial<Record<keyof typeof FROM_MACHINE, unknown>>;

/** One world after the other: they share the isolate's random source. */
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs something while `crypto.getRandomValues` gives what the seed gives: epochs, nonces and the core's jitter are the
 * same each time.
 *
 * @param instead Replacements for the machine's clocks, timers and random source meanwhile.
 * @param drawn Called with each array that `getRandomValues` has filled.
 */
export function sealed<T>(
  random: Random,
  instead: Instead,
  run: () => Promise<T>,
  drawn?: (array: ArrayBufferView) => void,
): Promise<T> {
  const result = last.then(() => seal(random, instead, run, drawn));
  last = result.catch(() => {});
  return result;
}

async function seal<T>(
  random: Random,
  instead: Instead,
  run: () => Promise<T>,
  drawn: ((array: ArrayBufferView) => void) | undefined,
): Promise<T> {
  const fill = (array: ArrayBufferView) => {
    const words = array instanceof Uint32Array || array instanceof Int32Array
      ? array
      : new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < words.length; i++) words[i] = random.word();
    drawn?.(array);
    return array;
  };
  const undo = [replace(crypto, "getRandomValues", fill)];
  for (const [name, value] of Object.entries(instead) as [keyof Instead, unknown][]) {
    undo.push(replace(FROM_MACHINE[name], name === "date" ? "now" : name, value));
  }
  try {
    return await run();
  } finally {
    for (const put of undo) put();
  }
}

/** @returns a function that restores it */
function replace(object: object, name: string, value: unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(object, name, own);
    else delete (object as Record<string, unknown>)[name]; // a prototype has the real one
  };
}
