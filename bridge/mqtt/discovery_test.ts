import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { JINJA, type Part, render, wrongDiscovery } from "../../tests/support/home_assistant.ts";
import { toolTest } from "../../tests/support/tools.ts";
import type { ChannelDescription, Description } from "../../server/mod.ts";
import { parseDescription } from "../../server/channels/description.ts";
import {
  type AvailabilityOf,
  type Component,
  discoveryOf,
  objectId,
  plainId,
  removes,
  withRemoved,
} from "./discovery.ts";
import type { Diagnostics } from "./diagnostics.ts";
import { Topics } from "./topics.ts";
import { KNOWN_UNITS } from "./units.ts";

const topics = new Topics("holdfast");

function payloadOf(
  description: Description,
  { id = "kitchen", diagnostics = {}, availability = "sensors" }: {
    id?: string;
    diagnostics?: Diagnostics;
    availability?: AvailabilityOf;
  } = {},
) {
  parseDescription(JSON.stringify(description)); // it is valid
  const application = { name: "kitchen", version: "3" };
  const portrait = { id, application, description, diagnostics };
  const payload = discoveryOf(portrait, topics, availability);
  if (payload) {
    const topic = `homeassistant/device/${objectId("holdfast", id)}/config`;
    assertEquals(wrongDiscovery(topic, JSON.stringify(payload)), []);
  }
  return payload;
}

/** The component of one channel, without the fields that all components have. */
function componentOf(described: ChannelDescription, channel = "it"): Part {
  const { cmps } = payloadOf({ channels: { [channel]: described } })!;
  const [[key, component], ...more] = Object.entries(cmps) as [[string, Component]];
  assertEquals(more, []);
  const { unique_id, qos, availability: _, availability_mode: _mode, ...rest } = component;
  assertEquals(key, `${component.p}__${plainId(channel)}`);
  assertEquals(unique_id, `holdfast__kitchen__${plainId(channel)}`);
  assertEquals(qos, 2);
  return rest;
}

const state_topic = "holdfast/kitchen/it";
const command_topic = "holdfast/kitchen/it/set";

Deno.test("the announcement names the device, its application and its origin", () => {
  const description: Description = { name: "Kitchen stove", channels: { it: { kind: "text" } } };
  const { dev, o } = payloadOf(description)!;
  assertEquals(dev, {
    ids: ["holdfast__kitchen"],
    name: "kitchen",
    mf: "Holdfast",
    mdl: "Kitchen stove",
    sw: "3",
  });
  assertEquals(o, { name: "Holdfast" });
});

Deno.test("a sensor has the class of its unit, and statistics with a unit or a range; without both it is shown as text", () => {
  assertEquals(componentOf({ kind: "sensor", name: "Temperature", unit: "°C", min: -40 }), {
    p: "sensor",
    name: "Temperature",
    state_topic,
    unit_of_measurement: "°C",
    device_class: "temperature",
    state_class: "measurement",
  });
  const meter = componentOf({ kind: "sensor", unit: "kWh" });
  assertEquals([meter.device_class, meter.state_class], ["energy", "total_increasing"]);
  const bare = componentOf({ kind: "sensor", min: 0, max: 1 });
  assertEquals([bare.device_class, bare.unit_of_measurement], [undefined, undefined]);
  assertEquals(bare.state_class, "measurement");
  const unsure = componentOf({ kind: "sensor", unit: "%" });
  assertEquals([unsure.device_class, unsure.unit_of_measurement], [undefined, "%"]);
  const any = componentOf({ kind: "sensor" });
  assertEquals([any.state_class, any.value_template], [undefined, "{{ value[:255] }}"]);
});

Deno.test("Home Assistant accepts every known unit for the device class that it implies", () => {
  for (const [unit, deviceClass] of KNOWN_UNITS) {
    assertEquals(componentOf({ kind: "sensor", unit }).device_class, deviceClass);
    const number = componentOf({ kind: "number", unit });
    assertEquals([number.device_class, number.unit_of_measurement], [deviceClass, unit]);
  }
});

