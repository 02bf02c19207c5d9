/**
 * Heats a room: the device measures `temp` and switches `heater`; `target` is set here or at the device, as in
 * `server/main.ts set kitchen/target 21`. What is desired survives outages and restarts of both ends. A device that runs
 * `client-as/examples/thermostat.ts` regulates itself, and needs its target only.
 */
import { channels } from "../mod.ts";

/** How far the temperature may be from the target before the heater is switched, in degrees. */
const HYSTERESIS = 0.5;

export default channels({
  temp(value, { thing, tx }) {
    if (thing.application?.name === "thermostat") return;
    const [temp, target] = [Number(value), Number(thing.desired("target")?.value)];
    if (temp < target - HYSTERESIS) tx.set(thing.id, "heater", 1, { by: "thermostat" });
    if (temp > target + HYSTERESIS) tx.set(thing.id, "heater", 0, { by: "thermostat" });
  },
  heater: {},
  target: {},
});
