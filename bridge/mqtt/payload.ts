/** What the payload of a message says, and for how long. */
import { HoldfastError } from "../../server/protocol/errors.ts";
import { type Value, valueOf } from "../../server/protocol/channel_lines.ts";
import { LONGEST_TIMER } from "../../server/transport/platform.ts";
import type { Delivery } from "./tasks.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

/** What can be wrong with a message. */
export type RefusalCode =
  | "BAD_RESPONSE_TOPIC" // no answer may go there
  | "BAD_VALUE"
  | "BROKER_BEHIND" // so much waits for the broker that nothing more is asked that needs an answer
  | "EXPIRED" // it expired before it could be done
  | "NOT_ALLOWED" // the operator has not allowed a topic
  | "RETAINED_DO"
  | "RETAINED_REQUEST"
  | "RETAINED_SET"
  | "TOO_MANY_REQUESTS" // are under way
  | "UNKNOWN_DEVICE"
  | "UNKNOWN_TOPIC";

/** What a message wants cannot be done. */
export class Refusal extends HoldfastError<RefusalCode> {}

/** Its text. @throws {Refusal} BAD_VALUE */
export function textIn({ payload, isCut }: Delivery): string {
  if (isCut) throw new Refusal("BAD_VALUE", "the payload is too long");
  try {
    return decoder.decode(payload);
  } catch (cause) {
    throw new Refusal("BAD_VALUE", "the payload is not UTF-8", { cause });
  }
}

/** Its value; undefined if it is empty. @throws {Refusal} BAD_VALUE */
export function valueIn(delivery: Delivery): Value | undefined {
  const text = textIn(delivery);
  return text === "" ? undefined : valueOf(text);
}

/** For how long it may still wait, in ms; undefined if it does not say. @throws {Refusal} EXPIRED */
export function timeOf({ expiresAt }: Delivery, now: number): number | undefined {
  if (expiresAt === undefined) return undefined;
  if (expiresAt <= now) throw new Refusal("EXPIRED", "it expired before it could be done");
  return Math.min(LONGEST_TIMER, Math.ceil(expiresAt - now));
}
