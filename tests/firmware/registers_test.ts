/** The firmware's C has the same numbers for the core as the core itself. */
import { assert, assertEquals } from "@std/assert";
import { chipSize } from "../../bridge/host/core_size.ts";
import * as registers from "../../client-as/assembly/registers.ts";

const FIRMWARE = new URL("../../bridge/esp8266/firmware/", import.meta.url);
const header = Deno.readTextFileSync(new URL("core.h", FIRMWARE));
const numbers: Readonly<Record<string, number>> = { ...registers };

/** Numbers of an enum in C, by their names. */
function enumerators(name: string): Record<string, number> {
  const [, body] = header.match(new RegExp(`enum ${name} \\{([^}]*)\\}`)) ?? [];
  assert(body !== undefined, `core.h has no enum ${name}`);
  const all: Record<string, number> = {};
  let next = 0;
  for (const entry of body.replaceAll(/\/\*.*?\*\//gs, "").split(",")) {
    const [name = "", value] = entry.split("=").map((word) => word.trim());
    next = value === undefined ? next : Number(value);
    all[name] = next++;
  }
  return all;
}

function defined(name: string): number {
  const [, value] = header.match(new RegExp(`#define CORE_${name} (\\d+)`)) ?? [];
  assert(value !== undefined, `core.h does not define CORE_${name}`);
  return Number(value);
}

Deno.test("core.h has the registers, events and states of registers.ts", () => {
  const enums = [
    ["core_register", "R_", 27],
    ["core_event", "CORE_", 5],
    ["core_can", "CORE_", 2],
    ["core_state", "CORE_", 5],
  ] as const;
  for (const [name, prefix, count] of enums) {
    const found = Object.entries(enumerators(name));
    assertEquals(found.length, count, name);
    for (const [name, value] of found) {
      assertEquals(value, numbers[name.slice(prefix.length)], `${name} in core.h`);
    }
  }
  for (const name of ["REFUSED", "NO_ANSWER", "SILENT"]) {
    assertEquals(defined(name), numbers[name], `CORE_${name} in core.h`);
  }
});

Deno.test("the console names the reasons in the order of registers.ts", () => {
  const source = Deno.readTextFileSync(new URL("driver.c", FIRMWARE));
  const [, list] = source.match(/reasons\[\] = \{([^}]*)\}/) ?? [];
  const names = [...list!.matchAll(/"(\w+)"/g)].map(([, name]) => name!);
  assertEquals(names.length, registers.BAD_PROOF + 1);
  for (const [number, name] of names.entries()) {
    if (number > 0) assertEquals(numbers[name], number, name); // 0: no reset reason
  }
});

Deno.test("a chip's core has the same memory layout on a PC", () => {
  const sizes = ["line", "outbox", "inbox", "recent", "window"] as const;
  for (const name of sizes) assertEquals(defined(name.toUpperCase()), chipSize[name], name);
});
