/** The outcome of an order of another process of a fleet, as text for that process. */
import { LocalError } from "../protocol/errors.ts";
import { parseObject } from "../protocol/json.ts";

/**
 * Done; or why not; or the line with which a device answers; or how many messages were dropped; or the device's present
 * state, a `DeviceView`.
 */
export type Outcome =
  | Readonly<Record<never, never>>
  | { readonly inbox: number; readonly outbox: number }
  | { readonly code: string; readonly message: string }
  | { readonly line: string }
  | { readonly view: object };

/** It is done. */
export const DONE: Outcome = {};

/** It is not done, and never will be. */
export function failure({ code, message }: LocalError): Outcome {
  return { code, message };
}

/** @returns undefined: a newer version wrote it */
export function parseOutcome(text: string): Outcome | undefined {
  const outcome = parseObject(text);
  if (!outcome) return undefined;
  const { code, message, line, inbox, outbox, view } = outcome as Record<string, unknown>;
  if (typeof code === "string" && typeof message === "string") return { code, message };
  if (typeof inbox === "number" && typeof outbox === "number") return { inbox, outbox };
  if (typeof view === "object" && view !== null) return { view };
  return typeof line === "string" ? { line } : DONE;
}

/** The error of an outcome; undefined: none. */
export function errorOf(outcome: Outcome): LocalError | undefined {
  if (!("code" in outcome)) return undefined;
  return new LocalError(outcome.code as LocalError["code"], outcome.message);
}