Deno.test("a switch and a binary sensor read true and 1 alike, and a switch sends 1 or 0, which chips can read", () => {
  const value_template =
    "{{ 'on' if value in ['1', 'true'] else 'off' if value in ['0', 'false'] else 'None' }}";
  assertEquals(componentOf({ kind: "switch" }), {
    p: "switch",
    name: "it",
    state_topic,
    command_topic,
    payload_on: "1",
    payload_off: "0",
    state_on: "on",
    state_off: "off",
    value_template,
  });
  assertEquals(componentOf({ kind: "binary", name: "Door" }), {
    p: "binary_sensor",
    name: "Door",
    state_topic,
    payload_on: "on",
    payload_off: "off",
    value_template,
  });
});

Deno.test("a number has a range and steps as Home Assistant wants them", () => {
  const number = { p: "number", name: "it", state_topic, command_topic };
  assertEquals(componentOf({ kind: "number", min: 5, max: 30, step: 0.5 }), {
    ...number,
    min: 5,
    max: 30,
    step: 0.5,
  });
  assertEquals(componentOf({ kind: "number" }), { ...number, min: -1e15, max: 1e15, mode: "box" });
  for (const max of [-1e15, 0, 7, 1e15]) {
    const one = componentOf({ kind: "number", min: max, max, step: 1e-9 });
    assert(Number(one.max) > Number(one.min) && one.step === 0.001, JSON.stringify(one));
    componentOf({ kind: "number", max });
    componentOf({ kind: "number", min: max });
  }
});

Deno.test("a word that JSON would read as something else is sent as a JSON string", () => {
  const word = "{{ value_json if value_json is string else value }}";
  assertEquals(componentOf({ kind: "enum", values: ["off", "2", "true"] }), {
    p: "select",
    name: "it",
    state_topic,
    command_topic,
    options: ["off", "2", "true"],
    value_template: word,
  });
  for (const odd of ["null", "[]", "1.0", '"x"']) {
    const { command_template } = componentOf({ kind: "enum", values: ["off", odd] });
    assertEquals(command_template, "{{ value | tojson }}", odd);
  }
  const { command_template, value_template } = componentOf({ kind: "text" });
  assertEquals(command_template, "{{ value | tojson }}");
  assertEquals(value_template, "{{ (value_json if value_json is string else value)[:255] }}");
});

Deno.test("an event has the types that are described, and one for all others", () => {
  assertEquals(componentOf({ kind: "event" }), {
    p: "event",
    name: "it",
    state_topic: "holdfast/kitchen/event/it",
    event_types: ["event"],
    value_template: "{% set word = (value_json if value_json is string else value) %}" +
      "{{ {'event_type': 'event', 'value': word} | tojson }}",
  });
  const { event_types, value_template } = componentOf({
    kind: "event",
    values: ["pressed", 'a "long" \\ press', "event"],
  });
  assertEquals(event_types, ["pressed", 'a "long" \\ press', "event"]);
  assertEquals(
    value_template,
    "{% set word = (value_json if value_json is string else value) %}{{ {'event_type': word if word in " +
      String
        .raw`["pressed", "a \"long\" \\ press", "event"] else 'event', 'value': word} | tojson }}`,
  );
});

Deno.test("pressing a button sends the device a request", () => {
  const button = { p: "button", name: "it", command_topic: "holdfast/kitchen/request/it" };
  assertEquals(componentOf({ kind: "button" }), { ...button, payload_press: "" });
  const open = componentOf({ kind: "button", value: "open" });
  assertEquals(open, { ...button, payload_press: "open" });
});

