/** The command lines of this folder: each is a table of its options and their values. */
import { parseArgs } from "node:util";

const EITHER = new Intl.ListFormat("en", { type: "disjunction" });

/** A kind of option value. */
interface Kind<T> {
  readonly type: "string" | "boolean";
  /** Its default, as a user would write it. */
  readonly fallback: string | boolean;
  /** @throws {Error} with a message for the user */
  read(name: string, given: string | boolean): T;
}

/** A whole number within limits. */
export function whole(least: number, most: number, fallback: number): Kind<number> {
  return {
    type: "string",
    fallback: String(fallback),
    read(name, given) {
      const value = /^\d+$/.test(String(given)) ? Number(given) : NaN;
      if (value >= least && value <= most) return value;
      throw new Error(`${name} takes a whole number from ${least} to ${most}, not "${given}"`);
    },
  };
}

/** A seed; if it is not given, a random one. */
export function seed(): Kind<number> {
  return whole(0, 2 ** 32 - 1, Math.floor(Math.random() * 2 ** 32));
}

/** One of these words; the first by default. */
export function word<T extends string>(...words: [T, ...T[]]): Kind<T> {
  return {
    type: "string",
    fallback: words[0],
    read(name, given) {
      const found = words.find((one) => one === given);
      if (found !== undefined) return found;
      throw new Error(`${name} takes ${EITHER.format(words)}, not "${given}"`);
    },
  };
}

/** An option without a value. */
export const flag: Kind<boolean> = {
  type: "boolean",
  fallback: false,
  read: (_, given) => given === true,
};

type Kinds = Readonly<Record<string, Kind<unknown>>>;

/** The values of such a table's options. */
type Values<K extends Kinds> = { [Name in keyof K]: K[Name] extends Kind<infer T> ? T : never };

/**
 * Runs a command line.
 *
 * @param help What `--help` says.
 * @param kinds By the options' names.
 * @param run Returns the exit code.
 * @returns that; 0 for `--help`, 2 for wrong options
 */
export async function obey<K extends Kinds>(
  name: string,
  help: string,
  kinds: K,
  run: (values: Values<K>) => Promise<number>,
): Promise<number> {
  let values: Values<K> | undefined;
  try {
    values = parse(kinds, Deno.args);
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}\n\n${help}`);
    return 2;
  }
  if (values) return await run(values);
  console.log(help);
  return 0;
}

/** @returns undefined: the user asked for help @throws {Error} with a message for the user */
function parse<K extends Kinds>(kinds: K, args: string[]): Values<K> | undefined {
  const options = Object.entries(kinds).map(([name, { type, fallback }]) =>
    [name, { type, default: fallback }] as const
  );
  const { values } = parseArgs({
    args,
    options: { ...Object.fromEntries(options), help: { type: "boolean", default: false } },
  });
  if (values.help) return undefined;
  const given = values as Record<string, string | boolean>;
  const read = Object.entries(kinds).map(([name, kind]) =>
    [name, kind.read(`--${name}`, given[name]!)] as const
  );
  return Object.fromEntries(read) as Values<K>;
}
