/** Code that the interpreter compiles in a special way computes the same on the chip as on a PC. */
import { assert, assertEquals } from "@std/assert";
import { compile } from "../support/compile.ts";
import { chipTest, line, plugIn } from "./support.ts";

/** Branches by table, branches with values, blocks within `else`, and constants: few, wide, and more than are kept. */
const SOURCE = `
  export * from "../assembly/core";
  import { log } from "../assembly/app";

  let x: i32 = 1;

  function table(n: i32): i32 {
    switch (n & 7) {
      case 0: return 7;
      case 1: x += 3; break;
      case 2: x ^= 0x12345;
      case 3: x -= 70000; break;
      case 4: return x + 1;
      case 5: while (x > 1000) x /= 3; break;
      default: x = -x;
    }
    return x;
  }

  function nested(n: i32): i32 {
    const kind = n & 1 ? n & 2 ? x & 255 : n & 4 ? -1 : 32767 : n & 8 ? -32768 : 32768;
    if (kind > n) x += kind;
    else if (kind < 0) {
      if (n & 16) x = n; else { if (x & 1) x -= 5; else x += 5; }
    } else return kind * 3;
    return x;
  }

  function narrow(n: i32): i32 { return (n * 31 + 32767 ^ -32768) % 1009; }

  function half(n: i32): i32 { return (n * 31 + 32768) % 1009; }

  function wide(n: i32): i32 { return (n * 1664525 + 1013904223 ^ -2) % 1009; }

  function many(n: i32): i32 {
    return ${
  Array.from({ length: 48 }, (_, i) => `(n ^ ${i % 3 ? i * 11 + 2 : -70001 * i}) * ${2 * i + 101}`)
    .join(" + ")
};
  }

  const CALLS: ((n: i32) => i32)[] = [table, nested, narrow, half, wide, many];
  const LINE: usize = memory.data(16);

  function say(n: i32): void {
    for (let at = 0; at < 8; at++) {
      const digit = n >>> (28 - at * 4) & 15;
      store<u8>(LINE + at, digit + (digit < 10 ? 48 : 87));
    }
    log(LINE, 8);
  }

  export function onStart(): void {
    for (let which = 0; which < CALLS.length; which++) {
      let sum = 0;
      for (let n = -20; n < 40; n++) sum = sum * 33 ^ CALLS[which](n);
      say(sum);
    }
    for (let n = -20; n < 40; n++) x = x * 5 ^ table(n) + nested(n) + narrow(n) + half(n) + wide(n) + many(n);
    say(x);
  }`;

chipTest(
  "the interpreter: branches, tables and constants work on the chip as on a PC",
  async () => {
    const wasm = await compile(SOURCE);
    const expected: string[] = [];
    const nothing = () => 0;
    const { instance } = await WebAssembly.instantiate(wasm, {
      host: { hmac: nothing },
      board: {
        log: (at: number, length: number) => {
          const memory = instance.exports.memory as WebAssembly.Memory;
          expected.push(new TextDecoder().decode(new Uint8Array(memory.buffer, at, length)));
        },
      },
    });
    (instance.exports.onStart as () => void)();
    assertEquals(expected.length, 7);
    assert(new Set(expected).size === 7, expected.join(" "));
    await using board = await plugIn({ port: 1, id: "1", application: { name: "branches", wasm } });
    await line(board, `app: ${expected[6]}`);
    assertEquals(
      board.lines.filter((it) => it.startsWith("app: ")).map((it) => it.slice(5)),
      expected,
    );
  },
);
