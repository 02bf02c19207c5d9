/** A command of the command line: its name, its arguments, and its help. */
import { parseArgs } from "node:util";
import { badArgument } from "./arguments.ts";
import { optionRow, type Options, type Values, wrap } from "./option.ts";
import type { Reach } from "./reach.ts";

/** A command. */
export interface Command<T extends Options = Options> {
  readonly name: string;
  /**
   * Each way to call it, without its name and options: a word in small letters stands for itself, one in capitals for
   * any, [ONE] may be missing, and of the last one there may be many… Nothing else is let through to `run`.
   */
  readonly usage: readonly string[];
  /** In one line. */
  readonly summary: string;
  /** What the help says besides the options. */
  readonly about?: string;
  readonly options: T;
  /** -3 is a word of it, and no option. */
  readonly takesNumbers?: boolean;
  /** @throws {HoldfastError} */
  run(words: readonly string[], values: Values<T>, reach: Reach): Promise<void>;
}

/** A command whose options are known where it runs. */
export function command<const T extends Options>(it: Command<T>): Command {
  return it as unknown as Command;
}

/** Carries out a command. @throws {TypeError} of `parseArgs` @throws {HoldfastError} */
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
    // JSON has no space before a number here.
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

/** The words that may stand first, if there are only a few. */
export function firstWords(usage: readonly string[]): string[] {
  return usage.map((way) => way.split(" ")[0]!).filter(isLiteral);
}

const isLiteral = (part: string) => /^[a-z]/.test(part);

/** @throws {LocalError} BAD_ARGUMENT: there is no such way to call the command */
function checkWords({ name, usage }: Command, words: readonly string[]): void {
  const ways = usage.map((way) => way.split(" ").filter((part) => part !== ""));
  if (ways.some((way) => fits(way, words))) return;
  const takes = usage.map((way) => way === "" ? "no words" : way).join(", ").replace(
    /, ([^,]*)$/,
    " or $1",
  );
  const isLong = ways.every((way) => words.length > way.length && !isMany(way));
  const hint = isLong && takes !== "no words" ? ": put arguments with spaces in quotes" : "";
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
    // A value may be an empty text; nothing has an empty name.
    return isLiteral(part) ? word === part : word !== "" || part.includes("VALUE");
  });
}

/** What `--help` says. */
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
