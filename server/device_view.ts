/** A device as JSON: for API clients, the page, and other servers of a fleet. */
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
  /** If several servers share a store: the one that has the device. Absent: no other server uses the store, or none
   * has the device. */
  readonly server?: string;
  readonly connected: boolean;
  /** When the present connection began, or the last one ended; ISO 8601. */
  readonly since: string;
  /** Until when it sleeps, in ISO 8601; absent: it does not sleep. */
  readonly asleepUntil?: string;
  /** How often it has connected, ever. */
  readonly connects: number;
  /** What it said about itself when it last connected. */
  readonly metadata: string;
  /** Messages from it that are not processed yet. */
  readonly inbox: number;
  /** Messages to it that it has not acknowledged. */
  readonly outbox: number;
  /** The state of the server's application for it. */
  readonly app: AppState;
  readonly deadLetters: number;
  /** The application that it says it runs; absent: it has said none. */
  readonly runs?: RunningApp;
  /** The last deploy to it, if there was one. */
  readonly deploy?: DeployView;
  /** Messages since the server was started. */
  readonly counts: Readonly<MessageCounts>;
  /**
   * Time from sending a message to its ack, in ms: the last one on this connection. Undefined: none was acknowledged on
   * it.
   */
  readonly roundTrip?: number;
}
