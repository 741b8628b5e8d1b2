/**
 * The assertions of JSR's `@std/assert` that the tests use, over `node:assert/strict`. The import
 * map points `@std/assert` here, because the machines that build this project cannot reach JSR;
 * names, parameters and results are the same, so that going over is one line of `deno.json`.
 *
 * @module
 */

import nodeAssert from "node:assert/strict";
import { inspect, isDeepStrictEqual } from "node:util";

/** A class whose instances are `E`, whatever its constructor takes. */
type Class<E> = abstract new (...args: never[]) => E;

/** What `assertFalse` lets through. */
type Falsy = false | 0 | 0n | "" | null | undefined;

/** Thrown by every assertion that fails. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Adds the caller's own words to a message, as `@std/assert` does. */
function because(message: string, msg: string | undefined): string {
  return msg ? `${message}: ${msg}` : message;
}

/** Runs an assertion of Node's, so that its differences are shown but the error is ours. */
function withDifferences(run: () => void, msg: string | undefined): void {
  try {
    run();
  } catch (error) {
    const differences = error instanceof Error ? error.message : String(error);
    throw new AssertionError(msg ? `${msg}\n${differences}` : differences);
  }
}

/** Passes if `expr` is truthy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) throw new AssertionError(msg);
}

/** Passes if `expr` is falsy. */
export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) throw new AssertionError(msg);
}

/** Passes if the two are deeply equal, types and prototypes included. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  withDifferences(() => nodeAssert.deepStrictEqual(actual, expected), msg);
}

/** Passes if the two are not deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  withDifferences(() => nodeAssert.notDeepStrictEqual(actual, expected), msg);
}

/** Passes if the two are the same value, by `Object.is`. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  withDifferences(() => nodeAssert.strictEqual(actual, expected), msg);
}

/** Passes if `actual` is neither null nor undefined. */
export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual === undefined || actual === null) {
    throw new AssertionError(because(`Expected a value, got ${actual}`, msg));
  }
}

/** Passes if `actual` is an instance of the class. */
export function assertInstanceOf<T>(
  actual: unknown,
  expectedType: Class<T>,
  msg = "",
): asserts actual is T {
  if (actual instanceof expectedType) return;
  const message = `Expected an instance of ${expectedType.name}, got ${inspect(actual)}`;
  throw new AssertionError(because(message, msg));
}

/** Passes if the string matches. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  throw new AssertionError(because(`Expected ${inspect(actual)} to match ${expected}`, msg));
}

/** Passes if the string contains the other. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  const message = `Expected ${inspect(actual)} to contain ${inspect(expected)}`;
  throw new AssertionError(because(message, msg));
}

/** Passes if each of the expected elements is deeply equal to one of the actual ones. */
export function assertArrayIncludes<T>(
  actual: ArrayLike<T>,
  expected: ArrayLike<T>,
  msg?: string,
): void {
  const present = Array.from(actual);
  const missing = Array.from(expected)
    .filter((wanted) => !present.some((element) => isDeepStrictEqual(element, wanted)));
  if (missing.length === 0) return;
  const message = `Expected ${inspect(present)} to include ${inspect(missing)}`;
  throw new AssertionError(because(message, msg));
}

/** Passes if `actual > expected`. */
export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (actual > expected) return;
  throw new AssertionError(because(`Expected ${inspect(actual)} > ${inspect(expected)}`, msg));
}

/** Passes if `actual >= expected`. */
export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (actual >= expected) return;
  throw new AssertionError(because(`Expected ${inspect(actual)} >= ${inspect(expected)}`, msg));
}

/** Passes if `actual < expected`. */
export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (actual < expected) return;
  throw new AssertionError(because(`Expected ${inspect(actual)} < ${inspect(expected)}`, msg));
}

/** Passes if `actual <= expected`. */
export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (actual <= expected) return;
  throw new AssertionError(because(`Expected ${inspect(actual)} <= ${inspect(expected)}`, msg));
}

/** Passes if the numbers differ by no more than the tolerance, by default 1e-7 of the expected. */
export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance?: number,
  msg?: string,
): void {
  if (Object.is(actual, expected)) return;
  const allowed = tolerance ?? (Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7);
  if (Math.abs(expected - actual) <= allowed) return;
  const message = `Expected ${actual} to be within ${allowed} of ${expected}`;
  throw new AssertionError(because(message, msg));
}

/** Passes if the function throws, and returns what it threw. */
export function assertThrows(fn: () => unknown, msg?: string): unknown;
/** Passes if the function throws an error of this class, whose message contains this text. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  classOrMsg?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const expected = expectation(classOrMsg, msgIncludes, msg);
  try {
    fn();
  } catch (error) {
    return expected.check(error);
  }
  throw new AssertionError(because("Expected the function to throw", expected.msg));
}

/** Passes if the promise is rejected, and resolves to the reason. */
export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
/** Passes if the promise is rejected with an error of this class and text, which it resolves to. */
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Class<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: Class<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const expected = expectation(classOrMsg, msgIncludes, msg);
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch (error) {
    const message = `Expected a rejected promise, but the function threw ${inspect(error)}`;
    throw new AssertionError(because(message, expected.msg));
  }
  try {
    await promise;
  } catch (error) {
    return expected.check(error);
  }
  throw new AssertionError(because("Expected the promise to be rejected", expected.msg));
}

/** Sorts out the two forms of `assertThrows` and `assertRejects`; `check` returns a right error. */
function expectation(
  classOrMsg: Class<Error> | string | undefined,
  msgIncludes: string | undefined,
  msg: string | undefined,
): { msg: string | undefined; check: (error: unknown) => unknown } {
  if (typeof classOrMsg !== "function") return { msg: classOrMsg, check: (error) => error };
  return {
    msg,
    check(error): unknown {
      assertInstanceOf(error, classOrMsg, msg);
      if (msgIncludes !== undefined) assertStringIncludes(error.message, msgIncludes, msg);
      return error;
    },
  };
}

/** Always fails. */
export function fail(msg?: string): never {
  throw new AssertionError(because("Failed", msg));
}

/** Fails if it is ever reached. */
export function unreachable(reason?: string): never {
  throw new AssertionError(because("Unreachable", reason));
}
