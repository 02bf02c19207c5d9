/** What commands print. */
import { printable } from "../observe/log.ts";

/** The reader of the output has gone: `holdfast tail | head -1`. There is nothing more to do, and nothing wrong. */
export class ReaderGone extends Error {}

const encoder = new TextEncoder();

/** A line that a terminal may be shown, whatever devices have put into it. @throws {ReaderGone} */
export function print(line: string): void {
  const bytes = encoder.encode(`${printable(line)}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (cause) {
    if (cause instanceof Deno.errors.BrokenPipe) throw new ReaderGone("nobody reads", { cause });
    throw cause;
  }
}

/** As JSON, or as a line for people. */
export function tell(json: boolean, value: unknown, text: string): void {
  print(json ? JSON.stringify(value) : text);
}
