import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  FAULT_CODES,
  formatMarked,
  isName,
  type Marked,
  parseMarked,
  textOf,
  type Value,
  VALUE_DEPTH,
  valueOf,
} from "./channel_lines.ts";
import { LocalError } from "./errors.ts";
import { checkText } from "./lines.ts";
import { type Random, randomTest } from "../../tests/support/random.ts";

const LINES: readonly (readonly [string, Marked])[] = [
  ["=heater 1", { mark: "set", name: "heater", value: "1" }],
  ["=heater.8 1", { mark: "set", name: "heater", tag: "8", value: "1" }],
  ["=temp@4294967295 21.5", { mark: "set", name: "temp", stamp: 4294967295, value: "21.5" }],
  ["=a  two blanks ", { mark: "set", name: "a", value: " two blanks " }],
  ["!button", { mark: "event", name: "button" }],
  ["!button pressed", { mark: "event", name: "button", value: "pressed" }],
  ["!door/front@0", { mark: "event", name: "door/front", stamp: 0 }],
  ["?time.1", { mark: "ask", name: "time", tag: "1" }],
  ["?adc.0000000007 3", { mark: "ask", name: "adc", tag: "0000000007", value: "3" }],
  [":heater 1", { mark: "answer", name: "heater", value: "1" }],
  [":heater", { mark: "answer", name: "heater" }],
  [":adc.9999999999 512", { mark: "answer", name: "adc", tag: "9999999999", value: "512" }],
  ["~fan unknown", { mark: "fault", name: "fan", code: "unknown" }],
  ["~adc.7 busy", { mark: "fault", name: "adc", tag: "7", code: "busy" }],
  ["~a failed so  what", { mark: "fault", name: "a", code: "failed", words: "so  what" }],
  ["@kitchen 3", { mark: "boot", name: "kitchen", version: "3" }],
  ["@kitchen 3 beta", { mark: "boot", name: "kitchen", version: "3 beta" }],
  ["@kitchen 3{a}", { mark: "boot", name: "kitchen", version: "3{a}" }],
  ["@kitchen 3 {", { mark: "boot", name: "kitchen", version: "3", description: "{" }],
  [
    '@kitchen 3 beta {"a": {"b": 1}}',
    { mark: "boot", name: "kitchen", version: "3 beta", description: '{"a": {"b": 1}}' },
  ],
  [`=${"x".repeat(32)} \ufeff`, { mark: "set", name: "x".repeat(32), value: "\ufeff" }],
];

Deno.test("marked lines: each kind, with and without its optional parts", () => {
  for (const [line, marked] of LINES) {
    assertEquals(parseMarked(line), marked, line);
    assertEquals(formatMarked(marked), line);
  }
});

Deno.test("a stamp may have leading zeros", () => {
  assertEquals(parseMarked("=t@0007 1"), { mark: "set", name: "t", stamp: 7, value: "1" });
});

Deno.test("lines that only look marked are plain", () => {
  for (
    const line of [
      "",
      "=",
      "= 1",
      "heater 1",
      "[1,2]",
      "@kitchen {}",
      "@kitchen  {}",
      "=heater",
      "=heater ",
      "=heater=1",
      "=Heater 1",
      "=hätter 1",
      "=a.b 1",
      "=a.1",
      "=a.1 ",
      "=a. 1",
      "=a.12345678901 1",
      "=a.1@5 1",
      "=a@5.1 1",
      "=a\t1",
      " =a 1",
      "==a 1",
      `=${"x".repeat(33)} 1`,
      "=t@ 1",
      "=t@x 1",
      "=t@-1 1",
      "=t@4294967296 1",
      "=t@12345678901 1",
      "!",
      "!button ",
      "!b.1",
      "?time",
      "?time.",
      "?time.x",
      "?time.12345678901",
      "?time.1@5",
      "?time.1 ",
      "?time 1",
      ":",
      ": ",
      ":a ",
      ":a. 1",
      ":a@1 1",
      "~a",
      "~a ",
      "~a sad",
      "~a Busy",
      "~a busy ",
      "~a.1.2 busy",
      "~a  busy",
      "@kitchen",
      "@kitchen ",
      "@ 3",
      "@a.1 3",
      "@a@1 3",
      "=constructor",
      "\ud83d 1",
    ]
  ) assertEquals(parseMarked(line), undefined, JSON.stringify(line));
});

