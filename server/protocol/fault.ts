/** A fault, as an error: what one end says in place of an answer, and the other end's asker is told. */
import { type FaultCode, formatMarked, type Marked } from "./channel_lines.ts";
import { LocalError } from "./errors.ts";

/** A request that cannot be answered with a value: the device says so, or an application to the device. */
export class FaultError extends LocalError {
  /** As it is printed. */
  override name = "FaultError";

  /** Says what it is. @param fault Its code. @param words For people. @param channel Who says so. */
  constructor(readonly fault: FaultCode, readonly words = "", readonly channel = "") {
    super("FAULT", [channel, fault, words].filter((part) => part !== "").join(": "));
  }
}

/** Says a fault to a device: without its words to one that takes short lines only, and not at all if that is too long. */
export function sayFault(
  write: (line: string) => void,
  fault: Extract<Marked, { mark: "fault" }>,
): void {
  try {
    write(formatMarked(fault));
  } catch (error) {
    if (!(error instanceof LocalError && error.code === "BAD_TEXT")) throw error;
    const { words, ...brief } = fault;
    if (words !== undefined) sayFault(write, brief);
  }
}
