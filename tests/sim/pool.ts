/** Workers, one for each processor, that run batches of seeds. */
import type { Explored, Share } from "./exhaustive.ts";
import type { Summary } from "./summary.ts";
import type { Batch } from "./worker.ts";

export class Pool implements Disposable {
  #workers: Worker[];
  #idle: Worker[];
  #waiting: ((worker: Worker) => void)[] = [];

  /** @param module The workers' module: one in another tree runs another source. */
  constructor(readonly size: number, module = new URL("worker.ts", import.meta.url)) {
    this.#workers = Array.from({ length: size }, () => new Worker(module, { type: "module" }));
    this.#idle = [...this.#workers];
  }

  /** Runs a batch as soon as a worker is free. */
  play(batch: Batch): Promise<Summary> {
    return this.#ask<Summary>(batch);
  }

  /** The same for a share of the exhaustive model. */
  explore(share: Share): Promise<Explored> {
    return this.#ask<Explored>(share);
  }

  async #ask<Answer>(question: Batch | Share): Promise<Answer> {
    const worker = this.#idle.pop() ??
      await new Promise<Worker>((resolve) => this.#waiting.push(resolve));
    try {
      return await new Promise<Answer>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(`a worker failed: ${event.message}`));
        };
        worker.postMessage(question);
      });
    } finally {
      const next = this.#waiting.shift();
      if (next) next(worker);
      else this.#idle.push(worker);
    }
  }

  [Symbol.dispose](): void {
    for (const worker of this.#workers) worker.terminate();
  }
}
