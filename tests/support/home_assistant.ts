/**
 * What Home Assistant accepts as a payload of device-based MQTT discovery, according to its documentation. Stricter:
 * members that it would ignore are refused. Where its own code checks several members together, so does this.
 *
 * @module
 */
import { type Schema, Validator } from "@cfworker/json-schema";

const text: Schema = { type: "string", minLength: 1 };
const template = text;
/** A topic to subscribe or publish to: no wildcards, no NUL. */
const topic: Schema = { type: "string", pattern: "^[^+#\\u0000]{1,65535}$" };
const flag: Schema = { type: "boolean" };
const natural: Schema = { type: "integer", minimum: 0 };
const words: Schema = { type: "array", minItems: 1, items: text };

const availability: Record<string, Schema> = {
  availability: {
    type: "array",
    minItems: 1,
    items: {
      type: "object",
      required: ["topic"],
      properties: {
        topic,
        payload_available: text,
        payload_not_available: text,
        value_template: template,
      },
      additionalProperties: false,
    },
  },
  availability_mode: { enum: ["all", "any", "latest"] },
};

/** Members of every entity. One that is discovered with a device must have a `unique_id`. */
const entity: Record<string, Schema> = {
  ...availability,
  p: text,
  unique_id: text,
  name: { type: ["string", "null"] },
  icon: { type: "string", pattern: "^[a-z0-9-]+:[a-z0-9-]+$" },
  qos: { enum: [0, 1, 2] },
  encoding: { type: "string" },
  enabled_by_default: flag,
  entity_category: { enum: ["config", "diagnostic"] },
  json_attributes_topic: topic,
  json_attributes_template: template,
  default_entity_id: text,
};
const told: Record<string, Schema> = { ...entity, state_topic: topic, value_template: template };
const set: Record<string, Schema> = {
  ...told,
  command_topic: topic,
  command_template: template,
  optimistic: flag,
  retain: flag,
};

/** The units of each device class, and its allowed statistics. */
const CLASSES: Readonly<Record<string, { units: string; states: string }>> = {
  apparent_power: { units: "mVA VA kVA", states: "measurement" },
  conductivity: { units: "S/cm mS/cm µS/cm", states: "measurement" },
  current: { units: "A mA", states: "measurement" },
  data_rate: {
    units: "bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s KiB/s MiB/s GiB/s",
    states: "measurement",
  },
  data_size: {
    units: "bit kbit Mbit Gbit B kB MB GB TB PB EB ZB YB KiB MiB GiB TiB PiB EiB ZiB YiB",
    states: "measurement total total_increasing",
  },
  distance: {
    units: "km m cm mm mi nmi yd in ft",
    states: "measurement total total_increasing",
  },
  duration: { units: "d h min s ms µs", states: "measurement total total_increasing" },
  energy: {
    units: "J kJ MJ GJ mWh Wh kWh MWh GWh TWh cal kcal Mcal Gcal",
    states: "total total_increasing",
  },
  frequency: { units: "Hz kHz MHz GHz", states: "measurement" },
  illuminance: { units: "lx", states: "measurement" },
  irradiance: { units: "W/m² BTU/(h⋅ft²)", states: "measurement" },
  power: { units: "mW W kW MW GW TW", states: "measurement" },
  precipitation_intensity: { units: "in/d in/h mm/d mm/h", states: "measurement" },
  pressure: {
    units: "Pa hPa kPa bar cbar mbar mmHg inHg psi",
    states: "measurement",
  },
  reactive_power: { units: "var", states: "measurement" },
  signal_strength: { units: "dB dBm", states: "measurement" },
  sound_pressure: { units: "dB dBA", states: "measurement" },
  speed: { units: "ft/s in/d in/h in/s km/h kn m/s mph mm/d mm/s", states: "measurement" },
  temperature: { units: "°C °F K", states: "measurement" },
  voltage: { units: "V mV µV kV MV", states: "measurement" },
  volume_flow_rate: {
    units: "m³/h m³/min m³/s ft³/min L/h L/min L/s gal/min",
    states: "measurement",
  },
  weight: { units: "kg g mg µg oz lb st", states: "measurement total total_increasing" },
};
const classes: Schema = { enum: [...Object.keys(CLASSES), "timestamp"] };

const PLATFORMS: Readonly<Record<string, { must: string[]; may: Record<string, Schema> }>> = {
  sensor: {
    must: ["state_topic"],
    may: {
      ...told,
      device_class: classes,
      unit_of_measurement: text,
      state_class: { enum: ["measurement", "measurement_angle", "total", "total_increasing"] },
      suggested_display_precision: natural,
      expire_after: natural,
      force_update: flag,
    },
  },
  binary_sensor: {
    must: ["state_topic"],
    may: {
      ...told,
      payload_on: text,
      payload_off: text,
      off_delay: natural,
      expire_after: natural,
    },
  },
  switch: {
    must: ["command_topic"],
    may: {
      ...set,
      payload_on: text,
      payload_off: text,
      state_on: text,
      state_off: text,
      device_class: { enum: ["outlet", "switch"] },
    },
  },
  number: {
    must: ["command_topic"],
    may: {
      ...set,
      min: { type: "number" },
      max: { type: "number" },
      step: { type: "number", minimum: 0.001 },
      mode: { enum: ["auto", "box", "slider"] },
      device_class: classes,
      unit_of_measurement: text,
      payload_reset: text,
    },
  },
  select: { must: ["command_topic", "options"], may: { ...set, options: words } },
  text: {
    must: ["command_topic"],
    may: {
      ...set,
      min: { ...natural, maximum: 255 },
      max: { ...natural, maximum: 255 },
      mode: { enum: ["text", "password"] },
      pattern: { type: "string" },
    },
  },
  button: {
    must: ["command_topic"],
    may: {
      ...entity,
      command_topic: topic,
      command_template: template,
      payload_press: { type: "string" },
      retain: flag,
      device_class: { enum: ["identify", "restart", "update"] },
    },
  },
  event: {
    must: ["state_topic", "event_types"],
    may: { ...told, event_types: words, device_class: { enum: ["button", "doorbell", "motion"] } },
  },
};

