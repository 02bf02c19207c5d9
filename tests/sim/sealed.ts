/** What keeps a world apart from the machine that plays it. */
import { Violation } from "./promises.ts";
import type { Random } from "./random.ts";
import { forgetDraws, noteDraw } from "./thief.ts";

/** Whoever needs the time, or chance, has it from the platform. */
const FORBIDDEN: readonly [object: object, name: string][] = [
  [globalThis, "setTimeout"],
  [globalThis, "setInterval"],
  [globalThis, "setImmediate"],
  [performance, "now"],
  [Date, "now"],
  [Math, "random"],
];

/**
 * Runs something while `crypto.getRandomValues` gives what the seed gives: epochs, nonces and the core's
 * jitter are the same each time. Real clocks and timers are out of reach meanwhile.
 */
export async function sealed<T>(random: Random, run: () => Promise<T>): Promise<T> {
  const fill = (array: Uint8Array | Uint32Array) => {
    for (let i = 0; i < array.length; i++) array[i] = random.word();
    noteDraw(array);
    return array;
  };
  forgetDraws();
  const undo = [
    replace(crypto, "getRandomValues", fill),
    replace(crypto, "randomUUID", () => `${random.word()}-${random.word()}`),
  ];
  for (const [object, name] of FORBIDDEN) {
    undo.push(replace(object, name, () => {
      throw new Violation(`${name} is called in a simulated world`);
    }));
  }
  try {
    return await run();
  } finally {
    for (const put of undo) put();
  }
}

/** @returns puts it back */
function replace(object: object, name: string, value: unknown): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  Object.defineProperty(object, name, { value, configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(object, name, own);
    else delete (object as Record<string, unknown>)[name]; // a prototype has the real one
  };
}