Deno.test("valid and invalid names of channels", () => {
  for (const name of ["a", "0", "_-/", "kitchen/led-2", "x".repeat(32)]) assert(isName(name));
  for (const name of ["", "A", "é", "a b", "a.b", "a@b", "a\n", "\na", "x".repeat(33)]) {
    assert(!isName(name), name);
  }
});

Deno.test("a line that would be invalid is not formatted: an error gives the reason", () => {
  for (
    const [marked, reason] of [
      [{ mark: "set", name: "A", value: "1" }, "1 to 32 of a-z"],
      [{ mark: "set", name: "a", value: "" }, "value: at least one"],
      [{ mark: "set", name: "a" }, "a setting must have a value"],
      [{ mark: "set", name: "a", stamp: -1, value: "1" }, "-1 is not a stamp"],
      [{ mark: "set", name: "a", stamp: 1.5, value: "1" }, "1.5 is not a stamp"],
      [{ mark: "set", name: "a", stamp: 2 ** 32, value: "1" }, "4294967296 is not a stamp"],
      [
        { mark: "set", name: "a", tag: "1", stamp: 1, value: "1" },
        "cannot have both a tag and a stamp",
      ],
      [{ mark: "ask", name: "a" }, "a request must have a tag"],
      [{ mark: "ask", name: "a", tag: "" }, "1 to 10 digits"],
      [{ mark: "answer", name: "a", tag: "12345678901" }, "1 to 10 digits"],
      [{ mark: "fault", name: "a", code: "sad" }, '"sad" is not a fault code'],
      [{ mark: "fault", name: "a", code: "busy", words: "" }, "words: at least one"],
      [{ mark: "boot", name: "a", version: "" }, "version: at least one"],
      [{ mark: "boot", name: "a", version: "3 {4}" }, "must not contain a brace"],
      [{ mark: "boot", name: "a", version: "{3}" }, "must not contain a brace"],
      [{ mark: "boot", name: "a", version: "3", description: "[]" }, "must be a JSON object"],
      [{ mark: "boot", name: "a", version: "3", description: "" }, "must be a JSON object"],
    ] as const
  ) {
    const error = assertThrows(() => formatMarked(marked as Marked), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, reason);
  }
});

Deno.test("values: JSON, and strings that need no quotes", () => {
  for (
    const [value, text] of [
      [1, "1"],
      [-2.5, "-2.5"],
      [true, "true"],
      [null, "null"],
      [[1, "a"], '[1,"a"]'],
      [{ on: true }, '{"on":true}'],
      ["on", "on"],
      ["half past two", "half past two"],
      ["Küche 🐙", "Küche 🐙"],
      ["nobody", "nobody"],
      ["1e999", "1e999"], // beyond the largest number
      ["21,5", "21,5"],
      ["1", '"1"'],
      ["true", '"true"'],
      ["", '""'],
      [" a", '" a"'],
      ["a\u00a0", '"a\u00a0"'],
      ["a\nb", '"a\\nb"'],
      ["\0", '"\\u0000"'],
      ["\ud83d", '"\\ud83d"'],
      ['"quoted"', '"\\"quoted\\""'],
      ['"open', '"open'],
    ] as const
  ) {
    assertEquals(textOf(value), text);
    assertEquals(valueOf(text), value as Value);
  }
  assertEquals(valueOf(" 1 "), 1);
  assertEquals(valueOf("{on:1}"), "{on:1}");
  assertEquals(valueOf(undefined), undefined);
});

Deno.test("values that are not JSON are refused, with the reason", () => {
  const circle: unknown[] = [];
  circle.push(circle);
  for (
    const [value, reason] of [
      [undefined, "undefined"],
      [NaN, "NaN"],
      [-Infinity, "-Infinity"],
      [() => 1, "function"],
      [Symbol("s"), "symbol"],
      [1n, "bigint"],
      [new Date(0), "a class"],
      [new Map(), "a class"],
      [circle, "contains itself"],
      [nested(VALUE_DEPTH + 1), "deeper than 32"],
      [{ a: undefined }, "undefined"],
      [new Array(1), "undefined"],
      [{ a: [NaN] }, "NaN"],
    ] as const
  ) {
    const error = assertThrows(() => textOf(value), LocalError);
    assertEquals(error.code, "BAD_ARGUMENT");
    assertStringIncludes(error.message, reason);
  }
  assertEquals(valueOf(textOf(nested(VALUE_DEPTH))), nested(VALUE_DEPTH));
});

