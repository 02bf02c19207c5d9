/**
 * Deep sleep, for boards on a battery: reads, tells, sleeps.
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
 * Sleeps for so many ms, 1 to 2,147,483,647, as soon as all that was sent is acknowledged and the server knows for how
 * long; what cannot be delivered in time waits for the next start (`board.ts` says how long that is, and how much can
 * wait). False, and the board stays awake: what waits is too much, or among it is a message with a deadline that
 * `expired` has not decided, as nobody would withdraw it in time. 0: it is not to sleep any more.
 */
export function sleep(ms: i32): bool {
  const sleeps = <bool>(<i32>!withDeadline() & deep_sleep(ms));
  suspend(sleeps);
  return sleeps;
}
