/**
 * Units that tell Home Assistant what is measured (its `device_class`). Those that could be one thing or another, such
 * as % or ppm, tell nothing: the unit is shown, and that is all.
 */
const UNITS: Readonly<Record<string, string>> = {
  apparent_power: "VA",
  conductivity: "S/cm mS/cm",
  current: "A mA",
  data_rate: "bit/s kbit/s Mbit/s Gbit/s B/s kB/s MB/s GB/s KiB/s MiB/s GiB/s",
  data_size: "bit kbit Mbit Gbit B kB MB GB TB KiB MiB GiB TiB",
  distance: "km m cm mi ft yd",
  duration: "d h min s ms",
  energy: "Wh kWh MWh",
  frequency: "Hz kHz MHz GHz",
  illuminance: "lx",
  irradiance: "W/m²",
  power: "mW W kW MW",
  precipitation_intensity: "mm/h mm/d",
  pressure: "Pa hPa kPa bar mbar mmHg inHg psi",
  reactive_power: "var",
  signal_strength: "dBm",
  sound_pressure: "dBA",
  speed: "m/s km/h mph kn ft/s",
  temperature: "°C °F K",
  voltage: "V mV",
  volume_flow_rate: "m³/h L/min",
  weight: "kg g mg lb oz",
};

const CLASSES: ReadonlyMap<string, string> = new Map(
  Object.entries(UNITS).flatMap(([name, units]) =>
    units.split(" ").map((unit): [string, string] => [unit, name])
  ),
);

/** What a unit says of a value; undefined: nothing certain. */
export function deviceClassOf(unit: string | undefined): string | undefined {
  return unit === undefined ? undefined : CLASSES.get(unit);
}

/** Its statistics: Home Assistant takes energy for a meter, which is set back to 0 perhaps. */
export function stateClassOf(deviceClass: string | undefined): string {
  return deviceClass === "energy" ? "total_increasing" : "measurement";
}

/** All of them, for tests: unit and what is measured. */
export const KNOWN_UNITS: Iterable<[string, string]> = CLASSES;
