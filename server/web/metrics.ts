/** Metrics for Prometheus. Each scrape reads the server's present state; only counters are kept between scrapes. */
import { cpuUsage } from "node:process";
import type { Registry } from "prom-client";
import type { Device } from "../device.ts";
import type { Health } from "./health.ts";
import { type Route, route } from "./routes.ts";
import type { Tallies } from "./tallies.ts";

/** The state of a bridge to a broker. */
export interface BridgeState {
  readonly connectedSince: Date | undefined;
  readonly connects: number;
  readonly waiting: { readonly rows: number; readonly bytes: number; readonly since?: Date };
  readonly inFlight: number;
  readonly published: number;
  readonly received: number;
  readonly givenUp: number;
}

/** What a scrape reads. */
export interface Measured {
  readonly tallies: Tallies;
  readonly health: Health;
  /** Number of operations that wait for the store. */
  waiting(): number;
  /** Undefined: there is no bridge. */
  bridge?(): BridgeState;
  /** Whether to add metrics for each device; their number is limited only by the number of devices. */
  readonly eachDevice: boolean;
}

/** One metric: its name, its help, and its values, each with its labels. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  values(): Iterable<readonly [value: number, ...labels: string[]]>;
}

/** The state of the devices in one scrape. */
type Look = ReturnType<Tallies["look"]>;

/** The route of all metrics. */
export function metricsRoute(measured: Measured): Route {
  let registry: Promise<Registry> | undefined;
  let now: Look;
  return route("GET", "/metrics", "look", async () => {
    const all = await (registry ??= register(measured, () => now));
    now = measured.tallies.look(); // once for all metrics
    return new Response(await all.metrics(), {
      headers: { "content-type": all.contentType, "cache-control": "no-store" },
    });
  });
}

/** The library is loaded with the first scrape. @param look Returns the state of this scrape. */
async function register(measured: Measured, look: () => Look): Promise<Registry> {
  const { Counter, Gauge, Registry } = await import("prom-client");
  const registry = new Registry();
  for (const { name, help, labels = [], values } of metricsOf(measured, look)) {
    const Kind = name.endsWith("_total") ? Counter : Gauge;
    new Kind<string>({
      name: `holdfast_${name}`,
      help,
      labelNames: labels,
      registers: [registry],
      collect() {
        this.reset();
        for (const [value, ...of] of values()) this.labels(...of).inc(value);
      },
    });
  }
  return registry;
}

/** All metrics, without the prefix of their names. */
function metricsOf(measured: Measured, look: () => Look): Metric[] {
  const { tallies, health, bridge, eachDevice } = measured;
  return [
    ...fleetMetrics(() => look().devices),
    ...messageMetrics(look),
    ...eventMetrics(tallies),
    gauge(
      "store_failing",
      "Whether the store currently accepts nothing.",
      () => +tallies.storeFails,
    ),
    gauge("store_waiting", "Results and changes that wait for a commit.", () => measured.waiting()),
    gauge(
      "event_loop_lateness_seconds",
      "Largest delay of the event loop in the last ten seconds.",
      () => health.lateMs / 1000,
    ),
    ...processMetrics(),
    ...bridge ? bridgeMetrics(bridge) : [],
    ...eachDevice ? deviceMetrics(() => look().devices) : [],
  ];
}

function gauge(name: string, help: string, value: () => number): Metric {
  return { name, help, values: () => [[value()]] };
}

function fleetMetrics(devices: () => readonly Device[]): Metric[] {
  const sum = (name: string, help: string, of: (device: Device) => number) =>
    gauge(name, help, () => devices().reduce((sum, device) => sum + of(device), 0));
  return [
    sum(
      "devices",
      "Devices that the server knows; where several share a store, those that it has.",
      () => 1,
    ),
    sum("devices_connected", "Devices that have a connection.", ({ connected }) => +connected),
    sum("devices_asleep", "Devices that have said that they sleep.", (it) => +isAsleep(it)),
    sum("inbox_messages", "Messages from devices that are not processed.", ({ inbox }) => inbox),
    sum(
      "outbox_messages",
      "Messages to devices that they have not acknowledged.",
      ({ outbox }) => outbox,
    ),
    sum(
      "dead_letters",
      "Dead letters that are kept.",
      (it) => it.deadLetters.length,
    ),
  ];
}

function isAsleep({ asleepUntil }: Device): boolean {
  return asleepUntil !== undefined;
}

function messageMetrics(look: () => Look): Metric[] {
  const helps = {
    received: "Messages that devices have sent, accepted.",
    processed: "Messages of devices that the application has processed.",
    dead: "Messages of devices that became dead letters.",
    written: "Messages to devices, accepted with qos.",
    delivered: "Messages to devices that they have acknowledged.",
    expired: "Messages to devices that expired and were withdrawn.",
  } as const;
  return Object.entries(helps).map(([name, help]) =>
    gauge(`messages_${name}_total`, help, () => look().messages[name as keyof typeof helps])
  );
}

