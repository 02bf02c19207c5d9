/** The server's options: the one table, of which its help, completions and the schema of its configuration are made. */
import type { ParseArgsOptionsConfig } from "node:util";
import { defaultLimits } from "../link/limits.ts";
import { type Option, optionRow } from "./option.ts";

/** An option of the server: options below a heading begin with one that has it. */
type ServeOption = Option & ParseArgsOptionsConfig[string] & { readonly group?: string };

/** All there are. */
export const OPTIONS = {
  keys: {
    type: "string",
    takes: "FILE",
    complete: "file",
    group: "Who may connect; one of these must be said",
    help:
      "the devices that `keys add ID` has made a key for, if they prove that they have it; a SIGHUP reads the file again, and cuts off whose key has changed; what is wrong with it is said, and the old keys stay",
  },
  stock: {
    type: "string",
    multiple: true,
    default: [],
    takes: "ID,ID",
    help: "these too, without a key: boards with micropython-iot's client",
  },
  open: {
    type: "boolean",
    default: false,
    help:
      "every device that can reach the port and has no key here; beside --keys or --stock these have half of the room (--limit connections, totalText), and the others find theirs",
  },
  store: {
    type: "string",
    default: ":memory:",
    takes: "FILE|URL",
    complete: "file",
    group: "What must not be lost",
    help:
      "keep messages and positions in this SQLite file, which is created if need be; or in a PostgreSQL database, postgres://USER@HOST/DATABASE, with its password in PGPASSWORD or ~/.pgpass. Without, or with :memory:, they are forgotten when the server ends (:memory:)",
  },
  durability: {
    type: "string",
    default: "full",
    takes: "full|normal",
    complete: ["full", "normal"],
    help:
      "what an acknowledged message survives on disk: a loss of power, or only the end of the server, but several times as fast (full)",
  },
  "dead-letters": {
    type: "boolean",
    default: false,
    help:
      "set aside a message with which the application has failed 5 times (limit attempts), instead of trying it for ever; see the command dead-letters",
  },
  "dead-letters-max-age": {
    type: "string",
    takes: "30d",
    help: "what was set aside for so long (90s, 30m, 36h, 30d) is forgotten (never)",
  },
  port: {
    type: "string",
    default: "8123",
    takes: "N",
    group: "How devices reach it",
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
    help: "silence that is taken for an outage; the same on the devices (2000)",
  },
  "send-away": {
    type: "string",
    default: "0",
    takes: "MS",
    help:
      "when it is stopped it first sends its devices to the next address that they know, one after the other in this time; for servers that share a store (0: it closes their connections)",
  },
  "tls-cert": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "speak TLS, with this certificate (PEM); a SIGHUP reads both files again",
  },
  "tls-key": { type: "string", takes: "FILE", complete: "file", help: "and its private key (PEM)" },
  limit: {
    type: "string",
    multiple: true,
    default: [],
    takes: "NAME=N",
    help: `a limit, several times: ${Object.keys(defaultLimits).join(", ")}`,
  },
  app: {
    type: "string",
    multiple: true,
    default: [],
    takes: "NAME|FILE",
    complete: "file",
    group: "What becomes of messages",
    help:
      "run this for every device: echo, main, remote, qos, qos_fast, thermostat, door, logger, or a module of yours whose default export is (device, server) => Promise<void>; one that fails is begun again, after 1 s to 60 s. Several share each device's link: of these, one may take plain lines, the others take channels; what fails is set aside then as with --dead-letters",
  },
  connect: {
    type: "string",
    multiple: true,
    default: [],
    takes: "ID/CHANNEL=ID/CHANNEL",
    help:
      "several times: what the first reports or tells as an event, the second is set to, through restarts, until `disconnect` ends it; with a map of values behind a space, as JSON. Without --app, linked devices are served all the same",
  },
  descriptions: {
    type: "string",
    takes: "FOLDER",
    complete: "file",
    help:
      "what the channels of applications are: kitchen.json, or kitchen@3.json for its version 3; a SIGHUP reads them again; what is wrong is said, and the old ones stay",
  },
  mqtt: {
    type: "string",
    takes: "URL",
    group: "A broker",
    help:
      "mqtt://USER@HOST:PORT, or mqtts:// for TLS: brings what channels are, and what they are set to, to this MQTT broker and from it (topics: bridge/mqtt/README.md); needs --store",
  },
  "mqtt-prefix": { type: "string", takes: "TEXT", help: "topics begin with it (holdfast)" },
  "mqtt-home-assistant": {
    type: "boolean",
    help: "devices with a description appear in Home Assistant",
  },
  "mqtt-home-assistant-prefix": {
    type: "string",
    takes: "TEXT",
    help: "that it has in its settings of MQTT (homeassistant)",
  },
  "mqtt-home-assistant-availability": {
    type: "string",
    takes: "sensors|all|none",
    complete: ["sensors", "all", "none"],
    help: "what is grey there while its device is away (sensors)",
  },
  "mqtt-password-file": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help:
      "the user's password at the broker; without, HOLDFAST_MQTT_PASSWORD in the environment, if it is set. A SIGHUP reads this file and the next three again",
  },
  "mqtt-ca": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "the certificate (PEM) that signed the broker's (those that the system trusts)",
  },
  "mqtt-cert": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "for a broker that asks for one: the bridge's certificate (PEM)",
  },
  "mqtt-key": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "and its private key (PEM)",
  },
  "mqtt-version": {
    type: "string",
    takes: "5|3.1.1",
    complete: ["5", "3.1.1"],
    help: "of MQTT (5)",
  },
  "mqtt-max-age": {
    type: "string",
    takes: "7d",
    help:
      "events that have waited for the broker for so long (90s, 30m, 36h, 7d) are given up (never)",
  },
  "mqtt-deadline": {
    type: "string",
    takes: "MS",
    help:
      "how long a request over MQTT waits for its answer, and what is to be done for its device, if the message has no expiry (10000)",
  },
  "mqtt-offline-after": {
    type: "string",
    multiple: true,
    takes: "MS|ID=MS",
    help: "several times: for how long a device without a connection is online still (30000)",
  },
  "mqtt-sleeping": {
    type: "string",
    multiple: true,
    takes: "MS|ID=MS",
    help:
      "several times: for how long a device may sleep before it is offline (what it says itself: sleep=SECONDS in its metadata)",
  },
  "mqtt-own-topics": {
    type: "string",
    multiple: true,
    takes: "FILTER",
    help:
      "several times: topics that devices may publish to and hear by themselves; {id} in it is the device's id; wildcards have nothing below the prefix (none)",
  },
  control: {
    type: "string",
    takes: "PATH",
    complete: "file",
    group: "Who looks after it",
    help:
      "the socket over which commands such as `holdfast devices` reach this server; who may open it may do everything (with --store FILE: FILE.sock)",
  },
  web: {
    type: "string",
    takes: "PORT",
    help: "a page that shows the devices: http://localhost:PORT/; 0: any free port",
  },
  "web-host": {
    type: "string",
    default: "127.0.0.1",
    takes: "ADDRESS",
    help:
      "address to listen on for it; where others reach it there must be a password, and it speaks TLS if the server does (127.0.0.1: this machine alone)",
  },
  "web-password-file": {
    type: "string",
    takes: "FILE",
    complete: "file",
    help: "who may open it: a file that the command web has made",
  },
  "web-url": {
    type: "string",
    takes: "URL",
    help:
      "where it is for those who open it, if that is a name, or behind a proxy: https://holdfast.example/",
  },
  "web-admin": {
    type: "boolean",
    default: false,
    help:
      "whoever may look there may act as well: set channels, send, drop what waits, forget devices",
  },
  "metrics-devices": {
    type: "boolean",
    default: false,
    help: "/metrics has some of each device, too: as many more as there are devices",
  },
  log: {
    type: "string",
    default: "text",
    takes: "text|json",
    complete: ["text", "json"],
    help: "a line for every change of a connection, on stderr (text)",
  },
  config: {
    type: "string",
    takes: "FILE",
    complete: "file",
    help:
      "reads options from this file, too: JSON with comments, a key for each option (server/cli/config.schema.json); names of files are meant from its folder; the command line counts more",
  },
  help: { type: "boolean", default: false, help: "" },
} as const satisfies Readonly<Record<string, ServeOption>>;

/** What `holdfast serve --help` says. */
export const HELP = [
  "Starts a server: it keeps a link to every device, through outages.\n",
  "Usage: holdfast serve --keys FILE | --open [--app echo | --app ./my_app.ts] [options]",
  ...Object.entries<ServeOption>(OPTIONS).flatMap(([name, option]) => [
    ...option.group === undefined ? [] : ["", `${option.group}:`],
    optionRow(name, option),
  ]),
].join("\n");
