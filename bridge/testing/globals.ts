/** The globals that give programs in a simulated world their time, timers and random numbers. */
import { running } from "./machine.ts";
import { BEGINNING } from "./platform.ts";
import type { Random } from "./random.ts";
import type { Instead } from "./sealed.ts";

/** Forgets a timer. */
export type Cancel = () => void;

/** What the globals need from a world. */
interface Timed {
  readonly now: number;
  readonly random: Random;
  after(ms: number, run: () => void): Cancel;
}

/** Replacements for the machine's own globals, for `sealed`. A timer is dropped with the process that has set it. */
export function insteadOf(world: Timed): Instead {
  const timers = new Map<number, Cancel>();
  let lastTimer = 0;
  const real = { clearTimeout, clearInterval };
  const after = (ms: number, run: () => void): Cancel => {
    const process = running.getStore();
    return process ? process.after(ms, run) : world.after(ms, run);
  };
  const set =
    (repeats: boolean) => (run: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const id = ++lastTimer;
      const wait = () => {
        const cancel = after(Math.max(1, ms), () => {
          if (repeats) wait();
          else timers.delete(id);
          run(...args);
        });
        timers.set(id, cancel);
      };
      wait();
      return id;
    };
  const clear = (otherwise: (id?: number) => void) => (id?: number) => {
    const cancel = timers.get(id!);
    if (!cancel) return otherwise(id); // it was set outside
    timers.delete(id!);
    cancel();
  };
  return {
    setTimeout: set(false),
    setInterval: set(true),
    clearTimeout: clear(real.clearTimeout),
    clearInterval: clear(real.clearInterval),
    setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => {
      after(0, () => run(...args));
    },
    now: () => world.now,
    date: () => BEGINNING + Math.floor(world.now),
    random: () => world.random.word() / 2 ** 32,
    randomUUID: () => uuid(world.random),
  };
}

function uuid(random: Random): string {
  const hex = Array.from({ length: 4 }, () => random.word().toString(16).padStart(8, "0")).join("");
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-a$4-$5");
}