function eventMetrics(tallies: Tallies): Metric[] {
  const count = (name: string, help: string, event: Parameters<Tallies["of"]>[0]): Metric =>
    gauge(name, help, () => [...tallies.of(event).values()].reduce((sum, n) => sum + n, 0));
  const byCode = (name: string, help: string, event: Parameters<Tallies["of"]>[0]): Metric => ({
    name,
    help,
    labels: ["code"],
    values: () => Array.from(tallies.of(event), ([code, n]) => [n, code] as const),
  });
  return [
    count("connections_total", "Connections of devices that were welcomed.", "connected"),
    byCode(
      "disconnections_total",
      "Connections of devices that have ended, by reason.",
      "disconnected",
    ),
    count(
      "sleeps_total",
      "Connections of devices that have ended because the device sleeps.",
      "asleep",
    ),
    count("overdue_total", "Devices that were not back from their sleep in time.", "overdue"),
    byCode(
      "refusals_total",
      "Connections that were refused, by reason.",
      "refused",
    ),
    count("boots_total", "Devices that began a new stream of messages.", "booted"),
    count("reports_total", "Reports of channels.", "reported"),
    count("app_failures_total", "Failures of applications.", "app_failed"),
    count("devices_forgotten_total", "Devices that were forgotten.", "forgotten"),
    byCode("deploys_total", "Phases that deploys have reached.", "deploy"),
    byCode("warnings_total", "Warnings in the log, by their codes.", "warning"),
  ];
}

function processMetrics(): Metric[] {
  const began = Date.now() - performance.now();
  return [
    gauge("start_time_seconds", "When the process was started, since 1970.", () => began / 1000),
    gauge("resident_memory_bytes", "Resident memory of the process.", () => Deno.memoryUsage().rss),
    gauge("cpu_seconds_total", "Processor time that the process has used.", cpuSeconds),
  ];
}

function bridgeMetrics(state: () => BridgeState): Metric[] {
  const name = (rest: string) => `mqtt_${rest}`;
  return [
    gauge(
      name("connected"),
      "Whether the broker is connected.",
      () => +(state().connectedSince !== undefined),
    ),
    gauge(name("connections_total"), "Connections to the broker.", () => state().connects),
    gauge(
      name("waiting_publications"),
      "Publications that were not sent yet.",
      () => state().waiting.rows,
    ),
    gauge(
      name("waiting_bytes"),
      "Bytes of the topics and payloads of publications that were not sent yet.",
      () => state().waiting.bytes,
    ),
    gauge(
      name("waiting_age_seconds"),
      "Age of the oldest publication that was not sent yet.",
      () => {
        const { since } = state().waiting;
        return since === undefined ? 0 : Math.max(0, Date.now() - since.getTime()) / 1000;
      },
    ),
    gauge(
      name("in_flight_publications"),
      "Publications that the broker has not confirmed.",
      () => state().inFlight,
    ),
    gauge(
      name("published_total"),
      "Publications that the broker has confirmed.",
      () => state().published,
    ),
    gauge(name("received_total"), "Messages that the broker has sent.", () => state().received),
    gauge(name("given_up_total"), "Publications that were dropped.", () => state().givenUp),
  ];
}

function deviceMetrics(devices: () => readonly Device[]): Metric[] {
  const each = (name: string, help: string, of: (device: Device) => number): Metric => ({
    name,
    help,
    labels: ["device"],
    values: () => devices().map((device) => [of(device), device.id] as const),
  });
  const roundTrip: Metric = {
    name: "device_round_trip_seconds",
    help: "From sending the last message to its ack, on the device's connection.",
    labels: ["device"],
    values: () =>
      devices().flatMap(({ id, roundTrip }) => {
        return roundTrip === undefined ? [] : [[roundTrip / 1000, id] as const];
      }),
  };
  return [
    roundTrip,
    each("device_connected", "Whether the device has a connection.", ({ connected }) => +connected),
    each("device_asleep", "Whether the device has said that it sleeps.", (it) => +isAsleep(it)),
    each(
      "device_connections_total",
      "How often the device has connected.",
      ({ connects }) => connects,
    ),
    each(
      "device_inbox_messages",
      "Messages from the device that are not processed.",
      ({ inbox }) => inbox,
    ),
    each(
      "device_outbox_messages",
      "Messages to the device that it has not acknowledged.",
      ({ outbox }) => outbox,
    ),
    each(
      "device_messages_received_total",
      "Messages of the device.",
      ({ counts }) => counts.received,
    ),
    each(
      "device_messages_delivered_total",
      "Messages that the device has acknowledged.",
      ({ counts }) => counts.delivered,
    ),
  ];
}

function cpuSeconds(): number {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
}