const validators = new Map(
  Object.entries(PLATFORMS).map(([platform, { must, may }]) => [
    platform,
    new Validator({
      type: "object",
      required: ["p", "unique_id", ...must],
      properties: may,
      additionalProperties: false,
    }, "2020-12"),
  ]),
);

const frame = new Validator({
  type: "object",
  required: ["dev", "o", "cmps"],
  properties: {
    ...availability,
    dev: {
      type: "object",
      required: ["ids"],
      properties: {
        ids: words,
        name: text,
        mf: text,
        mdl: text,
        sw: text,
        hw: text,
        sn: text,
        sa: text,
        via_device: text,
        cu: text,
      },
      additionalProperties: false,
    },
    o: {
      type: "object",
      required: ["name"],
      properties: { name: text, sw: text, url: text },
      additionalProperties: false,
    },
    cmps: { type: "object", minProperties: 1, additionalProperties: { type: "object" } },
    state_topic: topic,
    command_topic: topic,
    qos: { enum: [0, 1, 2] },
    encoding: { type: "string" },
  },
  additionalProperties: false,
}, "2020-12");

/** A part of a payload. */
export type Part = Record<string, unknown>;

/** What Home Assistant would not accept, with the place; an empty list: it accepts all. */
export function wrongDiscovery(topic: string, payload: string): string[] {
  const wrong: string[] = [];
  if (!/^[^+#]+\/device\/[a-zA-Z0-9_-]+\/config$/.test(topic)) wrong.push(`topic: ${topic}`);
  if (payload === "") return wrong; // it is removed
  const json = JSON.parse(payload);
  wrong.push(...said("", frame, json));
  const ids = new Set<unknown>();
  for (const [name, component] of Object.entries(json.cmps as Record<string, Part>)) {
    const place = `/cmps/${name}`;
    const validator = validators.get(String(component.p));
    if (!validator) {
      wrong.push(`${place}: unknown platform: ${component.p}`);
      continue;
    }
    if (Object.keys(component).length === 1) continue; // it is removed
    wrong.push(...said(place, validator, component));
    wrong.push(...together(component).map((why) => `${place}: ${why}`));
    const id = `${component.p} ${component.unique_id}`;
    if (ids.has(id)) wrong.push(`${place}: another component has its unique_id`);
    ids.add(id);
  }
  return wrong;
}

function said(place: string, validator: Validator, json: unknown): string[] {
  return validator.validate(json).errors.map((error) =>
    `${place}${error.instanceLocation.slice(1)}: ${error.error}`
  );
}

/** Checks members that must fit together. */
function together(component: Part): string[] {
  const { p, device_class, unit_of_measurement, state_class, min = 0, max = 100 } = component;
  const wrong: string[] = [];
  const known = CLASSES[String(device_class)];
  if (known && !known.units.split(" ").includes(String(unit_of_measurement))) {
    wrong.push(`${device_class} is not measured in ${unit_of_measurement}`);
  }
  if (known && state_class && !known.states.split(" ").includes(String(state_class))) {
    wrong.push(`${device_class} has no ${state_class}`);
  }
  if (device_class === "timestamp" && (state_class ?? unit_of_measurement) !== undefined) {
    wrong.push("a time has neither unit nor statistics");
  }
  if ((p === "number" || p === "text") && Number(min) >= Number(max)) {
    wrong.push("max is not above min");
  }
  return wrong;
}

/** The files that rendering needs, each with its Debian package, for `toolTest`. */
export const JINJA = {
  "/usr/bin/python3": "python3",
  "/usr/lib/python3/dist-packages/jinja2/__init__.py": "python3-jinja2",
};

/** Renders like Home Assistant: a JSON payload is also available as `value_json`. */
const RENDER = `
import json, sys
from jinja2.sandbox import ImmutableSandboxedEnvironment
environment = ImmutableSandboxedEnvironment()
rendered = []
for template, value in json.load(sys.stdin):
    known = {"value": value}
    try:
        known["value_json"] = json.loads(value)
    except ValueError:
        pass
    rendered.append(environment.from_string(template).render(known).strip())
json.dump(rendered, sys.stdout)
`;

/** Renders payloads, each with its template. */
export async function render(
  pairs: readonly [template: string, value: string][],
): Promise<string[]> {
  const child = new Deno.Command("/usr/bin/python3", {
    args: ["-c", RENDER],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.output();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(pairs)));
  await writer.close();
  const { success, stdout } = await output;
  if (!success) throw new Error("a template cannot be rendered");
  return JSON.parse(new TextDecoder().decode(stdout));
}
