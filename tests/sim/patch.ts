/** Replaces methods for a while: how a known bug gets into code that does not have it. */

export type Undo = () => void;

type Args<F> = F extends (...args: infer A) => unknown ? A : never;
type Result<F> = F extends (...args: never[]) => infer R ? R : never;

/** Replaces one method by a function that is given its object and the original, bound to it. */
export function patch<T extends object, K extends keyof T>(
  target: T,
  name: K,
  replacement: (
    self: T,
    original: (...args: Args<T[K]>) => Result<T[K]>,
    ...args: Args<T[K]>
  ) => Result<T[K]>,
): Undo {
  const descriptor = Object.getOwnPropertyDescriptor(target, name)!;
  const original = descriptor.value as (...args: Args<T[K]>) => Result<T[K]>;
  function value(this: T, ...args: Args<T[K]>): Result<T[K]> {
    return replacement(this, (...same) => original.apply(this, same), ...args);
  }
  Object.defineProperty(target, name, { ...descriptor, value });
  return () => Object.defineProperty(target, name, descriptor);
}

/** Replaces one getter. */
export function patchGetter<T extends object, K extends keyof T>(
  target: T,
  name: K,
  get: () => T[K],
): Undo {
  const descriptor = Object.getOwnPropertyDescriptor(target, name)!;
  Object.defineProperty(target, name, { ...descriptor, get });
  return () => Object.defineProperty(target, name, descriptor);
}

export function all(...undos: Undo[]): Undo {
  return () => undos.forEach((undo) => undo());
}
