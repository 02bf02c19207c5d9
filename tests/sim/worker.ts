/** Runs batches of seeds for the pool. */
import { exploreShare, type Share } from "./exhaustive.ts";
import { playFleetSeed, playSeed } from "./run.ts";
import { addOutcome, emptySummary, type Summary } from "./summary.ts";

/** A worker's task: to run all these seeds, or until a violation. */
export interface Batch {
  from: number;
  count: number;
  stops: boolean;
  /** Whether they are seeds of fleets. */
  fleet: boolean;
}

declare const self: {
  onmessage: (message: MessageEvent<Batch | Share>) => void;
  postMessage(message: unknown): void;
};

self.onmessage = async ({ data }) => {
  self.postMessage(await ("variant" in data ? exploreShare(data) : playBatch(data)));
};

async function playBatch({ from, count, stops, fleet }: Batch): Promise<Summary> {
  const summary = emptySummary();
  for (let seed = from; seed < from + count; seed++) {
    addOutcome(summary, seed, await (fleet ? playFleetSeed : playSeed)(seed));
    if (stops && summary.found.length > 0) break;
  }
  return summary;
}
