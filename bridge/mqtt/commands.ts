/** Carries out messages from the broker that are for devices. */
import type { Transaction } from "../../server/mod.ts";
import { formatMarked, isName, NAME_RULE, textOf } from "../../server/protocol/channel_lines.ts";
import type { LocalError } from "../../server/protocol/errors.ts";
import type { OwnTopics } from "./own_topics.ts";
import { Refusal, timeOf, valueIn } from "./payload.ts";
import type { Requests } from "./requests.ts";
import type { Delivery } from "./tasks.ts";
import type { Topics } from "./topics.ts";

/** What commands need from the bridge. */
export interface CommandsHost {
  readonly topics: Topics;
  readonly requests: Requests;
  readonly own: OwnTopics;
  /** As `Clock.now`. */
  now(): number;
  /** How long a command may wait for the device if it has no expiry, in ms. */
  readonly patience: number;
}

/**
 * Carries out a message, as a part of a transaction.
 *
 * @param without Devices that cannot accept it, and why, if it is for several.
 * @throws {HoldfastError} it cannot be done
 */
export function perform(
  delivery: Delivery,
  tx: Transaction,
  without: ReadonlyMap<string, LocalError>,
  host: CommandsHost,
): void {
  const target = host.topics.parse(delivery.topic);
  if (!target && host.own.isOn) return host.own.deliver(delivery, tx, without);
  if (!target) throw new Refusal("UNKNOWN_TOPIC", "it is not a topic of the bridge");
  const { command, device, channel } = target;
  if (delivery.isRetained) {
    const why = "it must not be retained: the broker would send it again on every connection";
    throw new Refusal(RETAINED[command], why);
  }
  if (command === "request") return host.requests.take(target, delivery, tx);
  const time = timeOf(delivery, host.now());
  const value = valueIn(delivery);
  if (!isName(channel)) throw new Refusal("BAD_VALUE", `this is not a channel: ${NAME_RULE}`);
  if (command === "set") {
    if (value === undefined) throw new Refusal("BAD_VALUE", "the payload is empty");
    return tx.set(device, channel, value, { by: "mqtt" });
  }
  const text = value === undefined ? {} : { value: textOf(value) };
  const line = formatMarked({ mark: "event", name: channel, ...text });
  tx.write(device, line, { expires: time ?? host.patience });
}

const RETAINED = {
  set: "RETAINED_SET",
  request: "RETAINED_REQUEST",
  do: "RETAINED_DO",
} as const;
