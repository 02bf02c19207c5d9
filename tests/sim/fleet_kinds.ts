/** Plans of fleet worlds, and the faults that can happen there. */
import { SERVER } from "./addresses.ts";

/** The faults of a fleet, besides those between a device and its server. */
export const FLEET_FAULTS = [
  "a device moves",
  "a device moves",
  "a device moves",
  "a device moves",
  "a device is away for long",
  "a server is out of reach",
  "a server is killed",
  "a server is closed",
  "a server sends its devices away",
  "a server is paused",
  "a server is paused, and its clock stands",
  "a server is cut off from the store",
  "the store's answers are lost",
  "the store fails",
  "the store is slow",
  "applications' transactions are slow",
] as const;

/** In some worlds also faults that are aimed at one moment. */
export const STRIKES = [
  "a device that greets goes elsewhere",
  "a device that was taken is away for long",
  "a device moves and comes back, and is away for long",
  "it is not told that a device was taken",
  "a device forgets what may expire, and greets another server",
  "the store is slow, and then a server is cut off from it",
] as const;

/** An operator's orders at any server. They weaken the promises, so they have worlds of their own. */
export const ORDERS = ["any server clears a device", "any server forgets a device"] as const;

export type FleetFault =
  | typeof FLEET_FAULTS[number]
  | typeof STRIKES[number]
  | typeof ORDERS[number];

export interface FleetPlan {
  servers: number;
  /** Time without a beat after which a server is dead, in ms. */
  lease: number;
  faults: FleetFault[];
}

/** The servers' addresses. */
export const ADDRESSES = [SERVER, "10.0.1.2", "10.0.1.3"];
