/** Descriptions: which are valid, where others are wrong, and which values they allow. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { LocalError } from "../protocol/errors.ts";
import {
  checkDescription,
  type Description,
  parseDescription,
  wrongReport,
  wrongSetting,
} from "./description.ts";
import { Descriptions } from "./descriptions.ts";

const kitchen = {
  name: "Kitchen",
  channels: {
    temp: { kind: "sensor", unit: "°C", name: "Temperature", min: -40, max: 85 },
    door: { kind: "sensor" },
    heater: { kind: "switch" },
    level: { kind: "number", min: 5, max: 30, step: 0.5, unit: "%" },
    mode: { kind: "enum", values: ["off", "eco", "2"] },
    button: { kind: "event", name: "Button", values: ["pressed", "held"] },
    bell: { kind: "button", value: "loud" },
    window: { kind: "binary" },
    label: { kind: "text" },
  },
} as const satisfies Description;

/** @returns the error's message */
function refused(text: string): string {
  const error = assertThrows(() => parseDescription(text), LocalError);
  assertEquals(error.code, "BAD_ARGUMENT");
  return error.message;
}

/** One channel with these members. */
function channel(members: string): string {
  return `{"channels":{"temp":{${members}}}}`;
}

Deno.test("a valid description is accepted as it is", () => {
  const parsed = parseDescription(JSON.stringify(kitchen));
  assertEquals(JSON.stringify(parsed), JSON.stringify(kitchen));
  assertEquals(JSON.stringify(checkDescription(kitchen)), JSON.stringify(kitchen));
  assertEquals(JSON.stringify(parseDescription('{"channels":{}}')), '{"channels":{}}');
});

Deno.test("a wrong description is refused with the place in it", () => {
  for (
    const [text, words] of [
      ["", "/: this is not JSON"],
      ["{", "/: this is not JSON"],
      ["[]", '/: Instance type "array" is invalid. Expected "object"'],
      ["null", '/: Instance type "null" is invalid. Expected "object"'],
      ["{}", '/: Instance does not have required property "channels"'],
      ['{"channels":{},"author":1}', "/author: there is no such field"],
      ['{"channels":[]}', '/channels: Instance type "array"'],
      ['{"channels":{},"name":""}', "/name: String is too short (0 < 1)"],
      [
        '{"channels":{},"name":"a\\nb"}',
        "/name: texts for people must not have control characters",
      ],
      [
        '{"channels":{},"name":"\\ud800"}',
        "/name: texts for people must not have control characters",
      ],
      [`{"channels":{},"name":"${"x".repeat(65)}"}`, "/name: String is too long (65 > 64)"],
      ['{"channels":{"Temp":{"kind":"text"}}}', "/channels/Temp: not a channel name"],
      ['{"channels":{"":{"kind":"text"}}}', "/channels/: not a channel name"],
      ['{"channels":{"a/B~":{"kind":"text"}}}', "/channels/a~1B~0: not a channel name"],
      ['{"channels":{"a\\nb":{"kind":"text"}}}', "/channels/a\\nb: not a channel name"],
      ['{"channels":{"temp":5}}', '/channels/temp: Instance type "number"'],
      [
        '{"channels":{"temp":{}}}',
        '/channels/temp: Instance does not have required property "kind"',
      ],
      [
        channel('"kind":"lamp"'),
        '/channels/temp/kind: "lamp" is not a kind: use one of sensor, switch, number',
      ],
      [channel('"kind":["sensor"]'), "/channels/temp/kind: this is not a kind"],
      [channel('"kind":"constructor"'), '/channels/temp/kind: "constructor" is not a kind'],
      [channel('"kind":"switch","min":1'), "/channels/temp/min: there is no such field"],
      [channel('"kind":"text","pattern":"(a+)+"'), "/channels/temp/pattern: there is no such"],
      [channel('"kind":"number","min":"5"'), '/channels/temp/min: Instance type "string"'],
      [channel('"kind":"number","min":null'), '/channels/temp/min: Instance type "null"'],
      [channel('"kind":"number","max":1e999'), "/channels/temp/max: Infinity is greater than"],
      [channel('"kind":"sensor","min":-1e999'), "/channels/temp/min: -Infinity is less than"],
      [channel('"kind":"number","min":30,"max":5'), "/channels/temp/min: 30 is more than max, 5"],
      [channel('"kind":"number","step":0'), "/channels/temp/step: 0 is less than"],
      [
        channel('"kind":"enum"'),
        '/channels/temp: Instance does not have required property "values"',
      ],
      [channel('"kind":"enum","values":[]'), "/channels/temp/values: "],
      [
        channel('"kind":"enum","values":["a",1]'),
        '/channels/temp/values/1: Instance type "number"',
      ],
      [
        channel('"kind":"enum","values":["a","a"]'),
        "/channels/temp/values: a value occurs twice",
      ],
      [channel('"kind":"event","values":[]'), "/channels/temp/values: "],
      [channel('"kind":"binary","unit":"V"'), "/channels/temp/unit: there is no such field"],
      [channel('"kind":"button","value":""'), "/channels/temp/value: String is too short"],
      [channel('"kind":"button","value":"\\n"'), "/channels/temp/value: texts for people"],
      [channel('"kind":"sensor","unit":"\\u009b"'), "/channels/temp/unit: texts for people"],
      [
        channel('"kind":"enum","values":["a","\\u0000"]'),
        "/channels/temp/values/1: texts for people",
      ],
      [channel('"kind":"sensor","unit":"aaaaaaaaaaaaaaaaa"'), "/channels/temp/unit: String is too"],
    ] as const
  ) assertStringIncludes(refused(text), words, text);
});

