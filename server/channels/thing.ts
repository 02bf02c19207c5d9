/** One device seen as channels: their reported and desired values, and requests. */
import type { Value } from "../protocol/channel_lines.ts";
import type { SetOptions } from "../store/transaction.ts";
import type { Description } from "./description.ts";
import type { RequestOptions } from "../protocol/requests.ts";

/** The desired value of a channel. */
export interface Desired {
  /** The value given to `set`, or the one to which the device has changed it. */
  readonly value: Value;
  /** When it was set. */
  readonly at: Date;
  /** Who set it; "device": it was changed there. */
  readonly by: string;
  /** Whether the device has accepted it, and has reported the same since. */
  readonly isMet: boolean;
  /** Why the device refuses it, in its words: bad_value, for example. */
  readonly fault?: string;
}

/** When something that a device reports was true. */
export interface Moment {
  /**
   * If the device has stamped it, when it was taken; undefined: unknown, as the server does not have the clock of that
   * boot. If not stamped, when it was processed here.
   */
  readonly at: Date | undefined;
  /** Whether the device has stamped it. */
  readonly isStamped: boolean;
}

/** The value of a channel that the device last reported. */
export interface Reported extends Moment {
  /** JSON; or text, if it is not JSON. */
  readonly value: Value;
}

/** The application that runs on a device, as the device reports it when it starts. */
export interface RunningApplication {
  /** 1 to 32 of a-z 0-9 _ - /. */
  readonly name: string;
  /** Any text; of a longer one, the first 256 characters. */
  readonly version: string;
}

/**
 * A device's channels. It stays the same object for as long as the server knows the device. For a device of another
 * server (see `Device.server`) it shows the channels as they were when `Server.thing` was last called, with the
 * descriptions of this server's applications; `set` and `request` have the same outcome as there.
 */
export interface Thing {
  /** The device's id. */
  readonly id: string;
  /** Whether the device has a connection at present. */
  readonly connected: boolean;
  /** Names of the channels that have a desired or a reported value. */
  readonly channels: string[];
  /** The application that the device reports to run; undefined: it has reported none. */
  readonly application: RunningApplication | undefined;
  /**
   * The description of its channels: the server's for the application's name and version, else that of the
   * applications here, else the device's own; undefined: there is none.
   */
  readonly description: Description | undefined;

  /** The desired value of a channel; undefined: it was never set. */
  desired(channel: string): Desired | undefined;

  /** The reported value of a channel; undefined: the device has not reported it. */
  reported(channel: string): Reported | undefined;

  /**
   * Sets a channel until it is set again. The device gets the value as soon as it is connected; of several values set
   * in an outage, only the last. It gets it again when it has restarted. Setting the same value again changes
   * nothing, unless the device has another one by now.
   *
   * @param value JSON, 1,024 characters at most as text.
   * @returns when it is safe
   * @throws {LocalError} BAD_ARGUMENT, also if it is not what `description` allows; CLOSED, FORGOTTEN
   */
  set(channel: string, value: unknown, options?: SetOptions): Promise<void>;

  /**
   * Sends a request to the device, and waits for its answer. A handler of the same device must not wait for it: the
   * answer is a message that comes after the one being handled.
   *
   * @param value JSON, for the device.
   * @returns what it answers; undefined if it answers without a value
   * @throws {LocalError} EXPIRED: the request was not delivered in time, and never will be; UNANSWERED: it was
   * delivered, but not answered in time; a late answer is reported in `server.events`. FAULT: the device answered
   * with a fault, see `FaultError`. UNDECIDED, OUTBOX_FULL and others as for `Device.write`
   */
  request(channel: string, value?: unknown, options?: RequestOptions): Promise<Value | undefined>;
}
