/** What the process prints while a server runs. */
import * as nodeConsole from "node:console";
import type { Events } from "../observe/events.ts";
import { Output } from "../observe/output.ts";
import { nodePlatform } from "../transport/node.ts";

/** Deno's types of node:console have it, those of @types/node, which npm packages bring along, have not. */
const { Console } = nodeConsole as unknown as {
  Console: new (options: { stdout: object; stderr: object; colorMode: boolean }) => typeof console;
};

/** How long the end waits for what was not printed yet, in ms. */
const PATIENCE = 1000;

/** The process's stdout and stderr, so that nothing that happens to them stops a server, or ends it. */
export class Printing {
  readonly #stderr = new Output(Deno.stderr, nodePlatform, {
    lost: (lines, why) => {
      this.#warn(`stderr: ${missing(lines, why)}`);
      this.#tellOfStdout();
    },
  });
  readonly #stdout = new Output(Deno.stdout, nodePlatform, {
    losing: (why) => {
      if (!this.#stderr.isLosing) this.#warn(`stdout: lines are lost: ${because(why)}`);
    },
    lost: (lines, why) => {
      this.#missing += lines;
      this.#why = why;
      this.#tellOfStdout();
    },
  });
  #missing = 0; // lost lines of stdout that were not reported yet
  #why: string | undefined;
  #events: Events | undefined;

  /** Prints a line of the log. */
  readonly log = (line: string): void => this.#stderr.write(`${line}\n`);

  /** Where lost lines are reported. */
  tell(events: Events): void {
    this.#events = events;
  }

  /**
   * Takes over `console`, with which applications print: Deno's own waits until the system has taken everything, and
   * throws if the disk is full. Some keep its functions: so it must be done before they are loaded.
   */
  takeConsole(): void {
    /** As much of a stream as a console uses. */
    const stream = (output: Output) => ({
      write: (text: string) => (output.write(text), true),
      on() {},
      once() {},
      removeListener() {},
      listenerCount: () => 0,
    });
    globalThis.console = new Console({
      stdout: stream(this.#stdout),
      stderr: stream(this.#stderr),
      colorMode: !Deno.noColor && Deno.stdout.isTerminal(),
    });
  }

  /** Waits until all is printed, but not for long. */
  async flush(): Promise<void> {
    await Promise.all([this.#stderr.flush(PATIENCE), this.#stdout.flush(PATIENCE)]);
  }

  /** The log cannot tell of itself that it takes nothing, nor of stdout as long as it takes nothing. */
  #warn(message: string): void {
    this.#events?.emit({ event: "warning", code: "OUTPUT_LOST", message });
  }

  #tellOfStdout(): void {
    if (this.#missing === 0 || this.#stderr.isLosing) return;
    this.#warn(`stdout: ${missing(this.#missing, this.#why)}`);
    this.#missing = 0;
  }
}

function missing(lines: number, why: string | undefined): string {
  return `${lines} lines were lost: ${because(why)}`;
}

function because(why: string | undefined): string {
  return why ?? "its reader is too slow";
}
