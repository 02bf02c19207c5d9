/**
 * Checks answers of the API against its description.
 *
 * @module
 */
import { Validator } from "@cfworker/json-schema";

/** The description of one operation. */
export interface Operation {
  readonly operationId: string;
  readonly "x-right": string;
  readonly requestBody?: { content: { "application/json": { schema: object } } };
  readonly responses: Readonly<Record<string, Described>>;
}

interface Described {
  readonly $ref?: string;
  readonly content?: Readonly<Record<string, { schema: object }>>;
}

/** An operation, and where it is. */
export interface Place {
  readonly method: string;
  /** The path of the route: `/api/devices/:id`. */
  readonly path: string;
  readonly operation: Operation;
}

const text = Deno.readTextFileSync(new URL("../../server/web/openapi.json", import.meta.url));

// References point to the schemas of the whole document.
const { components, paths } = JSON.parse(text);

const METHODS = ["get", "post", "delete"];

/** All described operations. */
export const OPERATIONS: readonly Place[] = Object.entries(paths).flatMap(([path, item]) =>
  Object.entries(item as Record<string, Operation>)
    .filter(([method]) => METHODS.includes(method))
    .map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replace(/\{(\w+)\}/g, ":$1"),
      operation,
    }))
);

/** The operation of a request. @throws {Error} there is no such operation */
export function operationOf(method: string, pathname: string): Place {
  const place = OPERATIONS.find(({ path, ...its }) =>
    its.method === method && new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`).test(pathname)
  );
  if (!place) throw new Error(`${method} ${pathname} is not described`);
  return place;
}

/** What is wrong with an answer, according to the description; undefined: nothing. */
export function wrongAnswer(
  { operation }: Place,
  status: number,
  type: string,
  body: unknown,
): string | undefined {
  let described = operation.responses[status];
  if (!described && status < 400) return `status ${status} is not described`;
  described ??= operation.responses.default!;
  if (described.$ref) {
    described = components.responses[described.$ref.split("/").pop()!] as Described;
  }
  const content = described.content?.[type.split(";")[0]!];
  return content ? wrongValue(content.schema, body) : `${type} is not described for ${status}`;
}

/** What is wrong with a value, according to a schema of the description; undefined: nothing. */
export function wrongValue(schema: object, value: unknown): string | undefined {
  const { valid, errors } = new Validator({ ...schema, components } as object, "2020-12")
    .validate(value);
  return valid ? undefined : JSON.stringify(errors.at(-1));
}
