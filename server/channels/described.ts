import type { DeviceRecord } from "../link/record.ts";
import { LocalError } from "../protocol/errors.ts";
import { type Description, parseDescription } from "./description.ts";
import type { Descriptions } from "./descriptions.ts";
import type { RunningApplication } from "./thing.ts";

/** Key of the memo with the description that the device has sent, verbatim. */
export const OWN_DESCRIPTION = "@description";

/** Longest such description, in UTF-16 units. */
const LONGEST_OWN = 8192;

/** The description of one device: the operator's if there is one, else that of its applications here, else its own. */
export class Described {
  readonly #record: DeviceRecord;
  readonly #descriptions: Descriptions;
  #byApps: Description[] | undefined;
  #own: { text: string; description: Description | undefined } | undefined;

  constructor(record: DeviceRecord, descriptions: Descriptions) {
    this.#record = record;
    this.#descriptions = descriptions;
  }

  /** An application of this server describes channels of the device. @returns whether the description is new */
  add(description: Description): boolean {
    const all = this.#byApps ??= [];
    if (all.includes(description)) return false;
    all.push(description);
    return true;
  }

  /** The description that applies to what runs on the device. */
  of(application: RunningApplication | undefined): Description | undefined {
    const given = application && this.#descriptions.find(application);
    return given ?? (this.#byApps ? merged(this.#byApps) : this.#ofDevice());
  }

  #ofDevice(): Description | undefined {
    const text = this.#record.memos.get(OWN_DESCRIPTION);
    if (text === undefined) return undefined;
    if (this.#own?.text !== text) this.#own = { text, description: parseKept(text) };
    return this.#own.description;
  }

  /** Stores or removes the device's own description. */
  keep(text: string | undefined): void {
    this.#record.setMemo(OWN_DESCRIPTION, text);
  }
}

/** Merges the descriptions of several applications. */
function merged(all: readonly Description[]): Description {
  const [first] = all as [Description];
  if (all.length === 1) return first;
  const channels = Object.assign(Object.create(null), ...all.map(({ channels }) => channels));
  return { ...first, channels };
}

/** A stored description that this version does not accept counts as none. */
function parseKept(text: string): Description | undefined {
  return wrongOwn(text) === undefined ? parseDescription(text) : undefined;
}

/** What is wrong with a description that a device sends, beginning with the place in it; undefined: nothing. */
export function wrongOwn(text: string): string | undefined {
  try {
    parseDescription(text, LONGEST_OWN);
    return undefined;
  } catch (error) {
    if (error instanceof LocalError) return error.message;
    throw error;
  }
}
