/** What the drivers of devices need from their server, and the layer built on them. */
import type { Expired } from "../link/outbox.ts";
import type { Deploy, DeployOptions } from "../firmware/deploy.ts";
import type { LocalError, PeerError } from "../protocol/errors.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";
import type { Transaction } from "../store/transaction.ts";
import type { Clock } from "../transport/platform.ts";
import type { Pace } from "./pace.ts";
import type { Asker } from "./orders.ts";
import type { Turn } from "./turn.ts";

/** What the drivers of all devices of a server share. */
export interface DeviceHost<Device> {
  readonly turn: Turn;
  readonly clock: Clock;
  /** This server's name for other servers; undefined: there are no others. */
  readonly server: string | undefined;
  /** The pace of callers outside of applications. */
  readonly pace: Pace;
  /** Failures with one message after which it becomes a dead letter; and whether dead letters are enabled. */
  readonly attempts: number;
  readonly deadLetters: boolean;
  /** Whether no other process can consider this one dead: see `Membership`. */
  readonly isHeld: boolean;
  /** Where another process would report the outcome of a message; undefined: there are no others. */
  expect(asker: Asker): { from: string; forget(): void } | undefined;
  /** Runs an application's transaction. If `consumer` is given, it removes the oldest message from its inbox. */
  transact(use: (tx: Transaction) => Promise<void> | void, consumer?: Device): Promise<void>;
  /**
   * A connection was admitted, and the session has it. Called when records may be changed. @param ago How long ago it
   * greeted, in ms
   */
  connected(device: Device, ago: number): void;
  /** A connection has ended, and no newer one has replaced it. */
  disconnected(device: Device, address: string, reason: PeerError): void;
  /** A dead letter has become the newest message. Called when records may be changed. @param number Its old number. */
  revived(device: Device, number: number): void;
  readonly reports: DeviceReports<Device>;
  readonly deploys: DeviceDeploys<Device>;
}

/** Deploys to devices. */
export interface DeviceDeploys<Device> {
  /** The application that a device said it runs. */
  running(device: Device): RunningApp | undefined;
  view(device: Device): Deploy | undefined;
  deploy(device: Device, wasm: Uint8Array, options: DeployOptions): Promise<void>;
  giveUp(device: Device): Promise<void>;
  /** Whether it must not be forgotten to make room for another one. */
  concern(device: Device): boolean;
  /** A device has left memory or was closed. */
  lost(device: Device, why: LocalError): void;
}

/** Receives reports about devices' messages. */
export interface DeviceReports<Device> {
  /** Messages were counted. */
  moved(device: Device): void;
  /** A message was withdrawn at its deadline, and that is safe. */
  expired(device: Device, message: Expired): void;
  /** The inbox is full. @returns whether that was reported; if not, this is called again */
  full(device: Device): boolean;
  /** A watcher of messages has thrown this error, and was removed. */
  watchFailed(device: Device, error: unknown): void;
  /** A message has become a dead letter, or cannot because there are too many. */
  gaveUp(device: Device, text: string, error: unknown, isDeadLetter: boolean): void;
}

/** The layer built on the messages of a device. */
export interface Above {
  /** Whether a message with which it fails must not hold up the others for ever. */
  readonly isShared: boolean;
  /** Whether the device must not be forgotten to make room for another one. */
  readonly isKept: boolean;
  /** All changes so far are safe. Called when records may be changed. */
  out(): void;
  /** All queued messages were dropped. Called when records may be changed. */
  cleared(): void;
  /** The device has left memory or was closed. */
  close(reason: LocalError): void;
}
