/** The deploy of an application to a device, as its record has it. */
import { type Offer, shortHash } from "../protocol/firmware_lines.ts";

/** The phase of a deploy. The last six are final. */
export type DeployPhase =
  /** It belongs to a group, and its turn has not come. */
  | "queued"
  /** The device is not connected, or has another application on trial. */
  | "waits"
  /** The device has not answered yet. */
  | "offered"
  /** It is being transferred. */
  | "sending"
  /** The device has all of it. */
  | "checking"
  /** The device runs it, and may fall back to the old one. */
  | "trial"
  /** The device runs it for good. */
  | "kept"
  /** The device refused it: see `reason`. */
  | "refused"
  /** It was tried, and the device fell back to the old one: see `reason`. */
  | "fell_back"
  /** It was given up, or replaced by another deploy. */
  | "given_up"
  /** The device does not support deploys. */
  | "unsupported"
  /** It failed on another device of its group, so it was not started here: see `detail`. */
  | "stopped";

const ENDS: readonly DeployPhase[] = [
  "kept",
  "refused",
  "fell_back",
  "given_up",
  "unsupported",
  "stopped",
];

/** The rollout that a deploy belongs to. */
export interface InRollout {
  /** The same for all its devices. */
  readonly id: number;
  /** How many devices get it at once. */
  readonly step: number;
}

/** A deploy as it is stored. */
export interface DeployState extends Offer {
  readonly phase: DeployPhase;
  /** When it was started, in ms since 1970. */
  readonly begun: number;
  /** Since when it is in this phase, in ms since 1970. */
  readonly since: number;
  /** How often the device was told to start it. */
  readonly starts: number;
  /** Why it was refused, or fell back; "unknown" if the device could not say. */
  readonly reason?: string;
  /** More about the reason, such as an import that the device lacks. */
  readonly detail?: string;
  /** The rollout that it belongs to. */
  readonly rollout?: InRollout;
  /**
   * Hashes of applications from which the device fell back, the latest ones; the device itself remembers at most one.
   */
  readonly fallen?: readonly string[];
}

/** Whether the same bytes fell back on the device, and nobody has asked for another try since. */
export function hasFallen({ fallen = [] }: Pick<DeployState, "fallen">, hash: string): boolean {
  return fallen.includes(shortHash(hash));
}

/** Whether an offer is the one under way: the same bytes, whatever their name, on the same terms. */
export function isOffered(state: DeployState, { hash, older, again }: Offer): boolean {
  return state.hash === hash && state.older === older && !again;
}

/** Whether its phase is final. */
export function isDecided({ phase }: Pick<DeployState, "phase">): boolean {
  return ENDS.includes(phase);
}
