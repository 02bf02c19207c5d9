/** What a command of the command line is: how it is called, what it takes, and what its help says. */
import { parseArgs } from "node:util";
import { optionRow, type Options, type Values, wrap } from "./option.ts";
import type { Reach } from "./reach.ts";

/** A command. */
export interface Command<T extends Options = Options> {
  readonly name: string;
  /** Each way to call it, without its name and options. */
  readonly usage: readonly string[];
  /** In one line. */
  readonly summary: string;
  /** What there is to know beside the options. */
  readonly about?: string;
  readonly options: T;
  /** What a shell offers as the first word. */
  readonly words?: readonly string[];
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
    // A space before a number is none of JSON's.
    args: args.map((arg) => it.takesNumbers && /^-\d/.test(arg) ? ` ${arg}` : arg),
    allowPositionals: true,
    options: { ...options, help: { type: "boolean", default: false } },
  });
  if (values.help) return console.log(helpOf(it));
  const many = Object.entries(it.options).filter(([, { multiple }]) => multiple);
  const none = Object.fromEntries(many.map(([name]) => [name, []]));
  await it.run(positionals, { ...none, ...values } as unknown as Values<Options>, reach);
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
