/** The server's application: it switches the heater of each device by the temperature that the device reports. */
import { channels } from "@holdfast/holdfast";

const TARGET = 500;
/** How far the temperature may be from the target before the heater is switched. */
const HYSTERESIS = 20;

export default channels({
  temp(value, { thing, tx }) {
    const temp = Number(value);
    if (temp < TARGET - HYSTERESIS) tx.set(thing.id, "heater", 1);
    if (temp > TARGET + HYSTERESIS) tx.set(thing.id, "heater", 0);
  },
  heater: {},
});
