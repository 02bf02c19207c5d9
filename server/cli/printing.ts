/** The output of the process while a server runs. */
import * as nodeConsole from "node:console";
import type { Events } from "../observe/events.ts";
import { Output } from "../observe/output.ts";
import { nodePlatform } from "../transport/node.ts";

/** Deno's types of node:console have it; those of @types/node, which npm packages bring along, do not. */
const { Console } = nodeConsole as unknown as {
  Console: new (options: { stdout: object; stderr: object; colorMode: boolean }) => typeof console;
};

/** How long the process waits at its end for output to drain, in ms. */
const PATIENCE = 1000;

/** The process's stdout and stderr, written so that a blocked or failing stream neither stops nor ends a server. */
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
  #missing = 0; // lost lines of stdout that are not reported yet
  #why: string | undefined;
  #events: Events | undefined;

  /** Prints a line of the log. */
  readonly log = (line: string): void => this.#stderr.write(`${line}\n`);

  /** Sets where lost lines are reported. */
  tell(events: Events): void {
    this.#events = events;
  }

  /**
   * Replaces `console`, with which applications print: Deno's own blocks until the system has taken everything, and
   * throws if the disk is full. It must be called before applications are loaded, as some keep its functions.
   */
  takeConsole(): void {
    /** The part of a stream that a console uses. */
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

  /** Waits until everything is printed, at most PATIENCE ms. */
  async flush(): Promise<void> {
    await Promise.all([this.#stderr.flush(PATIENCE), this.#stdout.flush(PATIENCE)]);
  }

  /** While stderr takes nothing, the log can report neither this nor lost lines of stdout. */
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
