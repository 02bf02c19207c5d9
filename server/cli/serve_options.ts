/** The table of the server's options. Help, completions and the schema of the configuration file are made from it. */
import type { ParseArgsOptionsConfig } from "node:util";
import { defaultLimits } from "../link/limits.ts";
import { type Option, optionRow } from "./option.ts";

/** An option of the server. One with a `group` starts a new heading. */
type ServeOption = Option & ParseArgsOptionsConfig[string] & { readonly group?: string };

/** All options of the server. */
export const OPTIONS = {
  keys: {
    type: "string",
    takes: "FILE",
    complete: "file",
    group: "Who may connect; at least one of these is required",
    help:
      "admits the devices that have a key in this file (`keys add ID` makes one) and prove it; SIGHUP reloads the file and disconnects devices whose key has changed; a broken file is reported, and the old keys stay",
  },
  stock: {
    type: "string",
    multiple: true,
    default: [],
    takes: "ID,ID",
    help: "admits these ids without a key: boards with micropython-iot's client",
  },
  open: {
    type: "boolean",
    default: false,
    help:
      "admits every device that can reach the port and has no key here; with --keys or --stock, such devices share half of the room (--limit connections, totalText)",
  },
  store: {
    type: "string",
    default: ":memory:",
    takes: "FILE|URL",
    complete: "file",
    group: "Storage",
    help:
      "keeps messages and positions in this SQLite file, which is created if needed; or in a PostgreSQL database, postgres://USER@HOST/DATABASE, with its password in PGPASSWORD or ~/.pgpass; :memory: forgets them when the server ends (:memory:)",
  },
  durability: {
    type: "string",
    default: "full",
    takes: "full|normal",
    complete: ["full", "normal"],
    help:
      "full: an acknowledged message survives a loss of power; normal: only the end of the process, but several times faster (full)",
  },
  "dead-letters": {
    type: "boolean",
    default: false,
    help:
      "makes a message a dead letter when the application has failed with it 5 times (limit attempts), instead of retrying for ever; see the command dead-letters",
  },
  "dead-letters-max-age": {
    type: "string",
    takes: "30d",
    help: "deletes dead letters that are older than this: 90s, 30m, 36h, 30d (never)",
  },
  port: {
    type: "string",
    default: "8123",
    takes: "N",
    group: "Network",
    help: "TCP port, 0: any free one (8123)",
  },
  host: {
    type: "string",
    default: "0.0.0.0",
    takes: "ADDRESS",
    help: "address to listen on (0.0.0.0: every interface)",
  },
  timeout: {
    type: "string",
    default: "2000",
    takes: "MS",
    help: "silence that counts as an outage; must be the same on the devices (2000)",
  },
  "send-away": {
    type: "string",
    default: "0",
    takes: "MS",
    help:
      "on stop, first sends its devices to the next address that they know, spread over this time; for servers that share a store (0: closes their connections)",
  },
  "tls-cert": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "uses TLS with this certificate (PEM); SIGHUP reloads both files",
  },
  "tls-key": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the private key of --tls-cert (PEM)",
  },
  limit: {
    type: "string",
    multiple: true,
    default: [],
    takes: "NAME=N",
    help: `sets a limit; may be repeated: ${Object.keys(defaultLimits).join(", ")}`,
  },
  app: {
    type: "string",
    multiple: true,
    default: [],
    takes: "NAME|FILE",
    complete: "file",
    group: "Applications and channels",
    help:
      "runs this for every device: echo, main, remote, qos, qos_fast, thermostat, door, logger, or a module of yours whose default export is (device, server) => Promise<void>; one that fails is restarted after 1 s to 60 s. May be repeated: then one may take plain lines, and the others take channels; messages that fail are set aside as with --dead-letters",
  },
  connect: {
    type: "string",
    multiple: true,
    default: [],
    takes: "ID/CHANNEL=ID/CHANNEL",
    help:
      "links channels; may be repeated: the second is set to what the first reports or sends as an event, until `disconnect` ends the link; a map of values may follow after a space, as JSON. Works without --app",
  },
  descriptions: {
    type: "string",
    takes: "FOLDER",
    complete: "file",
    help:
      "describes the channels of applications: kitchen.json, or kitchen@3.json for its version 3; SIGHUP reloads them; a broken file is reported, and the old descriptions stay",
  },
  mqtt: {
    type: "string",
    takes: "URL",
    group: "An MQTT broker",
    help:
      "mqtt://USER@HOST:PORT, or mqtts:// for TLS: publishes channels at this MQTT broker and takes settings from it (topics: bridge/mqtt/README.md); needs --store",
  },
  "mqtt-prefix": { type: "string", takes: "TEXT", help: "prefix of all topics (holdfast)" },
  "mqtt-home-assistant": {
    type: "boolean",
    help: "shows devices that have a description in Home Assistant",
  },
  "mqtt-home-assistant-prefix": {
    type: "string",
    takes: "TEXT",
    help: "discovery prefix in Home Assistant's MQTT settings (homeassistant)",
  },
  "mqtt-home-assistant-availability": {
    type: "string",
    takes: "sensors|all|none",
    complete: ["sensors", "all", "none"],
    help: "what Home Assistant shows as unavailable while a device is away (sensors)",
  },
  "mqtt-password-file": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help:
      "the user's password at the broker; without this option, the environment's HOLDFAST_MQTT_PASSWORD. SIGHUP reloads this file and the next three",
  },
  "mqtt-ca": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the certificate (PEM) that signed the broker's (default: the system's trusted ones)",
  },
  "mqtt-cert": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the bridge's certificate (PEM), for a broker that asks for one",
  },
  "mqtt-key": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the private key of --mqtt-cert (PEM)",
  },
  "mqtt-version": {
    type: "string",
    takes: "5|3.1.1",
    complete: ["5", "3.1.1"],
    help: "version of MQTT (5)",
  },
  "mqtt-max-age": {
    type: "string",
    takes: "7d",
    help:
      "drops events that have waited longer than this for the broker: 90s, 30m, 36h, 7d (never)",
  },
  "mqtt-deadline": {
    type: "string",
    takes: "MS",
    help:
      "how long a request over MQTT waits for its answer, and a `do` for its device, if the message has no expiry (10000)",
  },
  "mqtt-offline-after": {
    type: "string",
    multiple: true,
    takes: "MS|ID=MS",
    help: "how long a device without a connection still counts as online; may be repeated (30000)",
  },
  "mqtt-sleeping": {
    type: "string",
    multiple: true,
    takes: "MS|ID=MS",
    help:
      "how long a device may sleep before it counts as offline; may be repeated (default: sleep=SECONDS in its metadata)",
  },
  "mqtt-own-topics": {
    type: "string",
    multiple: true,
    takes: "FILTER",
    help:
      "topics that devices may publish and subscribe to themselves; may be repeated; {id} stands for the device's id; wildcards match nothing below the prefix (none)",
  },
  control: {
    type: "string",
    takes: "PATH",
    complete: "file",
    group: "Management",
    help:
      "the socket over which commands such as `holdfast devices` reach this server; whoever can open it may do everything (with --store FILE: FILE.sock)",
  },
  web: {
    type: "string",
    takes: "PORT",
    help: "serves a page that shows the devices, at http://localhost:PORT/; 0: any free port",
  },
  "web-host": {
    type: "string",
    default: "127.0.0.1",
    takes: "ADDRESS",
    help:
      "address for the page to listen on; if others can reach it, it needs a password; it uses TLS if the server does (127.0.0.1: this machine only)",
  },
  "web-password-file": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "password and tokens of the page: a file made by the command `web`",
  },
  "web-url": {
    type: "string",
    takes: "URL",
    help: "the page's public address, if it is a name or behind a proxy: https://holdfast.example/",
  },
  "web-admin": {
    type: "boolean",
    default: false,
    help:
      "lets whoever may open the page also act: set channels, send, drop waiting messages, forget devices",
  },
  "metrics-devices": {
    type: "boolean",
    default: false,
    help:
      "adds metrics for each device to /metrics, so their number grows with the number of devices",
  },
  log: {
    type: "string",
    default: "text",
    takes: "text|json",
    complete: ["text", "json"],
    help: "format of the log on stderr (text)",
  },
  config: {
    type: "string",
    takes: "FILE",
    complete: "file",
    help:
      "also reads options from this file: JSON with comments, a key for each option (server/cli/config.schema.json); paths are relative to its folder; the command line takes precedence",
  },
  help: { type: "boolean", default: false, help: "" },
} as const satisfies Readonly<Record<string, ServeOption>>;

/** The text of `holdfast serve --help`. */
export const HELP = [
  "Starts a server: it keeps a link to every device, through outages.\n",
  "Usage: holdfast serve --keys FILE | --open [--app echo | --app ./my_app.ts] [options]",
  ...Object.entries<ServeOption>(OPTIONS).flatMap(([name, option]) => [
    ...option.group === undefined ? [] : ["", `${option.group}:`],
    optionRow(name, option),
  ]),
].join("\n");
