/** A bar on a terminal, for runs that take a while; nothing elsewhere. */

const WIDTH = 30;

const encoder = new TextEncoder();

export class Progress implements Disposable {
  #shownAt = 0;
  #shown = false;
  readonly #begun = performance.now();

  constructor(readonly total: number) {}

  show(done: number, note: string): void {
    const now = performance.now();
    if (!Deno.stderr.isTerminal() || now - this.#shownAt < 200) return;
    this.#shownAt = now;
    this.#shown = true;
    const filled = Math.floor(WIDTH * done / this.total);
    const bar = "#".repeat(filled).padEnd(WIDTH, ".");
    const left = Math.ceil((now - this.#begun) / 1000 * (this.total - done) / Math.max(1, done));
    this.#print(`\r\x1b[K[${bar}] ${done}/${this.total} ${note}, ${left} s left`);
  }

  #print(text: string): void {
    Deno.stderr.writeSync(encoder.encode(text));
  }

  [Symbol.dispose](): void {
    if (this.#shown) this.#print("\r\x1b[K");
  }
}
