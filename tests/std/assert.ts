/**
 * The part of `@std/assert` that these tests use, on top of `node:assert`, so that the tests need no
 * registry but npm's. Signatures and outcomes are those of `@std/assert` 1; only the wording of
 * failures differs, and `assertEquals` tells 0 from -0. `deno task test:jsr` runs the tests with the
 * original.
 *
 * @module
 */
import { deepStrictEqual } from "node:assert/strict";

/** What every assertion here throws. */
export class AssertionError extends Error {
  override name = "AssertionError";
}

// deno-lint-ignore no-explicit-any
type Constructor = abstract new (...args: any[]) => any;
// deno-lint-ignore no-explicit-any
type ErrorClass<E extends Error> = abstract new (...args: any[]) => E;

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : Deno.inspect(value);
}

function refuse(reason: string, msg: string | undefined): never {
  throw new AssertionError(msg === undefined ? reason : `${reason}: ${msg}`);
}

/** The difference in words, or undefined when the values are deeply equal. */
function difference(actual: unknown, expected: unknown): string | undefined {
  try {
    deepStrictEqual(actual, expected);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Fails unless `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Fails always. */
export function fail(msg?: string): never {
  refuse("Failed assertion", msg);
}

/** Fails unless both values are deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  const reason = difference(actual, expected);
  if (reason !== undefined) refuse(reason, msg);
}

/** Fails if both values are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (difference(actual, expected) === undefined) {
    refuse(`Expected a value other than ${show(actual)}`, msg);
  }
}

/** Fails unless both are the same value (`Object.is`). */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  if (!Object.is(actual, expected)) {
    refuse(`Expected ${show(actual)} to be the same value as ${show(expected)}`, msg);
  }
}

/** Fails on null and undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === null || actual === undefined) {
    refuse(`Expected a value, got ${actual}`, msg);
  }
}

/** Fails unless `actual` contains `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (!actual.includes(expected)) {
    refuse(`Expected ${show(actual)} to contain ${show(expected)}`, msg);
  }
}

/** Fails unless `actual` matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) refuse(`Expected ${show(actual)} to match ${expected}`, msg);
}

/** Fails unless `actual` is an instance of the class. */
export function assertInstanceOf<T extends Constructor>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (!(actual instanceof expectedType)) {
    refuse(`Expected ${show(actual)} to be a ${expectedType.name}`, msg || undefined);
  }
}

/** Fails unless `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) refuse(`Expected ${show(actual)} > ${show(expected)}`, msg);
}

/** Fails unless `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) refuse(`Expected ${show(actual)} >= ${show(expected)}`, msg);
}

/** Fails unless `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) refuse(`Expected ${show(actual)} < ${show(expected)}`, msg);
}

/** Fails unless `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) refuse(`Expected ${show(actual)} <= ${show(expected)}`, msg);
}

/** What `assertThrows` and `assertRejects` may be told after the function: a class first, or a message. */
type Expectation<E extends Error> = [
  classOrMsg?: ErrorClass<E> | string,
  msgIncludes?: string,
  msg?: string,
];

/** Fails unless what was thrown is the error that was asked for. */
function checkError<E extends Error>(
  error: unknown,
  [expected, includes, msg]: Expectation<E>,
): void {
  if (typeof expected !== "function") return; // without a class, anything thrown will do
  if (!(error instanceof Error)) refuse(`${show(error)} was thrown, which is not an Error`, msg);
  if (!(error instanceof expected)) {
    refuse(`Expected a ${expected.name}, got ${error.name}: ${error.message}`, msg);
  }
  if (includes !== undefined && !error.message.includes(includes)) {
    refuse(`Expected ${show(error.message)} to contain ${show(includes)}`, msg);
  }
}

function ownMessage<E extends Error>([first, _includes, msg]: Expectation<E>): string | undefined {
  return typeof first === "string" ? first : msg;
}

/** Fails unless `fn` throws; returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Fails unless `fn` throws an error of that class (with that text in it); returns it. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ...expectation: Expectation<E>
): unknown {
  try {
    fn();
  } catch (error) {
    checkError(error, expectation);
    return error;
  }
  refuse("Expected the function to throw", ownMessage(expectation));
}

/** Fails unless the promise that `fn` returns is rejected; resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Fails unless the promise is rejected with an error of that class; resolves to it. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: ErrorClass<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ...expectation: Expectation<E>
): Promise<unknown> {
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    refuse(`Expected a rejection, but ${show(error)} was thrown`, ownMessage(expectation));
  }
  try {
    await promise;
  } catch (error) {
    checkError(error, expectation);
    return error;
  }
  refuse("Expected the promise to be rejected", ownMessage(expectation));
}
