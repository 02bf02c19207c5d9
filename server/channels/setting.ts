/** Checks the values that channels can be set to. */
import { checkChannel, textOf } from "../protocol/channel_lines.ts";
import { LocalError } from "../protocol/errors.ts";
import { type Description, wrongSetting } from "./description.ts";
import { LONGEST_VALUE } from "./states.ts";

/**
 * The text of a setting.
 *
 * @param by Who sets it.
 * @throws {LocalError} BAD_ARGUMENT
 */
export function checkSetting(
  channel: string,
  value: unknown,
  by: string,
  description: Description | undefined,
): string {
  checkChannel(channel);
  if (by.length < 1 || by.length > 64) throw badArgument("by must have 1 to 64 characters");
  const text = textOf(value);
  if (text.length > LONGEST_VALUE) {
    throw badArgument(
      `a value may have at most ${LONGEST_VALUE} characters as text, not ${text.length}`,
    );
  }
  const wrong = description && wrongSetting(description, channel, value);
  if (wrong !== undefined) throw badArgument(wrong);
  return text;
}

function badArgument(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
