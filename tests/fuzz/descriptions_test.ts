/**
 * Hostile descriptions: whatever a device sends as a description is either taken as it is, or refused with the place of
 * the fault. With any description that was taken, a value is allowed or refused by name, and Home Assistant accepts the
 * discovery made from it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  type Description,
  parseDescription,
  wrongReport,
  wrongSetting,
} from "../../server/channels/description.ts";
import { discoveryOf } from "../../bridge/mqtt/discovery.ts";
import { Topics } from "../../bridge/mqtt/topics.ts";
import { parseMarked, valueOf } from "../../server/protocol/channel_lines.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import { wrongDiscovery } from "../support/home_assistant.ts";
import { oddText } from "../support/noise.ts";
import { type Random, randomTest } from "../support/random.ts";

const TOPICS = new Topics("holdfast");
const NAMES = ["temp", "a/b", "__proto__", "constructor", "Temp", "", "x".repeat(33), "a b", "\n"];
const KINDS = ["sensor", "switch", "number", "enum", "event", "text", "binary", "button"];
const NO_KINDS = ["lamp", "__proto__", ""];
const MEMBERS = ["kind", "name", "unit", "min", "max", "step", "value", "values", "__proto__"]
  .concat("pattern");
const NUMBERS = [0, 1, -1, 0.1, 5e-324, 1e15, 1e16, 1e308, Infinity, -Infinity, NaN];

/** Mostly JSON. JSON.stringify cannot make it: it writes no name twice, and no number that is out of range. */
function json(random: Random, depth = 0): string {
  switch (random.int(0, depth > 4 ? 3 : 6)) {
    case 0:
      return String(random.pick(NUMBERS)).replace("Infinity", "1e999");
    case 1:
      return JSON.stringify(random.pick([...NAMES, ...KINDS, "°C", "\ud800", oddText(random, 70)]));
    case 2:
      return random.pick(["true", "null", "", "{", "]", ",", "[".repeat(random.int(0, 3000))]);
    case 3:
      return String(random.int(-50, 50));
    case 4:
      return `[${list(random, 70, () => json(random, depth + 1))}]`;
    default:
      return channel(random, depth);
  }
}

function list(random: Random, most: number, make: () => string): string {
  return Array.from({ length: random.once(4) ? random.int(0, most) : random.int(0, 3) }, make)
    .join();
}

function member(name: string, value: string): string {
  return `${JSON.stringify(name)}:${value}`;
}

function channel(random: Random, depth: number): string {
  const kind = member("kind", JSON.stringify(random.pick(random.once(3) ? NO_KINDS : KINDS)));
  const rest = list(random, 12, () => {
    const name = random.pick(MEMBERS);
    if (random.once(2)) return member(name, json(random, depth + 1));
    if (name === "values") return member(name, '["off","eco",""]');
    return member(name, name === "name" || name === "unit" ? '"°C"' : String(random.int(-9, 9)));
  });
  return `{${[kind, rest].filter((part) => part !== "").join()}}`;
}

function description(random: Random): string {
  if (random.once(10)) return json(random);
  const channels = list(random, 300, () => {
    const name = random.once(3) ? random.pick(NAMES) : `c${random.int(0, 400)}`;
    return member(name, random.once(8) ? json(random) : channel(random, 1));
  });
  const more = random.once(6) ? `,${member(random.pick(MEMBERS), json(random))}` : "";
  return `{"channels":{${channels}}${more}}`;
}

function parsed(text: string): Description | undefined {
  try {
    return parseDescription(text);
  } catch (error) {
    assert(error instanceof LocalError && error.code === "BAD_ARGUMENT", String(error));
    assert(/^\/[^\n]*: /.test(error.message), error.message);
    assert(error.message.length < 1000 && error.message.isWellFormed(), error.message);
    return undefined;
  }
}

let taken = 0;

randomTest("any description is taken, or refused with a place", 1000, (random) => {
  const text = description(random);
  const description_ = parsed(text);
  if (!description_) return;
  taken++;
  const again = JSON.stringify(description_);
  assertEquals(JSON.stringify(parseDescription(again)), again);
  for (const name of [...Object.keys(description_.channels), ...NAMES]) {
    const value = valueOf(json(random) || "x");
    const isDescribed = Object.keys(description_.channels).includes(name);
    for (
      const wrong of [
        wrongSetting(description_, name, value),
        wrongReport(description_, name, value),
      ]
    ) {
      assert(wrong === undefined || isDescribed && wrong.startsWith(`${name} `), wrong);
    }
  }
  const portrait = { id: "kitchen", application: undefined, description: description_ };
  const shown = discoveryOf({ ...portrait, diagnostics: {} }, TOPICS, "sensors");
  if (shown) assertEquals(wrongDiscovery("ha/device/kitchen/config", JSON.stringify(shown)), []);
  const line = parseMarked(`@kitchen 3 ${again}`);
  assertEquals(line, { mark: "boot", name: "kitchen", version: "3", description: again });
});

Deno.test("some hostile descriptions are taken", () => {
  assert(taken > 50, `${taken} were taken`);
});
