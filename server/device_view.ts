/** What a device looks like, as text: for programs that ask, the page, and other servers of a fleet. */
import type { Deploy } from "./firmware/deploy.ts";
import type { MessageCounts } from "./link/counts.ts";
import type { RunningApp } from "./protocol/firmware_lines.ts";
import type { AppState } from "./runtime/application.ts";

/** A deploy, as the API shows it: times in ISO 8601. */
export type DeployView = Omit<Deploy, "begun" | "since"> & {
  readonly begun: string;
  readonly since: string;
};

/** A device, as the API shows it. */
export interface DeviceView {
  readonly id: string;
  /** Where several servers share a store: the one that has it. Not there: no other server has the store, or none has
   * the device. */
  readonly server?: string;
  readonly connected: boolean;
  /** When the present connection began, or the last one ended; ISO 8601. */
  readonly since: string;
  /** Until when it sleeps, in ISO 8601; not there: it does not. */
  readonly asleepUntil?: string;
  /** How often it has connected, ever. */
  readonly connects: number;
  /** What it said about itself when it connected last. */
  readonly metadata: string;
  /** Messages from it that are not processed yet. */
  readonly inbox: number;
  /** Messages to it that it has not acknowledged. */
  readonly outbox: number;
  /** Of the server's application for it. */
  readonly app: AppState;
  readonly deadLetters: number;
  /** What it said that it runs, if it did. */
  readonly runs?: RunningApp;
  /** How the last deploy to it is, if there was one. */
  readonly deploy?: DeployView;
  /** Messages since the server was started. */
  readonly counts: Readonly<MessageCounts>;
  /** From sending a message to its ack, in ms: the last one on this connection. Undefined: no message was acknowledged on it. */
  readonly roundTrip?: number;
}
