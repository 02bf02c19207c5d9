/** What the drivers of devices need of their server, and what is built on them. */
import type { Expired } from "../link/outbox.ts";
import type { Deploy, DeployOptions } from "../firmware/deploy.ts";
import type { LocalError, PeerError } from "../protocol/errors.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Clock } from "../transport/platform.ts";
import type { Pace } from "./pace.ts";
import type { Asker } from "./post_office.ts";
import type { Turn } from "./turn.ts";

/** What the drivers of all devices of a server share. */
export interface DeviceHost<Device> {
  readonly turn: Turn;
  readonly clock: Clock;
  /** What other servers call this one; undefined: there are none. */
  readonly server: string | undefined;
  /** Of those who call and are no application's run. */
  readonly pace: Pace;
  /** Failures with one message after which it becomes a dead letter, and whether there are any. */
  readonly attempts: number;
  readonly deadLetters: boolean;
  /** Whether other processes cannot take this one for dead: see `Membership`. */
  readonly isHeld: boolean;
  /** Where another process would say what has become of a message; undefined: there can be none. */
  expect(asker: Asker): { from: string; forget(): void } | undefined;
  /** Runs an application's transaction. It takes the oldest message out of this device's inbox, unless it is left out. */
  transact(use: (tx: Transaction) => Promise<void> | void, consumer?: Device): Promise<void>;
  /** A connection was admitted, and the session has it. The record may be changed. @param ago When it greeted, in ms */
  connected(device: Device, ago: number): void;
  /** A connection has ended, and no newer one has taken its place. */
  disconnected(device: Device, address: string, reason: PeerError): void;
  /** A dead letter is the newest message. The record may be changed. @param number What it was. */
  revived(device: Device, number: number): void;
  readonly reports: DeviceReports<Device>;
  readonly deploys: DeviceDeploys<Device>;
}

/** What is done about new applications for devices. */
export interface DeviceDeploys<Device> {
  /** What a device said last that it runs. */
  running(device: Device): RunningApp | undefined;
  view(device: Device): Deploy | undefined;
  deploy(device: Device, wasm: Uint8Array, options: DeployOptions): Promise<void>;
  giveUp(device: Device): Promise<void>;
  /** Whether it is not to be forgotten to make room for another one. */
  concern(device: Device): boolean;
  /** Nothing more comes of a device. */
  lost(device: Device, why: LocalError): void;
}

/** Is told what becomes of devices' messages. */
export interface DeviceReports<Device> {
  /** Messages were counted. */
  moved(device: Device): void;
  /** A message was withdrawn, as its time was up, and that is safe. */
  expired(device: Device, message: Expired): void;
  /** The inbox is full. @returns whether that was said; if not, it is told again */
  full(device: Device): boolean;
  /** Somebody who watches messages has thrown this, and is told of none any more. */
  watchFailed(device: Device, error: unknown): void;
  /** A message has become a dead letter, or cannot: there are too many. */
  gaveUp(device: Device, text: string, error: unknown, isBuried: boolean): void;
}

/** What is built on the messages of a device. */
export interface Above {
  /** A message with which it fails must not hold up the others for ever. */
  readonly isShared: boolean;
  /** The device is not to be forgotten to make room for another one. */
  readonly isKept: boolean;
  /** All changes so far are safe. The record may be changed. */
  out(): void;
  /** All messages that waited were dropped. The record may be changed. */
  cleared(): void;
  /** Nothing more comes of the device. */
  close(reason: LocalError): void;
}
