/** Progress of long runs: a bar on a terminal, elsewhere a line every minute. Both on stderr. */

const WIDTH = 30;

const encoder = new TextEncoder();

export class Progress implements Disposable {
  #shownAt = performance.now();
  #shown = false;
  readonly #begun = performance.now();

  constructor(readonly total: number) {}

  show(done: number, note: string): void {
    const now = performance.now();
    const isTerminal = Deno.stderr.isTerminal();
    if (now - this.#shownAt < (isTerminal ? 200 : 60_000)) return;
    this.#shownAt = now;
    const left = Math.ceil((now - this.#begun) / 1000 * (this.total - done) / Math.max(1, done));
    const line = `${done}/${this.total} ${note}, ${left} s left`;
    if (!isTerminal) return this.#print(`${line}\n`);
    this.#shown = true;
    const filled = Math.floor(WIDTH * done / this.total);
    this.#print(`\r\x1b[K[${"#".repeat(filled).padEnd(WIDTH, ".")}] ${line}`);
  }

  /** Removes the bar, so that a line can be printed in its place. */
  clear(): void {
    if (!this.#shown) return;
    this.#print("\r\x1b[K");
    this.#shown = false;
    this.#shownAt = 0;
  }

  #print(text: string): void {
    Deno.stderr.writeSync(encoder.encode(text));
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
