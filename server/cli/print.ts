/** Prints the output of commands. */
import { printable } from "../observe/log.ts";

/** The reader of the output has gone, as in `holdfast tail | head -1`. The command ends; this is not a failure. */
export class ReaderGone extends Error {}

const encoder = new TextEncoder();

/** Prints a line in a form that is safe for a terminal, whatever devices have put into it. @throws {ReaderGone} */
export function print(line: string): void {
  const bytes = encoder.encode(`${printable(line)}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (cause) {
    if (cause instanceof Deno.errors.BrokenPipe) throw new ReaderGone("nobody reads", { cause });
    throw cause;
  }
}

/** Prints a value as JSON, or as a line for people. */
export function tell(json: boolean, value: unknown, text: string): void {
  print(json ? JSON.stringify(value) : text);
}
