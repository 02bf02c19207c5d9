/** The kinds of faults; `faults.ts` causes them. */
import { PATH_FAULTS } from "../../bridge/testing/path_faults.ts";

export const FAULTS = [
  ...PATH_FAULTS,
  "device stalls",
  "server stalls",
  "device's clock jumps",
  "date set",
  "device boots, memory kept",
  "device boots, memory lost",
  "device boots, an ack on its way",
  "device sleeps",
  "device oversleeps",
  "device killed in a commit",
  "device's memory full",
  "death before the application acts",
  "death before the position is kept",
  "server killed",
  "server killed during a commit",
  "server closed",
  "server out of files",
  "another server takes a device",
  "operator clears a device",
  "operator forgets a device",
  "store full",
  "store full, and many come and go",
  "store slow",
  "store lost",
  "old copy of the store",
  "device's application busy",
  "server's application busy",
  "stranger",
  "crowd",
  "key changed",
  "impostor",
  "hostile path",
] as const;

/** Faults that are aimed at one moment, in worlds of their own: `moments.ts`. */
export const MOMENTS = [
  "device boots, its answer on the way",
  "server killed amid long transactions",
  "store slow, a device is not read",
  "death after an outage in which the application was busy",
] as const;

export type Moment = typeof MOMENTS[number];

export type FaultKind = typeof FAULTS[number] | Moment;