Deno.test("a device's metadata, and channels of such names, are shown as diagnostics", () => {
  const description: Description = { channels: { heap: { kind: "sensor", unit: "B" } } };
  const diagnostics = {
    rssi: -61,
    heap: 17448,
    booted: "2026-01-02T03:04:05.678Z",
    board: "nonos",
  };
  const { cmps } = payloadOf(description, { diagnostics })!;
  assertEquals(Object.keys(cmps), [
    "sensor__heap",
    "sensor___rssi",
    "sensor___heap",
    "sensor___started",
  ]);
  for (const component of Object.values(cmps)) {
    assertEquals(component.entity_category, "diagnostic");
  }
  const { state_topic, value_template } = cmps.sensor___rssi!;
  assertEquals(state_topic, "holdfast/kitchen/diagnostics");
  assertEquals(value_template, "{{ value_json.rssi }}");
  const strange = payloadOf(description, { diagnostics: { rssi: "low", heap: "much" } })!;
  assertEquals(Object.keys(strange.cmps), ["sensor__heap"]);
});

Deno.test("availability topics: the bridge's for all, the device's too if enabled", () => {
  const description: Description = {
    channels: { temp: { kind: "sensor" }, led: { kind: "switch" }, ring: { kind: "button" } },
  };
  const bridge = { topic: "holdfast/status" };
  const both = [bridge, { topic: "holdfast/kitchen/availability" }];
  const seen = (availability: AvailabilityOf) => {
    const { cmps, ...root } = payloadOf(description, { availability })!;
    const all = ["sensor__temp", "switch__led", "button__ring"];
    return [root, ...all.map((key) => cmps[key]!)].map((part) => part.availability);
  };
  assertEquals(seen("sensors"), [[bridge], both, undefined, undefined]);
  assertEquals(seen("all"), [both, undefined, undefined, undefined]);
  assertEquals(seen("none"), [[bridge], undefined, undefined, undefined]);
});

Deno.test("no two devices or channels have the same ids, whatever they are called", () => {
  const names = ["a", "A", "a_b", "a_5Fb", "a b", "a__b", "_", "__", "a/b", "a+b", "ö", "F6", "_F6"]
    .concat("%C3%B6", "c3b6", "😀", "\u0000", "-", "a-b", "x".repeat(229));
  const ids = names.flatMap((prefix) => names.map((name) => objectId(prefix, name)));
  assertEquals(new Set(ids).size, ids.length);
  for (const id of ids) assert(/^[a-zA-Z0-9_-]+$/.test(id), id);
  for (const id of names) payloadOf({ channels: { "led/1": { kind: "switch" } } }, { id });
  const channels = ["a", "a_b", "a/b", "a-b", "a_5fb", "_rssi", "rssi", "_r", "__rssi"];
  const all = Object.fromEntries(channels.map((name) => [name, { kind: "sensor" } as const]));
  const { cmps } = payloadOf({ channels: all }, { diagnostics: { rssi: -1, heap: 1 } })!;
  assertEquals(Object.keys(cmps).length, channels.length + 2);
});

Deno.test("channels gone from a description are removed, once", () => {
  const old = payloadOf({ channels: { temp: { kind: "sensor" }, led: { kind: "switch" } } })!;
  const next = payloadOf({ channels: { temp: { kind: "number" }, led: { kind: "switch" } } })!;
  const before = JSON.stringify(old);
  const both = withRemoved(next, before);
  assertEquals(both.cmps.sensor__temp, { p: "sensor" });
  assertEquals(both.cmps.number__temp, next.cmps.number__temp!);
  const topic = "homeassistant/device/holdfast__kitchen/config";
  assertEquals(wrongDiscovery(topic, JSON.stringify(both)), []);
  assertEquals([removes(before), removes(JSON.stringify(both)), removes("")], [false, true, false]);
  assertEquals(withRemoved(next, JSON.stringify(next)), next);
  assertEquals(withRemoved(next, ""), next);
});

Deno.test("a device without a description is not shown", () => {
  assertEquals(payloadOf({ channels: {} }), undefined);
  assertNotEquals(payloadOf({ channels: {} }, { diagnostics: { rssi: -60 } }), undefined);
});

