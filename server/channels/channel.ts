/** What an application declares about its channels. */
import type { Value } from "../protocol/channel_lines.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Description } from "./description.ts";
import type { LocalRule } from "./states.ts";
import type { Moment, Thing } from "./thing.ts";

/** What a handler receives besides the value. */
export interface HandlerContext extends Moment {
  /** The device. */
  readonly thing: Thing;
  /** Name of the channel; "" for a plain line. */
  readonly channel: string;
  /** Its effects become safe together with the removal of the message. */
  readonly tx: Transaction;
}

/**
 * Handles a value from a device. If it throws, the message fails: its transaction is rolled back, and it comes
 * again, as with `Device.consume`.
 */
export type Handler = (value: Value | undefined, context: HandlerContext) => Promise<void> | void;

/** One channel. */
export interface Channel {
  /** Takes what the device reports. */
  report?: Handler;
  /** Takes an event. */
  event?: Handler;
  /**
   * Answers a request of the device with what it returns. If it throws a `FaultError`, that is the answer, and
   * nothing else of its transaction happens.
   */
  ask?: (value: Value | undefined, context: HandlerContext) => Promise<unknown> | unknown;
  /** Whether a change at the device itself "wins" over the desired value (default) or "loses". */
  local?: LocalRule;
}

/**
 * Receives what all devices report on all channels, whichever application handles them: for a bridge to another system.
 * It is called after the applications' handlers, in the same transaction; if it throws, the message fails as with
 * theirs. While it waits, so do the message and those behind it from that device.
 */
export interface Observer {
  /** Takes a channel's value: the device has reported it, or has answered a setting with it. */
  report?: Handler;
  /** Takes an event. */
  event?: Handler;
  /**
   * Whether a further message of a device may share the transaction of the previous one, to save commits; called
   * before each. `thing` then shows the state before the first of them. Default: each message has its own
   * transaction.
   */
  shares?: () => boolean;
}

/** Channels by name. A function handles reports and events. */
export type Channels = Record<string, Channel | Handler>;

/** Further options of an application of channels. */
export interface ChannelsOptions {
  /** Takes plain lines. Default: each is processed and reported as an event, "plain_line". */
  line?: (text: string, context: HandlerContext) => Promise<void> | void;
  /** Handles all channels that no application of the device names. Default: they are answered with "unknown". */
  others?: Channel;
  /** Describes the channels, unless the server has a description of the application that runs on the device. */
  description?: Description;
}

/** What such an application needs from a server; `Server` implements it. */
export interface ThingSource {
  /** See `Server.thing`. */
  thing(id: string): Promise<Thing>;
}