Deno.test("a hostile description is refused at once, with the channel's name", () => {
  const many = Array.from({ length: 257 }, (_, i) => `"c${i}":{"kind":"text"}`).join();
  const million = Array.from({ length: 1_000_000 }, (_, i) => `"c${i}":{"kind":"text"}`).join();
  const deep = "[".repeat(30_000) + "]".repeat(30_000);
  for (
    const [text, words] of [
      [`{"channels":{${many}}}`, "/channels: there may be at most 256 channels"],
      [`{"channels":{${million}}}`, "/: it may have at most 65536 characters"],
      [deep, '/: Instance type "array"'],
      [`{"channels":${deep}}`, '/channels: Instance type "array"'],
      [`{"channels":{"a":{"kind":${deep}}}}`, "/channels/a/kind: this is not a kind"],
      [`{"channels":{"a":{"kind":"text","b":${deep}}}}`, "/channels/a/b: there is no such field"],
      [
        channel(`"kind":"enum","values":[${Array(20_000).fill(0).join()}]`),
        "/channels/temp/values",
      ],
      [`{"channels":{"${"x".repeat(60_000)}":{"kind":"text"}}}`, "…: not a channel name"],
      ['{"channels":{},"__proto__":{"name":"x"}}', "/__proto__: there is no such field"],
      [channel('"kind":"text","__proto__":{}'), "/channels/temp/__proto__: there is no such"],
    ] as const
  ) {
    const message = refused(text);
    assertStringIncludes(message, words);
    assertEquals(message.length < 400, true, message);
  }
});

Deno.test("a channel may be called __proto__, and inherited names describe no channel", () => {
  const described = parseDescription('{"channels":{"__proto__":{"kind":"number","max":3}}}');
  assertEquals(wrongSetting(described, "__proto__", 4), "__proto__ takes 3 or less, not 4");
  assertEquals(wrongSetting(described, "constructor", 4), undefined);
  assertEquals(({} as { max?: number }).max, undefined);
});

Deno.test("a description from a program is checked by the same rules", () => {
  const cyclic: Record<string, unknown> = { channels: {} };
  cyclic.name = cyclic;
  for (
    const [description, words] of [
      [undefined, "/: this is not JSON"],
      [cyclic, "/: this is not JSON"],
      [
        { channels: { temp: { kind: "number", min: NaN } } },
        '/channels/temp/min: Instance type "null"',
      ],
      [{ channels: { temp: { kind: "number", max: 1n } } }, "/: this is not JSON"],
    ] as const
  ) {
    const error = assertThrows(() => checkDescription(description as unknown as Description));
    assertStringIncludes((error as Error).message, words);
  }
});

