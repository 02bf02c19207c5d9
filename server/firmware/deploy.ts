/** Deploys and rollouts: their options and their states. */
import type { DeployPhase } from "./deploy_state.ts";

/** Options of a deploy. */
export interface DeployOptions {
  /** Name of the application: 1 to 32 letters, digits, `_`, `-`, `.`. */
  name: string;
  /** Version of the application, 0 to 4,294,967,295. A device refuses a lower version than it runs. */
  version: number;
  /** Deploys it even if its version is lower than the running one's. Default false. */
  older?: boolean;
  /** Deploys it even if the same bytes fell back on this device before. Default false. */
  again?: boolean;
  /**
   * How long to wait: "accepted": until the server has it in its store; "kept": until the device has kept it. Default
   * "kept".
   */
  until?: "accepted" | "kept";
  /** Stops waiting. The deploy continues: `Device.giveUp` ends it. */
  signal?: AbortSignal;
  /** Called with the progress: at each change of phase, and when more of it has arrived. */
  onProgress?: (deploy: Deploy) => void;
}

/** Options of a deploy to a group of devices. */
export interface RolloutOptions
  extends Pick<DeployOptions, "name" | "version" | "older" | "again"> {
  /** How many devices get it at once, 1 to 1000. Default 1. */
  step?: number;
}

/** One application for a group of devices. */
export interface Rollout {
  /** Its id: the second since 1970 in which it was started, then six random digits. Greater than all ids known then. */
  readonly id: number;
  /** Name of the application. */
  readonly name: string;
  /** Version of the application. */
  readonly version: number;
  /** As `Deploy.hash`. */
  readonly hash: string;
  /** How many devices get it at once. */
  readonly step: number;
  /** When it was started. */
  readonly begun: Date;
  /** "runs": some devices have yet to get it; "stopped": it failed on one, and no further deploy is started; "done":
   * every device has it, or its deploy was given up. */
  readonly state: "runs" | "stopped" | "done";
  /** Ids of the devices, in the order in which those with a link get it. Each has its own `Device.deployment`. */
  readonly devices: readonly string[];
  /** On which device it failed and why, for people; only if it is stopped. */
  readonly why?: string;
}

/** The public state of a deploy. */
export interface Deploy {
  /** Name of the application. */
  readonly name: string;
  /** Version of the application. */
  readonly version: number;
  /** The first 8 characters of the .wasm's SHA-256, in base64url. */
  readonly hash: string;
  /** How far the deploy is, or how it has ended. */
  readonly phase: DeployPhase;
  /** Bytes of the .wasm. */
  readonly size: number;
  /** How many bytes of the .wasm the device has. */
  readonly arrived: number;
  /** When it was started. */
  readonly begun: Date;
  /** Since when it is in this phase. */
  readonly since: Date;
  /** The rollout that it belongs to: `Rollout.id`. */
  readonly rollout?: number;
  /** How many devices of that group get it at once. */
  readonly step?: number;
  /** Why it was refused or fell back, as `FIRMWARE.md` has it; "unknown" if the device could not say. */
  readonly reason?: string;
  /**
   * More about the reason, such as an import that the device lacks; or, if it was stopped, the device that caused it.
   */
  readonly detail?: string;
}
