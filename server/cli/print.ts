/** What commands print. */
import { printable } from "../observe/log.ts";

/** A line that a terminal may be shown, whatever devices have put into it. */
export function print(line: string): void {
  console.log(printable(line));
}

/** As JSON, or as a line for people. */
export function tell(json: boolean, value: unknown, text: string): void {
  print(json ? JSON.stringify(value) : text);
}
