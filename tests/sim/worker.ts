/** Plays batches of seeds for the pool. */
import { exploreShare, type Share } from "./exhaustive.ts";
import { MUTATIONS } from "./mutations.ts";
import { playSeed } from "./run.ts";
import { addOutcome, emptySummary } from "./summary.ts";

/** What a worker is asked for: seeds from the first on, all of them, or until a violation. */
export interface Batch {
  from: number;
  count: number;
  stops: boolean;
  /** Name of the bug that is switched on meanwhile. */
  mutation?: string;
  /** The core with a bug in it. */
  core?: Uint8Array<ArrayBuffer>;
}

declare const self: {
  onmessage: (message: MessageEvent<Batch | Share>) => void;
  postMessage(message: unknown): void;
};

self.onmessage = ({ data }) =>
  self.postMessage("variant" in data ? exploreShare(data) : playBatch(data));

function playBatch({ from, count, stops, mutation, core }: Batch) {
  const module = core && new WebAssembly.Module(core);
  const undo = MUTATIONS.find(({ name }) => name === mutation)?.apply?.();
  const summary = emptySummary();
  try {
    for (let seed = from; seed < from + count; seed++) {
      addOutcome(summary, seed, playSeed(seed, { module }));
      if (stops && summary.found.length > 0) break;
    }
  } finally {
    undo?.();
  }
  return summary;
}
