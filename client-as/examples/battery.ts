/**
 * A thermometer on a battery: reads the analogue input, reports it with the time, and sleeps for ten minutes. Without a
 * network the readings wait, and are sent after one of the next sleeps. On the server: `--app logger`.
 */
export * from "../assembly/core";
import { adc_read, hello, millis, number, QOS, send, sleep, tellAt, woke } from "../assembly/app";

export function onStart(): void {
  if (!woke()) hello("@battery 1");
  tellAt("=temp", millis());
  number(adc_read());
  send(QOS);
  sleep(600000); // ten minutes, once everything has arrived
}
