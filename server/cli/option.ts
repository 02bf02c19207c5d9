/** The options of commands, and how the help shows them. */

/** An option of a command. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** Its argument, as the help shows it: FILE. */
  readonly takes?: string;
  /** What a shell completes for it. */
  readonly complete?: "file" | readonly string[];
  readonly help: string;
}

/** Options by their names, without the dashes. */
export type Options = Readonly<Record<string, Option>>;

/** The parsed values of a command's options. */
export type Values<T extends Options> = {
  readonly [Name in keyof T]: T[Name]["type"] extends "boolean" ? boolean
    : T[Name]["multiple"] extends true ? readonly string[]
    : string | undefined;
};

/** The column where the descriptions of options start, and the width of lines. */
const [COLUMN, WIDTH] = [20, 100];

/** The lines of an option in the help. */
export function optionRow(name: string, { takes, help }: Option): string {
  return row(`--${name}${takes === undefined ? "" : ` ${takes}`}`, help);
}

/** A name with its description. */
export function row(what: string, text: string): string {
  const begin = `  ${what}`;
  const indent = " ".repeat(COLUMN);
  const lines = wrap(text, WIDTH - COLUMN);
  const first = begin.length < COLUMN - 1 ? begin.padEnd(COLUMN) : `${begin}\n${indent}`;
  return (first + lines.join(`\n${indent}`)).trimEnd();
}

/** Wraps a text to lines of this many characters. */
export function wrap(text: string, width = WIDTH): string[] {
  const lines: string[] = [];
  for (const word of text.trim().split(/\s+/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
