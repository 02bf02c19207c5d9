/** Several independent applications on one device. */
import { LocalError } from "../protocol/errors.ts";
import { serve } from "./app.ts";
import type { ThingSource } from "./channel.ts";
import { type AppOf, declareParts, partsOf, Table } from "./table.ts";

/**
 * Combines several applications into one: they share each device's link. Those made by `channels` handle their
 * channels; one may be an application of plain lines, which gets the lines that belong to no channel.
 *
 * ```ts
 * import { type App, channels, share } from "@holdfast/holdfast";
 *
 * const app: App = share({
 *   thermostat: channels({ temp: (value) => console.log(`it is ${value}`), heater: {} }),
 *   log: channels({ temp: (value) => console.log(`to be noted: ${value}`) }),
 *   echo: async (device) => {
 *     for await (const line of device) await device.write(`echo ${line}`);
 *   },
 * });
 * ```
 *
 * A report or an event goes to all applications that have its channel, in the order given here and in one transaction.
 * So if one of them fails with a message, it has failed for all. It comes again at once, then after 10 ms, then after
 * ten times as long each time, up to 10 s; `app_failed` names the application. After `limits.attempts` failures it
 * becomes a dead letter, with or without `ServerOptions.deadLetters`: one application must not hold up the others for
 * ever.
 *
 * Give what `channels` returns. A function that calls it would be taken for an application of plain lines, and fail.
 *
 * An application of plain lines that fails is restarted as if it were alone, after 1 s to 60 s. While it processes a
 * line, the messages behind that wait. Once it has returned, plain lines are reported as events, "plain_line".
 *
 * @param apps By name; failures are reported with it.
 * @throws {LocalError} BAD_ARGUMENT: two of them answer the same request, have different rules for the same channel, or
 * both take plain lines
 */
export function share<Server extends ThingSource>(
  apps: Record<string, AppOf<Server>>,
): AppOf<Server> {
  const parts = Object.entries(apps).flatMap(([name, app]) => {
    if (typeof app === "function") return partsOf(name, app);
    throw new LocalError("BAD_ARGUMENT", `${name} is not an application: give a function`);
  });
  if (parts.length === 0) throw new LocalError("BAD_ARGUMENT", "share needs an application");
  const table = new Table(parts);
  return declareParts<AppOf<Server>>((device, server) => serve(device, server, table), parts);
}
