/** A fault as an error: one end sends it instead of an answer, and the request at the other end fails with it. */
import { type FaultCode, formatMarked, type Marked } from "./channel_lines.ts";
import { LocalError } from "./errors.ts";

/** A request cannot be answered with a value. Either end may answer with a fault. */
export class FaultError extends LocalError {
  /** As it is printed. */
  override name = "FaultError";

  /** Creates a fault. @param fault Its code. @param words For people. @param channel The channel that answered. */
  constructor(readonly fault: FaultCode, readonly words = "", readonly channel = "") {
    super("FAULT", [channel, fault, words].filter((part) => part !== "").join(": "));
  }
}

/** Formats a fault for a device: without its words if the line would be too long, and not at all if it still is. */
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
