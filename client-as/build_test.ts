import { assertEquals, assertThrows } from "@std/assert";
import { inspect, overBudget } from "./build.ts";

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const TYPES = [1, 4, 1, 0x60, 0, 0]; // one: () -> ()
const IMPORT = [2, 7, 1, 1, 0x65, 1, 0x66, 0, 0]; // function e.f
const FUNCTION = [3, 2, 1, 0]; // one more
const START = [8, 1, 0];
const CODE = [10, 4, 1, 2, 0, 0x0b]; // empty

Deno.test("inspect finds imports, functions, code and a start section", () => {
  const wasm = new Uint8Array(
    [HEADER, TYPES, IMPORT, FUNCTION, START, CODE].flat(),
  );
  assertEquals(inspect(wasm), {
    fileBytes: wasm.length,
    codeBytes: 4,
    dataBytes: 0,
    functions: 1,
    imports: ["e.f"],
    startSections: 1,
  });
});

Deno.test("inspect refuses what is not a module", () => {
  assertThrows(() => inspect(new Uint8Array([1, 2, 3])), WebAssembly.CompileError);
});

Deno.test("a core over its budget is told each excess", () => {
  const facts = {
    fileBytes: 10,
    codeBytes: 5,
    dataBytes: 9999,
    functions: 99,
    imports: [],
    startSections: 0,
  };
  const budget = { fileBytes: 10, codeBytes: 5, imports: 0, startSections: 0 };
  assertEquals(overBudget(facts, budget), []);
  assertEquals(
    overBudget(
      { ...facts, fileBytes: 11, codeBytes: 6, imports: ["e.f"], startSections: 1 },
      budget,
    ),
    [
      "file bytes: 11, allowed 10",
      "code section bytes: 6, allowed 5",
      "imports (e.f): 1, allowed 0",
      "start sections: 1, allowed 0",
    ],
  );
});
