/** One device as its channels show it: what they are, what they should be, and what it is asked. */
import type { Value } from "../protocol/channel_lines.ts";
import type { SetOptions } from "../store/transaction.ts";
import type { Description } from "./description.ts";
import type { RequestOptions } from "../protocol/requests.ts";

/** What a channel should be. */
export interface Desired {
  /** As it was given to `set`, or as the device has changed it. */
  readonly value: Value;
  /** When it was said. */
  readonly at: Date;
  /** Who has said so; "device": it was changed there. */
  readonly by: string;
  /** Whether the device has taken it, and reports the same since. */
  readonly isMet: boolean;
  /** Why the device does not take it, in its words: bad_value, for example. */
  readonly fault?: string;
}

/** When something was so that a device tells. */
export interface Moment {
  /**
   * If the device has stamped it, when it was taken; undefined: nobody knows, as the server does not have the clock of
   * that boot. Not stamped: when it was processed here.
   */
  readonly at: Date | undefined;
  /** Whether the device has said when. */
  readonly isStamped: boolean;
}

/** What a channel is, as far as the device has told. */
export interface Reported extends Moment {
  /** JSON; or text, if it is no JSON. */
  readonly value: Value;
}

/** What runs on a device, as it says when it is started. */
export interface RunningApplication {
  /** 1 to 32 of a-z 0-9 _ - /. */
  readonly name: string;
  /** Any text; of a longer one, the first 256 characters. */
  readonly version: string;
}

/**
 * A device's channels. It stays the same object for as long as the server knows the device. Of a device that another
 * server has, see `Device.server`, its channels are here as they were when `Server.thing` was called last, described as
 * the applications of this server say; `set` and `request` have the same outcome as there.
 */
export interface Thing {
  /** The device's id. */
  readonly id: string;
  /** Whether the device has a connection at present. */
  readonly connected: boolean;
  /** Names of the channels that have a desired or a reported value. */
  readonly channels: string[];
  /** What its application calls itself; undefined: it has not told. */
  readonly application: RunningApplication | undefined;
  /**
   * What its channels are: as the server was told by the application's name and version, else as the applications here
   * say, else as the device itself says; undefined: nobody has said.
   */
  readonly description: Description | undefined;

  /** What a channel should be; undefined: it was never set. */
  desired(channel: string): Desired | undefined;

  /** What a channel is; undefined: the device has not reported it. */
  reported(channel: string): Reported | undefined;

  /**
   * Says what a channel should be, from now on and until somebody says otherwise. The device is told as soon as it is
   * there; of what was set in an outage, the last. It is told again when it has restarted. To say again what is
   * desired already changes nothing, unless the device is otherwise by now.
   *
   * @param value JSON, 1,024 characters at most as text.
   * @returns when it is safe
   * @throws {LocalError} BAD_ARGUMENT, also if it is not what `description` allows; CLOSED, FORGOTTEN
   */
  set(channel: string, value: unknown, options?: SetOptions): Promise<void>;

  /**
   * Asks the device, and waits for its answer. A handler of the same device must not wait for that: the answer is a
   * message, and comes after the one that is handled.
   *
   * @param value JSON, for the device.
   * @returns what it answers; undefined if it answers without a value
   * @throws {LocalError} EXPIRED: it was not asked in time, and never will be; UNANSWERED: it was asked, and has not
   * answered in time; a late answer is told by `server.events`. FAULT: it answers with a fault, see
   * `FaultError`. UNDECIDED, OUTBOX_FULL and others as for `Device.write`
   */
  request(channel: string, value?: unknown, options?: RequestOptions): Promise<Value | undefined>;
}
