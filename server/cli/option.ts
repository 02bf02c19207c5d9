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
