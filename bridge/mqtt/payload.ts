/** Reads the payload and the expiry of a message. */
import { HoldfastError } from "../../server/protocol/errors.ts";
import { type Value, valueOf } from "../../server/protocol/channel_lines.ts";
import { LONGEST_TIMER } from "../../server/transport/platform.ts";
import type { Delivery } from "./tasks.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Codes for what can be wrong with a message. */
export type RefusalCode =
  | "BAD_RESPONSE_TOPIC" // an answer may not go there
  | "BAD_VALUE"
  | "BROKER_BEHIND" // the queue to the broker is full, so there is no room for an answer
  | "EXPIRED" // it expired before it could be carried out
  | "NOT_ALLOWED" // the operator has not allowed a topic
  | "RETAINED_DO"
  | "RETAINED_REQUEST"
  | "RETAINED_SET"
  | "TOO_MANY_REQUESTS" // are under way
  | "UNKNOWN_DEVICE"
  | "UNKNOWN_TOPIC";

/** Thrown if a message cannot be carried out. */
export class Refusal extends HoldfastError<RefusalCode> {}

/** A message's text. @throws {Refusal} BAD_VALUE */
export function textIn({ payload, isCut }: Delivery): string {
  if (isCut) throw new Refusal("BAD_VALUE", "the payload is too long");
  try {
    return decoder.decode(payload);
  } catch (cause) {
    throw new Refusal("BAD_VALUE", "the payload is not UTF-8", { cause });
  }
}

/** A message's value; undefined if it is empty. @throws {Refusal} BAD_VALUE */
export function valueIn(delivery: Delivery): Value | undefined {
  const text = textIn(delivery);
  return text === "" ? undefined : valueOf(text);
}

/** How long a message may still wait, in ms; undefined if it has no expiry. @throws {Refusal} EXPIRED */
export function timeOf({ expiresAt }: Delivery, now: number): number | undefined {
  if (expiresAt === undefined) return undefined;
  if (expiresAt <= now) throw new Refusal("EXPIRED", "it expired before it could be carried out");
  return Math.min(LONGEST_TIMER, Math.ceil(expiresAt - now));
}
