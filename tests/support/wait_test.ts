import { assertEquals, assertRejects } from "@std/assert";
import { until } from "./wait.ts";

Deno.test("the first truthy result of the condition is returned", async () => {
  let asked = 0;
  assertEquals(await until(() => ++asked < 3 ? "" : `asked ${asked} times`), "asked 3 times");
});

Deno.test("a condition may be asynchronous", async () => {
  let asked = 0;
  assertEquals(await until(() => Promise.resolve(++asked === 2)), true);
});

Deno.test("a wait in vain names what it waited for", async () => {
  const what = () => "a miracle";
  await assertRejects(
    () => until(() => false, { timeout: 5, what }),
    Error,
    "5 ms in vain for: a miracle",
  );
});

Deno.test("an error in the condition ends the wait at once", async () => {
  const broken = () => {
    throw new TypeError("broken");
  };
  await assertRejects(() => until(broken), TypeError, "broken");
});
