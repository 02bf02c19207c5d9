/** How {@linkcode until} waits. */
export interface UntilOptions {
  /** Longest wait in ms, 120,000 by default. It limits a broken test, and measures nothing. */
  readonly timeout?: number;
  /** What is awaited, for the error message: "the link is back". A function is called after the timeout. */
  readonly what?: string | (() => string);
}

/** A type without its falsy values. */
export type Truthy<T> = Exclude<T, undefined | null | false | 0 | "">;

/**
 * Waits until `condition` returns something truthy, and returns that. Tests use it instead of sleeping: it ends as soon
 * as possible, and names what never came when it gives up.
 *
 * ```ts
 * let told = false;
 * setTimeout(() => told = true, 1);
 * await until(() => told, { what: "to be told" });
 * ```
 *
 * An error thrown by the condition ends the wait at once.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Truthy<T>> {
  const { timeout = 120_000, what = `${condition}` } = options;
  const started = performance.now();
  for (let pause = 1;; pause = Math.min(20, pause * 2)) {
    const value = await condition();
    if (value) return value as Truthy<T>;
    if (performance.now() - started >= timeout) {
      const missing = typeof what === "string" ? what : what();
      throw new Error(`waited ${timeout} ms in vain for: ${missing}`);
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}
