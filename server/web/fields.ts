/** Checks the fields of a body, and names the one that is wrong. */
import { LocalError } from "../protocol/errors.ts";

/** Types of fields; "any" is any JSON value, and "?" after a type makes it optional. */
interface Types {
  string: string;
  number: number;
  boolean: boolean;
  object: Record<string, unknown>;
  any: unknown;
}

type Type = keyof Types | `${keyof Types}?`;

/** A body whose fields have these types. */
type Fields<T extends Readonly<Record<string, Type>>> = {
  [Name in keyof T]: T[Name] extends `${infer Of extends keyof Types}?` ? Types[Of] | undefined
    : T[Name] extends keyof Types ? Types[T[Name]]
    : never;
};

/**
 * Checks the fields of a body.
 *
 * @throws {LocalError} BAD_ARGUMENT: one is missing, has another type, or is unknown
 */
export function fields<const T extends Readonly<Record<string, Type>>>(
  body: Readonly<Record<string, unknown>>,
  types: T,
): Fields<T> {
  for (const name of Object.keys(body)) {
    if (!Object.hasOwn(types, name)) {
      throw bad(
        `there is no field ${JSON.stringify(name)}; the fields are ${
          Object.keys(types).join(", ")
        }`,
      );
    }
  }
  for (const [name, type] of Object.entries(types)) {
    const value = Object.hasOwn(body, name) ? body[name] : undefined;
    if (value === undefined) {
      if (!type.endsWith("?")) throw bad(`the field ${name} is missing`);
    } else if (!isOf(type.replace("?", ""), value)) {
      throw bad(`the field ${name} must be of type ${type.replace("?", "")}`);
    }
  }
  return body as Fields<T>;
}

function isOf(type: string, value: unknown): boolean {
  if (type === "any") return true;
  if (type === "object") {
    return typeof value === "object" && value !== null && !Array.isArray(value);
  }
  const is: string = typeof value;
  return is === type;
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
