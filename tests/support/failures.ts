/**
 * `deno test` prints errors when all tests have ended, so not if it is stopped before. With this module, which the gate
 * loads before each file of tests (`--preload`), a test that throws an error also writes it to a file, at once. Errors
 * of steps and leaks, which Deno finds after a test, still come only at the end.
 *
 * @module
 */

/** Where a test is, if its function says it. Otherwise Deno looks who has called `Deno.test`: that would be this file. */
const LOCATION = Symbol.for("Deno.test.location");

const file = Deno.env.get("HOLDFAST_FAILURES");

type Body = (t: Deno.TestContext) => void | Promise<void>;

function watched(body: Body, location: string | undefined): Body {
  const watch: Body = async (t) => {
    try {
      await body(t);
    } catch (error) {
      const text = `\n${t.name} => ${location}\n${Deno.inspect(error)}\n`;
      if (file) await Deno.writeTextFile(file, text, { append: true }).catch(() => {});
      throw error;
    }
  };
  return Object.assign(watch, { [LOCATION]: location });
}

const test = new Proxy(Deno.test, {
  apply(register, self, args) {
    const location = new Error().stack?.split("\n")[2]?.match(/\w+:\/[^()]+:\d+:\d+/)?.[0];
    const withWatch = args.map((arg) => {
      if (typeof arg === "function") return watched(arg, location);
      return arg?.fn ? { ...arg, fn: watched(arg.fn, location) } : arg;
    });
    return Reflect.apply(register, self, withWatch);
  },
});
Object.assign(Deno, { test });
