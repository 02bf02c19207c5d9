/**
 * Units from which the measured quantity follows (Home Assistant's `device_class`). Ambiguous ones, such as % or ppm,
 * have none: only the unit is shown.
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

/** The `device_class` of a unit; undefined: it is ambiguous or unknown. */
export function deviceClassOf(unit: string | undefined): string | undefined {
  return unit === undefined ? undefined : CLASSES.get(unit);
}

/** The `state_class` of a `device_class`: for Home Assistant energy is a meter, which may be reset to 0. */
export function stateClassOf(deviceClass: string | undefined): string {
  return deviceClass === "energy" ? "total_increasing" : "measurement";
}

/** All known units with their `device_class`, for tests. */
export const KNOWN_UNITS: Iterable<[string, string]> = CLASSES;