Deno.test("all parts of a value are checked, and an object need not have a prototype", () => {
  for (const value of [[1, NaN], { a: 1, b: undefined }, [[1], [1n]]]) {
    assertThrows(() => textOf(value), LocalError, "cannot be sent");
  }
  assertEquals(textOf(Object.assign(Object.create(null), { a: 1 })), '{"a":1}');
});

Deno.test("what is nested too deep for a value is a text, and comes back as one", () => {
  for (const text of ["[".repeat(33) + "]".repeat(33), "[".repeat(1e5) + "]".repeat(1e5)]) {
    assertEquals(valueOf(text), text);
    assertEquals(textOf(text), text);
  }
});

function nested(depth: number): Value {
  return depth === 0 ? 1 : [nested(depth - 1)];
}

function randomString(random: Random): string {
  const alphabet = random.pick([
    "ab c",
    '0123456789.eE-+"',
    '[]{}",:\\',
    "é😀\ud83d\x7f\x85",
    "\n\t\0 ",
  ]);
  return Array.from({ length: random.int(0, 8) }, () => random.pick([...alphabet])).join("");
}

function randomValue(random: Random, depth: number): Value {
  const kinds: (() => Value)[] = [
    () => null,
    () => random.once(2),
    () => random.int(-1000, 1000) || 0,
    () => random.bits() / 2 ** random.int(0, 60),
    () => randomString(random),
    () => random.pick(["true", "null", "1", "-0", "1e5", '"', "tru", "-", "nul", "{}"]),
    () => Array.from({ length: random.int(0, 3) }, () => randomValue(random, depth - 1)),
    () =>
      Object.fromEntries(
        Array.from(
          { length: random.int(0, 3) },
          () => [random.pick(["__proto__", randomString(random)]), randomValue(random, depth - 1)],
        ),
      ),
  ];
  return random.pick(depth > 0 ? kinds : kinds.slice(0, 6))();
}

randomTest("every value comes back the same, through a line that can be sent", 3000, (random) => {
  const value = randomValue(random, 4);
  const text = textOf(value);
  assertEquals(valueOf(text), value);
  const line = formatMarked({ mark: "set", name: "a", value: text });
  assertEquals(checkText(line, 10_000), line);
  assertEquals(parseMarked(line), { mark: "set", name: "a", value: text });
});

function randomMarked(random: Random): Marked {
  const name = Array.from(
    { length: random.int(1, 32) },
    () => random.pick([..."abcxyz0189_-/"]),
  ).join("");
  const text = random.pick(["1", "a b", " ", ".1", "@2 3", "=x 1", "é\n"]);
  const tag = { tag: random.pick(["0", "007", "9999999999", `${random.int(0, 1e9)}`]) };
  const stamp = { stamp: random.pick([0, 2 ** 32 - 1, random.bits()]) };
  const maybe = <T extends object>(part: T): T | Record<never, never> => random.once(2) ? part : {};
  return random.pick<() => Marked>([
    () => ({ mark: "set", name, ...maybe(random.once(2) ? stamp : tag), value: text }),
    () => ({ mark: "event", name, ...maybe(stamp), ...maybe({ value: text }) }),
    () => ({ mark: "ask", name, ...tag, ...maybe({ value: text }) }),
    () => ({ mark: "answer", name, ...maybe(tag), ...maybe({ value: text }) }),
    () => ({
      mark: "fault",
      name,
      ...maybe(tag),
      code: random.pick(FAULT_CODES),
      ...maybe({ words: text }),
    }),
    () => ({ mark: "boot", name, version: text, ...maybe({ description: `{${text}` }) }),
  ])();
}

randomTest("every marked line means what was formatted", 3000, (random) => {
  const marked = randomMarked(random);
  assertEquals(parseMarked(formatMarked(marked)), marked);
});
