/** Deploys and rollouts: their options and their states. */
import type { DeployPhase } from "./deployment.ts";

/** Options of a deploy. */
export interface DeployOptions {
  /** Of the application: 1 to 32 letters, digits, `_`, `-`, `.`. */
  name: string;
  /** Of the application, 0 to 4,294,967,295. A device refuses one that is less than that of the one which it runs. */
  version: number;
  /** Also if it is older than the one that runs. Default false. */
  older?: boolean;
  /** Also if the same bytes fell back on this device before. Default false. */
  again?: boolean;
  /** "accepted": until the server has it in its store; "kept": until the device runs it for good. Default "kept". */
  until?: "accepted" | "kept";
  /** Stops waiting. The deploy goes on: `Device.giveUp` ends it. */
  signal?: AbortSignal;
  /** Is told how far it is: at each change of its phase, and when more of it has arrived. */
  onProgress?: (deploy: Deploy) => void;
}

/** Options of a deploy to a group of devices. */
export interface RolloutOptions
  extends Pick<DeployOptions, "name" | "version" | "older" | "again"> {
  /** How many devices are given it at once, 1 to 1000. Default 1. */
  step?: number;
}

/** One application for a group of devices. */
export interface Rollout {
  /** Names it: the second since 1970 in which it was begun, then six random digits. Larger than those known by then. */
  readonly id: number;
  /** Of the application. */
  readonly name: string;
  /** Of the application. */
  readonly version: number;
  /** As that of a deploy. */
  readonly hash: string;
  /** How many devices are given it at once. */
  readonly step: number;
  /** When it was begun. */
  readonly begun: Date;
  /** "runs": there are devices that have still to get it; "stopped": one has not taken it, and no further one is begun;
   * "done": every device has it, or its deploy was given up. */
  readonly state: "runs" | "stopped" | "done";
  /** Ids of the devices, in the order in which they get it if they have a link. Their deploys are their own. */
  readonly devices: readonly string[];
  /** Which device has not taken it and why, for people; only if it is stopped. */
  readonly why?: string;
}

/** A deploy, as others see it. */
export interface Deploy {
  /** Of the application. */
  readonly name: string;
  /** Of the application. */
  readonly version: number;
  /** The first 8 characters of the .wasm's SHA-256, in base64url. */
  readonly hash: string;
  /** How it is. */
  readonly phase: DeployPhase;
  /** Bytes of the .wasm. */
  readonly size: number;
  /** How many of them the device has. */
  readonly arrived: number;
  /** When it was begun. */
  readonly begun: Date;
  /** Since when it is in this phase. */
  readonly since: Date;
  /** The group with which the device is given it: `Rollout.id`. */
  readonly rollout?: number;
  /** How many of that group are given it at once. */
  readonly step?: number;
  /** Why it was refused or fell back, as `FIRMWARE.md` has it; "unknown" if the device could not say. */
  readonly reason?: string;
  /** What it needs and the device has not, for example; or, where it was stopped, which device is the reason. */
  readonly detail?: string;
}
