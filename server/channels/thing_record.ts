/** A device's channels according to its record, whichever server has the device. */
import type { DeviceRecord } from "../link/record.ts";
import { valueOf } from "../protocol/channel_lines.ts";
import { Described } from "./described.ts";
import type { Description } from "./description.ts";
import type { Descriptions } from "./descriptions.ts";
import { isMet, type Report, States } from "./states.ts";
import type { Desired, Moment, Reported, RunningApplication } from "./thing.ts";

/** Key of the memo with the device's application, as JSON. */
export const APPLICATION = "@";

export class ThingRecord {
  readonly states: States;
  readonly described: Described;
  readonly #record: DeviceRecord;
  /** The application parsed last: each report is checked against its description. */
  #application: { text: string; is: RunningApplication } | undefined;

  constructor(record: DeviceRecord, descriptions: Descriptions) {
    this.#record = record;
    this.states = new States(record);
    this.described = new Described(record, descriptions);
  }

  get channels(): string[] {
    return this.states.names();
  }

  get application(): RunningApplication | undefined {
    const text = this.#record.memos.get(APPLICATION);
    if (text === undefined) return undefined;
    if (this.#application?.text !== text) {
      const [name, version] = JSON.parse(text);
      this.#application = { text, is: { name, version } };
    }
    return this.#application.is;
  }

  get description(): Description | undefined {
    return this.described.of(this.application);
  }

  desired(channel: string): Desired | undefined {
    const state = this.states.get(channel);
    const { desired, fault } = state;
    if (!desired) return undefined;
    const { text, at, by } = desired;
    const why = fault === undefined ? {} : { fault };
    return { value: valueOf(text), at: new Date(at), by, isMet: isMet(state), ...why };
  }

  reported(channel: string): Reported | undefined {
    const { reported } = this.states.get(channel);
    return reported && { value: valueOf(reported.text), ...momentOf(reported) };
  }
}

/** The times of a report. */
export type Times = Omit<Report, "text">;

/** The form in which applications see them. */
export function momentOf({ at, taken }: Times): Moment {
  const isStamped = taken !== undefined;
  return { at: taken === null ? undefined : new Date(taken ?? at), isStamped };
}
