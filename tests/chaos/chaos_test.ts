import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Account, isFaultless, numbered } from "./account.ts";
import { chaos, type ChaosResult } from "./chaos.ts";
import { asText } from "./main.ts";

Deno.test("a server that is killed under load loses nothing and doubles nothing", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const result = await chaos({
    kills: 4,
    devices: 50,
    seed,
    durability: "full",
    timeout: 2000,
    progress: () => {},
  });
  assert(isFaultless(result), `deno task chaos --kills 4 --seed ${seed}\n${asText(result)}`);
  assertEquals(result.up, result.down);
  assert(result.up > 1000, `there was hardly any load: ${result.up} messages`);
});

/** An account of four written messages, of which these arrived. */
function account(...numbers: number[]): string[] {
  const account = new Account("up", (n) => numbered("1", n));
  for (const number of numbers) account.receive(numbered("1", number));
  account.close(4);
  return account.findings.map(({ kind }) => kind);
}

Deno.test("an account finds messages that are lost, doubled, out of order or were never written", () => {
  assertEquals(account(0, 1, 2, 3), []);
  assertEquals(account(0, 1, 3), ["lost"]);
  assertEquals(account(0, 1, 2), ["lost"]);
  assertEquals(account(1, 2, 3), ["lost"]);
  assertEquals(account(), ["lost", "lost", "lost", "lost"]);
  assertEquals(account(0, 0, 1, 2, 3), ["doubled"]);
  assertEquals(account(0, 1, 2, 3, 1, 3), ["doubled", "doubled"]);
  assertEquals(account(0, 2, 1, 3), ["out of order"]);
  assertEquals(account(0, 2, 1, 1, 3), ["out of order", "doubled"]);
  assertEquals(account(0, 1, 2, 3, 4), ["unknown"]);
  const strange = new Account("up", (n) => numbered("1", n));
  for (const text of ["", "1 0", "2 0 ", "1 0 y", numbered("1", 1).slice(0, -1)]) {
    strange.receive(text);
  }
  assertEquals(strange.findings.map(({ kind }) => kind), Array(5).fill("unknown"));
});

Deno.test("findings are reported, and count as a failure", () => {
  const good: ChaosResult = {
    seconds: 12.34,
    kills: 3,
    early: 1,
    resets: 4,
    holes: 5,
    halfOpen: 6,
    connects: 70,
    up: 1234567,
    down: 1234567,
    findings: [],
    complaints: [],
  };
  assert(isFaultless(good));
  assertStringIncludes(asText(good), "messages processed   1,234,567\n");
  const bad = { ...good, findings: [{ kind: "lost", about: "up: number 3 of 4" } as const] };
  assert(!isFaultless(bad));
  assertStringIncludes(asText(bad), "lost                 1\n");
  assertStringIncludes(asText(bad), "\n\nlost: up: number 3 of 4");
  assert(!isFaultless({ ...good, complaints: ["BAD_POSITION"] }));
});

for (
  const [file, args, message] of [
    ["main", ["--kills", "0"], '--kills takes a whole number from 1 to 1000000, not "0"'],
    ["main", ["--seed", "x"], 'not "x"'],
    ["main", ["--durability", "none"], '--durability takes full or normal, not "none"'],
    ["main", ["--killing"], "Unknown option '--killing'"],
    ["mqtt_main", ["--mqtt", "3"], '--mqtt takes both, 3.1.1, or 5, not "3"'],
  ] as const
) {
  Deno.test(`chaos: ${file} ${args.join(" ")}: refused`, async () => {
    const main = new URL(`./${file}.ts`, import.meta.url).pathname;
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-q", "-A", main, ...args],
      env: { NO_COLOR: "1" },
    }).output();
    assertEquals(code, 2);
    assertStringIncludes(new TextDecoder().decode(stderr), message);
  });
}
