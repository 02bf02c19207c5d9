/** The operator's descriptions, by application and version. */
import { isName } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { checkDescription, type Description } from "./description.ts";
import type { RunningApplication } from "./thing.ts";

/** Most descriptions of a server. */
const MOST = 1000;

/** By application, or by application and version: kitchen, kitchen@3. */
export type DescriptionsByName = Readonly<Record<string, Description>>;

export class Descriptions {
  #all: ReadonlyMap<string, Description>;

  /**
   * @param given See `Server.setDescriptions`. @throws {LocalError} BAD_ARGUMENT, with the application and the place in
   * its description
   */
  constructor(given: DescriptionsByName = {}) {
    this.#all = checked(given);
  }

  /** Replaces all descriptions. Throws as the constructor does; then nothing has changed. */
  replace(given: DescriptionsByName): void {
    this.#all = checked(given);
  }

  /** The description of that version, or else of the application. */
  find({ name, version }: RunningApplication): Description | undefined {
    return this.#all.get(`${name}@${version}`) ?? this.#all.get(name);
  }
}

function checked(given: DescriptionsByName): ReadonlyMap<string, Description> {
  const entries = Object.entries(given);
  if (entries.length > MOST) {
    throw badArgument(`a server takes at most ${MOST} descriptions, not ${entries.length}`);
  }
  return new Map(entries.map(([whose, description]) => {
    checkDescribed(whose);
    try {
      return [whose, checkDescription(description)];
    } catch (error) {
      throw error instanceof LocalError ? badArgument(`${whose}: ${error.message}`) : error;
    }
  }));
}

/** Checks the name of what is described: `kitchen`, or `kitchen@3`. @throws {LocalError} BAD_ARGUMENT */
export function checkDescribed(whose: string): void {
  const at = whose.indexOf("@");
  if (isName(at < 0 ? whose : whose.slice(0, at)) && at !== whose.length - 1) return;
  const words =
    "is not an application: use a name of a-z 0-9 _ - /, optionally with @ and a version";
  throw badArgument(`${JSON.stringify(whose)} ${words}`);
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
