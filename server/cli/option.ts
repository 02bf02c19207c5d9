/** What options commands have. */

/** An option of a command. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** What it takes, for people: FILE. */
  readonly takes?: string;
  /** What a shell offers for that. */
  readonly complete?: "file" | readonly string[];
  readonly help: string;
}

/** Options by their names, without the dashes. */
export type Options = Readonly<Record<string, Option>>;

/** What the options of a command have been given. */
export type Values<T extends Options> = {
  readonly [Name in keyof T]: T[Name]["type"] extends "boolean" ? boolean
    : T[Name]["multiple"] extends true ? readonly string[]
    : string | undefined;
};

/** A column that the text of options begins in, and how wide lines are. */
const [COLUMN, WIDTH] = [20, 100];

/** An option, as a help shows it. */
export function optionRow(name: string, { takes, help }: Option): string {
  return row(`--${name}${takes === undefined ? "" : ` ${takes}`}`, help);
}

/** An option or a command, and what it is. */
export function row(what: string, text: string): string {
  const begin = `  ${what}`;
  const indent = " ".repeat(COLUMN);
  const lines = wrap(text, WIDTH - COLUMN);
  const first = begin.length < COLUMN - 1 ? begin.padEnd(COLUMN) : `${begin}\n${indent}`;
  return (first + lines.join(`\n${indent}`)).trimEnd();
}

/** Words in lines of this many characters. */
export function wrap(text: string, width = WIDTH): string[] {
  const lines: string[] = [];
  for (const word of text.trim().split(/\s+/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
