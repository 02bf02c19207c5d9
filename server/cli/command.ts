/** A command of the command line: its name, its arguments, and its help. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import { optionRow, type Options, type Values, wrap } from "./option.ts";
import type { Reach } from "./reach.ts";

/** A command. */
export interface Command<T extends Options = Options> {
  readonly name: string;
  /**
   * Each way to call it, without its name and options. A lower-case word is literal, an upper-case word is a
   * placeholder, [WORD] is optional, and a last word that ends in … may be repeated. `run` is called only with words
   * that match.
   */
  readonly usage: readonly string[];
  /** One line. */
  readonly summary: string;
  /** More text for the help, besides the options. */
  readonly about?: string;
  readonly options: T;
  /** Whether -3 is an argument, not an option. */
  readonly takesNumbers?: boolean;
  /** @throws {HoldfastError} */
  run(words: readonly string[], values: Values<T>, reach: Reach): Promise<void>;
}

/** A command whose `run` knows the types of its options. */
export function command<const T extends Options>(it: Command<T>): Command {
  return it as unknown as Command;
}

/** Runs a command. @throws {TypeError} from `parseArgs` @throws {HoldfastError} */
export async function runCommand(
  it: Command,
  args: readonly string[],
  reach: Reach,
): Promise<void> {
  const options = Object.fromEntries(
    Object.entries(it.options).map(([name, { type, multiple = false }]) => [
      name,
      { type, multiple, ...(type === "boolean" && { default: false }) },
    ]),
  );
  const { values, positionals } = parseArgs({
    // The space keeps `parseArgs` from taking it for an option; JSON ignores it.
    args: args.map((arg) => it.takesNumbers && /^-\d/.test(arg) ? ` ${arg}` : arg),
    allowPositionals: true,
    options: { ...options, help: { type: "boolean", default: false } },
  });
  if (values.help) return console.log(helpOf(it));
  const many = Object.entries(it.options).filter(([, { multiple }]) => multiple);
  const none = Object.fromEntries(many.map(([name]) => [name, []]));
  checkWords(it, positionals);
  await it.run(positionals, { ...none, ...values } as unknown as Values<Options>, reach);
}

/** The literal words that may come first. */
export function firstWords(usage: readonly string[]): string[] {
  return usage.map((way) => way.split(" ")[0]!).filter(isLiteral);
}

const isLiteral = (part: string) => /^[a-z]/.test(part);

/** @throws {LocalError} BAD_ARGUMENT: the words match no usage of the command */
function checkWords({ name, usage }: Command, words: readonly string[]): void {
  const ways = usage.map((way) => way.split(" ").filter((part) => part !== ""));
  if (ways.some((way) => fits(way, words))) return;
  const takes = usage.map((way) => way === "" ? "no arguments" : way).join(", ").replace(
    /, ([^,]*)$/,
    " or $1",
  );
  const isLong = ways.every((way) => words.length > way.length && !isMany(way));
  const hint = isLong && takes !== "no arguments" ? ": put arguments with spaces in quotes" : "";
  throw badArgument(name, `${name} takes ${takes}${hint}`);
}

function isMany(way: readonly string[]): boolean {
  return way.at(-1)?.endsWith("…") ?? false;
}

function fits(way: readonly string[], words: readonly string[]): boolean {
  const least = way.filter((part) => !part.startsWith("[")).length;
  if (words.length < least || (words.length > way.length && !isMany(way))) return false;
  return words.every((word, at) => {
    const part = way[at] ?? way.at(-1)!;
    // A value may be empty; a name may not.
    return isLiteral(part) ? word === part : word !== "" || part.includes("VALUE");
  });
}

/** The text of `--help`. */
export function helpOf({ name, usage, summary, about, options }: Command): string {
  const lines = usage.map((words, index) =>
    `${index === 0 ? "Usage: " : "       "}${["holdfast", name, words].join(" ").trim()} [options]`
  );
  const rows = Object.entries(options).map(([option, it]) => optionRow(option, it));
  return [
    ...wrap(`${summary}.`),
    "",
    ...lines,
    "",
    ...about === undefined ? [] : [...wrap(about), ""],
    ...rows,
    "  --help",
  ].join("\n");
}
