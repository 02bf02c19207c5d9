/** How {@linkcode until} waits. */
export interface UntilOptions {
  /** Longest wait in ms, 30,000 by default. It bounds a broken test and measures nothing. */
  readonly timeout?: number;
  /** What is awaited, for the error: "the link is back". A function is asked when it is too late. */
  readonly what?: string | (() => string);
}

/** What is left of a type once a value of it has proved truthy. */
export type Truthy<T> = Exclude<T, undefined | null | false | 0 | "">;

/**
 * Waits until `condition` returns something truthy, and returns that. Tests use it where they would
 * sleep: it ends as soon as it can, and says what never came when it has to give up.
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
  const { timeout = 30_000, what = `${condition}` } = options;
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
