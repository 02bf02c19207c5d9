/**
 * Deep sleep, for boards on a battery.
 *
 *     export function onStart(): void {
 *       if (!woke()) hello("@battery 1");
 *       tellAt("=temp", millis());
 *       number(adc_read());
 *       send(QOS);
 *       sleep(600000); // ten minutes
 *     }
 */
import { deep_sleep } from "./board";
import { suspend, withDeadline } from "./deadlines";

/**
 * Sleeps for this many ms, 1 to 2,147,483,647, as soon as every message is acknowledged and the server knows for how
 * long. Messages that cannot be delivered in time wait for the next start (`board.ts` says when, and how many). Returns
 * false, and the board stays awake, if too many messages wait, or if one of them has a deadline that `expired` has not
 * decided: it could not be withdrawn in time. 0 cancels the sleep.
 */
export function sleep(ms: i32): bool {
  const sleeps = <bool>(<i32>!withDeadline() & deep_sleep(ms));
  suspend(sleeps);
  return sleeps;
}