Deno.test("a setting must fit the kind and the range", () => {
  for (
    const [name, value, wrong] of [
      ["temp", 20, "temp is a sensor: it cannot be set"],
      ["button", 1, "button is an event: it cannot be set"],
      ["bell", "loud", "bell is a button: it cannot be set"],
      ["window", true, "window is a sensor: it cannot be set"],
      ["heater", true, undefined],
      ["heater", 0, undefined],
      ["heater", 2, "heater takes true or false, not 2"],
      ["heater", "on", 'heater takes true or false, not "on"'],
      ["level", 5, undefined],
      ["level", 30, undefined],
      ["level", 7.3, undefined],
      ["level", 4.9, "level takes 5 to 30 %, not 4.9"],
      ["level", "7", 'level takes 5 to 30 %, not "7"'],
      ["level", null, "level takes 5 to 30 %, not null"],
      ["mode", "eco", undefined],
      ["mode", 2, undefined],
      ["mode", "on", 'mode takes one of off, eco, 2, not "on"'],
      ["mode", ["eco"], 'mode takes one of off, eco, 2, not ["eco"]'],
      ["label", "x", undefined],
      ["label", 5, "label takes a text, not 5"],
      ["label", { a: "x".repeat(100) }, `label takes a text, not {"a":"${"x".repeat(54)}…`],
      ["other", {}, undefined],
    ] as const
  ) assertEquals(wrongSetting(kitchen, name, value), wrong, `${name} ${value}`);
});

Deno.test("a report must fit them too; a text may be any scalar, and a sensor without unit and range may be anything", () => {
  for (
    const [name, value, wrong] of [
      ["temp", 20, undefined],
      ["temp", 85.1, "temp is -40 to 85 °C, not 85.1"],
      ["temp", "warm", 'temp is -40 to 85 °C, not "warm"'],
      ["door", "open", undefined],
      ["door", { open: true }, undefined],
      ["button", 1, "button is an event and has no value"],
      ["bell", 1, "bell is a button and has no value"],
      ["window", true, undefined],
      ["window", 0, undefined],
      ["window", "open", 'window is true or false, not "open"'],
      ["label", 5, undefined],
      ["mode", "on", 'mode is one of off, eco, 2, not "on"'],
      ["other", [], undefined],
    ] as const
  ) assertEquals(wrongReport(kitchen, name, value as never), wrong, `${name} ${value}`);
});

Deno.test("a sensor with a unit, or with one end of a range, is a number", () => {
  for (const members of [',"unit":"s"', ',"min":0', ',"max":9', ',"min":5,"max":5', ""]) {
    const sensor = parseDescription(channel(`"kind":"sensor"${members}`));
    const wrong = ["warm", 5].map((value) => wrongReport(sensor, "temp", value) !== undefined);
    assertEquals([members, wrong], [members, [members !== "", false]]);
  }
  const number = parseDescription(channel('"kind":"number","max":9'));
  assertEquals([5, 10].map((value) => wrongSetting(number, "temp", value) !== undefined), [
    false,
    true,
  ]);
});

Deno.test("an error states the range", () => {
  const said = (members: string) =>
    wrongSetting(parseDescription(channel(`"kind":"number"${members}`)), "temp", "x");
  assertEquals(said(""), 'temp takes a number, not "x"');
  assertEquals(said(',"unit":"s"'), 'temp takes a number, not "x"');
  assertEquals(said(',"unit":"s","min":0'), 'temp takes 0 s or more, not "x"');
  assertEquals(said(',"max":9'), 'temp takes 9 or less, not "x"');
});

Deno.test("of the operator's descriptions the version's applies, otherwise the application's", () => {
  const [any, third] = [{ name: "any", channels: {} }, { name: "third", channels: {} }];
  const descriptions = new Descriptions({ "kitchen": any, "kitchen@3": third, "a@1 @2": any });
  const find = (name: string, version: string) => descriptions.find({ name, version })?.name;
  assertEquals(find("kitchen", "3"), "third");
  assertEquals(find("kitchen", "4"), "any");
  assertEquals(find("hall", "3"), undefined);
  assertEquals(find("a", "1 @2"), "any");
  for (
    const [given, words] of [
      [{ Kitchen: any }, '"Kitchen" is not an application'],
      [{ "kitchen@": any }, '"kitchen@" is not an application'],
      [{ kitchen: {} }, 'kitchen: /: Instance does not have required property "channels"'],
      [
        Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`a${i}`, any])),
        "at most 1000 descriptions",
      ],
    ] as const
  ) {
    const error = assertThrows(() => descriptions.replace(given as never), LocalError);
    assertStringIncludes(error.message, words);
  }
  assertEquals(find("kitchen", "3"), "third", "the old ones stay");
});
