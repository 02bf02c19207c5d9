/**
 * Tests that look at their whole process, such as its open sockets, or change it, such as its current folder. `deno
 * test --parallel` runs files of tests in threads of one process, so without a process of its own such a test would
 * also see what other files do, or disturb them.
 *
 * @module
 */

/** Options of `deno test`: neither sanitizer is on by default. */
export const SANITIZED = ["--sanitize-ops", "--sanitize-resources", "--trace-leaks"];

/** Set in the environment of a process that runs one test at a time, but maybe others after it. */
export const ONE_AT_A_TIME = "HOLDFAST_ONE_TEST_AT_A_TIME";

/** Whether no other test runs in this process now. */
export function isAlone(): boolean {
  return Deno.env.has(ONE_AT_A_TIME);
}

/**
 * Runs the body of a test in a process of its own, where `deno test` runs this one test again. If it fails there, the
 * error has that process's output. Where tests run one at a time anyway, it runs in the same process as others: what it
 * changes, it must change back.
 *
 * ```ts ignore
 * Deno.test("nothing stays open", (t) => inOwnProcess(t, async () => assertEquals(await count(), 0)));
 * ```
 */
export async function inOwnProcess(
  { name, origin }: Pick<Deno.TestContext, "name" | "origin">,
  body: () => void | Promise<void>,
): Promise<void> {
  if (isAlone()) return await body();
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["test", "-A", "--no-check", ...SANITIZED, `--filter=${name}`, origin],
    env: { NO_COLOR: "1", [ONE_AT_A_TIME]: "1" },
  }).output();
  const [said, wrong] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  // For Deno it is no failure if the filter matches nothing, or too much.
  if (success && /^ok \| 1 passed \| 0 failed/m.test(said!)) return;
  throw new Error(`"${name}" did not pass in a process of its own:\n${said}${wrong}`);
}