Deno.test("the schema refuses what Home Assistant refuses", () => {
  const topic = "homeassistant/device/a/config";
  const whole = (component: Part) =>
    JSON.stringify({ dev: { ids: ["a"] }, o: { name: "o" }, cmps: { x: component } });
  const sensor = { p: "sensor", unique_id: "u", state_topic: "t" };
  assertEquals(wrongDiscovery(topic, whole(sensor)), []);
  const bad: Part[] = [
    { ...sensor, p: "lamp" },
    { ...sensor, state_topic: "a/#" },
    { ...sensor, unknown: 1 },
    { p: "sensor", state_topic: "t" },
    { p: "sensor", unique_id: "u" },
    { ...sensor, device_class: "temperature", unit_of_measurement: "W" },
    { ...sensor, device_class: "energy", unit_of_measurement: "kWh", state_class: "measurement" },
    { p: "number", unique_id: "u", command_topic: "c", min: 1, max: 1 },
    { p: "event", unique_id: "u", state_topic: "t" },
    { p: "select", unique_id: "u", command_topic: "c", options: [] },
  ];
  for (const component of bad) {
    assertNotEquals(wrongDiscovery(topic, whole(component)), [], JSON.stringify(component));
  }
  assertNotEquals(wrongDiscovery("homeassistant/device/a b/config", ""), []);
});

toolTest(
  "the templates turn payloads into what Home Assistant reads, and its words into ours",
  JINJA,
  async () => {
    const long = "x".repeat(300);
    const values = ["pressed", "caf\u00e9 \u{1f600}", '"', "\\", "%} {{ x }}", "1"];
    const event = componentOf({ kind: "event", values });
    const asEvent = (type: string, value: unknown) => [type, value];
    const level = componentOf({ kind: "switch" });
    const text = componentOf({ kind: "text" });
    const word = componentOf({ kind: "enum", values: ["null", "off"] });
    const any = componentOf({ kind: "sensor" });
    const { cmps } = payloadOf({ channels: {} }, { diagnostics: { rssi: -61 } })!;
    const cases: [template: unknown, value: string, rendered: unknown][] = [
      ...["1", "true"].map((value) => [level.value_template, value, "on"] as const),
      ...["0", "false"].map((value) => [level.value_template, value, "off"] as const),
      [level.value_template, "perhaps", "None"],
      [text.value_template, "21", "21"],
      [text.value_template, '"21"', "21"],
      [text.value_template, "half past two", "half past two"],
      [text.value_template, '{"a": 1}', '{"a": 1}'],
      [text.value_template, long, long.slice(0, 255)],
      [any.value_template, long, long.slice(0, 255)],
      [any.value_template, "[1,2]", "[1,2]"],
      [word.value_template, '"null"', "null"],
      [word.value_template, "off", "off"],
      [cmps.sensor___rssi!.value_template, '{"rssi":-61}', "-61"],
      ...values.map((value) => [event.value_template, value, asEvent(value, value)] as const),
      [event.value_template, '"pressed"', asEvent("pressed", "pressed")],
      [event.value_template, "", asEvent("event", "")],
      [event.value_template, "held", asEvent("event", "held")],
      [event.value_template, '{"x": 1}', asEvent("event", '{"x": 1}')],
      [componentOf({ kind: "event" }).value_template, "held", asEvent("event", "held")],
    ].map(([template, value, rendered]) => [template, value as string, rendered]);
    const commands = ["off", "21", 'say "no"', "null", "caf\u00e9 <b>'"];
    const rendered = await render([
      ...cases.map(([template, value]): [string, string] => [String(template), value]),
      ...commands.map((value): [string, string] => [String(text.command_template), value]),
    ]);
    for (const [i, [template, value, expected]] of cases.entries()) {
      let is: unknown = rendered[i];
      if (Array.isArray(expected)) {
        const { event_type, value } = JSON.parse(rendered[i]!);
        is = asEvent(event_type, value);
      }
      assertEquals(is, expected, `${template} of ${value}`);
    }
    assertEquals(rendered.slice(cases.length).map((json) => JSON.parse(json)), commands);
  },
);
