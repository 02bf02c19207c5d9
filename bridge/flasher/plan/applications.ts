/** The applications that come with the firmware: what they do, and what the server must run for them. */

export interface About {
  /** A line for people. */
  does: string;
  /** The server's `--app`, if it has another half there. */
  app?: string;
}

const ABOUT: Record<string, About> = {
  main: {
    does: "Counts in both directions, a message every five seconds: the first thing to try.",
    app: "main",
  },
  qos: {
    does: "Checks for as long as it runs that every message arrives once and in order.",
    app: "qos",
  },
  qos_fast: {
    does: "The same check with four messages at once.",
    app: "qos_fast",
  },
  remote_tx: {
    does:
      "Its button FLASH switches the LED of another board, which runs remote_rx. Give it the device id tx.",
    app: "remote",
  },
  remote_rx: {
    does: "Its LED is switched by another board, which runs remote_tx. Give it the device id rx.",
    app: "remote",
  },
  thermostat: {
    does:
      "Keeps the analogue input at a target by a heater at pin 5; the server says what the target is, and keeps it.",
    app: "thermostat",
  },
  door: {
    does:
      "Unlocks a door, at pin 5, when the server asks for it in time, and tells when it is opened and closed.",
    app: "door",
  },
  logger: {
    does:
      "Reads the analogue input each second, and reports each reading with its time, also those taken in an outage.",
    app: "logger",
  },
  battery: {
    does:
      "Reads the analogue input, tells it, and sleeps for ten minutes. GPIO16 must be wired to the reset pin.",
    app: "logger",
  },
  thermometer: {
    does:
      "Tells the temperature that an LM35 measures at the analogue input: for a server with MQTT (bridge/mqtt).",
  },
  plug: {
    does: "Switches a relay at pin 5 as the server says: for one with MQTT (bridge/mqtt).",
  },
};

/** About the application with this name; undefined for a user's own. */
export function aboutApplication(name: string): About | undefined {
  return Object.hasOwn(ABOUT, name) ? ABOUT[name] : undefined;
}
