/**
 * A server's options in a file: JSON with comments. Each option has a key of the same name. The file is turned into
 * arguments that are put before those of the command line, so both are parsed in one way.
 */
import { dirname, resolve } from "node:path";
import { defaultLimits } from "../link/limits.ts";
import { LocalError } from "../protocol/errors.ts";
import { isPostgres } from "../store/postgres/conninfo.ts";
import { parseJsonc } from "./jsonc.ts";
import type { Option } from "./option.ts";
import { OPTIONS } from "./serve_options.ts";

/** Options that make no sense in a file. */
const NONE: readonly string[] = ["config", "help"];

/** Keys that are whole numbers. */
const NUMBERS: readonly string[] = ["N", "MS", "PORT"];

/** Names a schema, for editors. */
const SCHEMA = "$schema";

const SCHEMA_URL = "https://json-schema.org/draft/2020-12/schema";

/** All keys with their options. */
export const KEYS: Readonly<Record<string, Option>> = Object.fromEntries(
  Object.entries(OPTIONS).filter(([name]) => !NONE.includes(name)),
);

/** The JSON Schema of a configuration file. */
export function configSchema(): object {
  const properties = Object.entries(KEYS).map(([name, option]) => [
    name,
    { description: option.help, ...schemaOf(name, option) },
  ]);
  return {
    $schema: SCHEMA_URL,
    title: "Configuration of a Holdfast server",
    type: "object",
    properties: { [SCHEMA]: { type: "string" }, ...Object.fromEntries(properties) },
    additionalProperties: false,
  };
}

function schemaOf(name: string, { type, multiple, takes, complete }: Option): object {
  if (type === "boolean") return { type };
  if (name === "limit") {
    const limits = Object.keys(defaultLimits).map((
      limit,
    ) => [limit, { type: "integer", minimum: 0 }]);
    return { type: "object", properties: Object.fromEntries(limits), additionalProperties: false };
  }
  if (multiple) return { type: "array", items: { type: "string", minLength: 1 } };
  if (NUMBERS.includes(takes ?? "")) return { type: "integer", minimum: 0 };
  if (complete !== undefined && complete !== "file") return { enum: complete };
  return { type, minLength: 1 };
}

/** Turns a file into arguments. @throws {LocalError} BAD_ARGUMENT, with the file and the key */
export function readConfig(path: string): string[] {
  const bad = (message: string) => new LocalError("BAD_ARGUMENT", `--config ${path}: ${message}`);
  let value: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
    value = parseJsonc(text.replace(/^\ufeff/, ""));
  } catch (error) {
    throw bad((error as Error).message);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad("it must be an object: { … }");
  }
  return Object.entries(value).flatMap(([key, given]) => {
    if (key === SCHEMA) return [];
    const option = Object.hasOwn(KEYS, key) ? KEYS[key]! : undefined;
    if (!option) throw bad(`there is no key ${JSON.stringify(key)}${hint(key)}`);
    const values = valuesOf(key, option, given);
    if (typeof values === "string") throw bad(`${JSON.stringify(key)} ${values}`);
    if (option.type === "boolean") return given ? [`--${key}`] : [];
    const folder = dirname(resolve(path));
    return values.map((one) =>
      `--${key}=${option.complete === "file" ? place(key, one, folder) : one}`
    );
  });
}

/** The values given for an option, one for each time it is repeated; or a text that says what is wrong. */
function valuesOf(name: string, option: Option, given: unknown): string[] | string {
  const { type, multiple, takes, complete } = option;
  if (type === "boolean") return typeof given === "boolean" ? [] : "must be true or false";
  if (name === "limit") {
    const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
    if (!isObject) return 'must be an object: { "inbox": 100 }';
    return Object.entries(given).map(([limit, most]) => `${limit}=${most}`);
  }
  if (multiple) {
    const isList = Array.isArray(given) &&
      given.every((one) => typeof one === "string" && one !== "");
    return isList ? given : "must be a list of strings";
  }
  if (NUMBERS.includes(takes ?? "")) {
    return Number.isSafeInteger(given) && (given as number) >= 0
      ? [String(given)]
      : "must be a whole number";
  }
  if (complete !== undefined && complete !== "file") {
    return complete.some((one) => one === given)
      ? [given as string]
      : `must be one of ${complete.join(", ")}`;
  }
  return typeof given === "string" && given !== "" ? [given] : "must be a string that is not empty";
}

/** Paths are relative to the folder of the configuration file. */
function place(key: string, name: string, folder: string): string {
  const isFile = name !== ":memory:" && !isPostgres(name) && !(key === "app" && /^\w+$/.test(name));
  return isFile ? resolve(folder, name) : name;
}

/** Suggests the key that was probably meant. */
function hint(key: string): string {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const near = Object.keys(KEYS).find((name) => plain(name) === plain(key));
  return near === undefined ? "" : `: is it ${JSON.stringify(near)}?`;
}
