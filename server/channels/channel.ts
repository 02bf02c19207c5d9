/** What an application says of its channels. */
import type { Value } from "../protocol/channel_lines.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Description } from "./description.ts";
import type { LocalRule } from "./states.ts";
import type { Moment, Thing } from "./thing.ts";

/** What a handler gets besides the value. */
export interface Told extends Moment {
  /** The device. */
  readonly thing: Thing;
  /** Name of the channel; "" for a plain line. */
  readonly channel: string;
  /** What is done here becomes safe together with the fact that the message is processed. */
  readonly tx: Transaction;
}

/**
 * Takes a value that a device has told. What it throws fails the message: nothing of its transaction happens, and it
 * comes again, as with `Device.consume`.
 */
export type Handler = (value: Value | undefined, told: Told) => Promise<void> | void;

/** One channel. */
export interface Channel {
  /** Takes what the device reports. */
  report?: Handler;
  /** Takes an event. */
  event?: Handler;
  /**
   * Answers a request of the device with what it returns. A `FaultError` that it throws is the answer, and nothing
   * else of its transaction happens.
   */
  ask?: (value: Value | undefined, told: Told) => Promise<unknown> | unknown;
  /** What a change at the device itself comes to, against what was desired: "wins" (default) or "loses". */
  local?: LocalRule;
}

/**
 * Is told of what all devices tell of all channels, whichever application takes them: for a bridge to somewhere else. It
 * is called after the applications' handlers, in the same transaction, and what it throws fails the message like theirs.
 * As long as it waits the message waits, and what comes behind it from that device.
 */
export interface Observer {
  /** Takes what a channel is: the device has reported it, or has answered a setting with it. */
  report?: Handler;
  /** Takes an event. */
  event?: Handler;
  /**
   * Asked before a further message of a device is told in the transaction of the one before, as each commit costs.
   * `thing` is then as it was before the first of them. Default: each message has a transaction of its own.
   */
  shares?: () => boolean;
}

/** Channels by their names. A function takes reports and events. */
export type Channels = Record<string, Channel | Handler>;

/** Further options of an application of channels. */
export interface ChannelsOptions {
  /** Takes plain lines. Default: they are processed, and told as events, "plain_line". */
  line?: (text: string, told: Told) => Promise<void> | void;
  /** All channels that no application of the device has by name. Default: they are answered with "unknown". */
  others?: Channel;
  /** What the channels are, if the server was not told for the application that runs on the device. */
  description?: Description;
}

/** What such an application needs of a server: `Server` has it. */
export interface ThingSource {
  /** See `Server.thing`. */
  thing(id: string): Promise<Thing>;
}
