/**
 * `deno task bench`: the budgets for speed, time and size. README.md has the method.
 *
 * @module
 */
import { existsSync } from "node:fs";
import os from "node:os";
import { parseArgs } from "node:util";
import { measureAccept } from "./accept.ts";
import { measureBridge } from "./bridge.ts";
import { measureChannels } from "./channels.ts";
import { measureFleet } from "./fleet.ts";
import { measureFrames } from "./frames.ts";
import { measureHerd } from "./herd.ts";
import { measureOutage } from "./outage.ts";
import { Loader } from "./processes.ts";
import { measurePage } from "./page.ts";
import { asText, type Section } from "./report.ts";
import { measureRecovery } from "./recovery.ts";
import { measureStore } from "./store.ts";
import { measureSuites } from "./suites.ts";
import { measureSpeed, roundtrip, throughput } from "./speed.ts";

const SECTIONS = [
  "roundtrip",
  "throughput",
  "suites",
  "store",
  "fleet",
  "channels",
  "mqtt",
  "accept",
  "outage",
  "recovery",
  "herd",
  "page",
  "frames",
];

/** Rounds of accepting: each takes 6 s; of stores: 20 s; of fleets: 27 s; of channels: 20 s; over MQTT: 12 s; of recoveries: 20 s; the page: 14 s. */
const ACCEPT_ROUNDS = 5;
const STORE_ROUNDS = 5;
const FLEET_ROUNDS = 5;
const CHANNEL_ROUNDS = 5;
const MQTT_ROUNDS = 5;
const RECOVERY_ROUNDS = 6;
const PAGE_ROUNDS = 5;

const HELP = `deno task bench [options]

  --only SECTIONS   only these, with commas: ${SECTIONS.join(",")}
  --devices N       devices in the herd, 1 to 20000                     (10000)
  --reference DIR   a checkout of micropython-iot: its server, under python3, takes part
  --rounds N        turns of every server with every load, 1 to 1000    (15)
  --json            the result as one JSON object
  --help            this text

It takes about twenty minutes. The exit code says whether it could measure, not
whether the aims are met.`;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: "string", default: SECTIONS.join(",") },
      reference: { type: "string" },
      devices: { type: "string", default: "10000" },
      rounds: { type: "string", default: "15" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const only = values.only.split(",");
  const unknown = only.find((name) => !SECTIONS.includes(name));
  if (unknown !== undefined) throw new Error(`no section ${unknown}: ${SECTIONS.join(", ")}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 1000) {
    throw new Error(`--rounds takes 1 to 1000, not ${values.rounds}`);
  }
  const devices = Number(values.devices);
  if (!Number.isInteger(devices) || devices < 1 || devices > 20_000) {
    throw new Error(`--devices takes 1 to 20000, not ${values.devices}`);
  }
  const { reference } = values;
  if (reference !== undefined && !existsSync(`${reference}/iot/server.py`)) {
    throw new Error(`--reference ${reference}: there is no iot/server.py`);
  }
  return { ...values, only, rounds, devices };
}

async function run(
  { only, rounds, reference, devices }: ReturnType<typeof parse>,
): Promise<Section[]> {
  await using loader = new Loader();
  const sections: Section[] = [];
  const loads = [
    ...only.includes("roundtrip") ? roundtrip : [],
    ...only.includes("throughput") ? throughput : [],
  ];
  if (loads.length > 0) sections.push(await measureSpeed(loads, loader, { rounds, reference }));
  if (only.includes("suites")) sections.push(await measureSuites(loader, rounds));
  if (only.includes("store")) {
    sections.push(await measureStore(loader, Math.min(rounds, STORE_ROUNDS)));
  }
  if (only.includes("fleet")) sections.push(...await measureFleet(Math.min(rounds, FLEET_ROUNDS)));
  if (only.includes("channels")) {
    sections.push(...await measureChannels(loader, Math.min(rounds, CHANNEL_ROUNDS)));
  }
  if (only.includes("mqtt")) sections.push(...await measureBridge(Math.min(rounds, MQTT_ROUNDS)));
  if (only.includes("accept")) {
    sections.push(await measureAccept(loader, Math.min(rounds, ACCEPT_ROUNDS)));
  }
  if (only.includes("outage")) sections.push(await measureOutage());
  if (only.includes("recovery")) {
    sections.push(await measureRecovery(Math.min(rounds, RECOVERY_ROUNDS)));
  }
  if (only.includes("herd")) sections.push(...await measureHerd(devices));
  if (only.includes("page")) sections.push(await measurePage(Math.min(rounds, PAGE_ROUNDS)));
  if (only.includes("frames")) sections.push(...await measureFrames());
  return sections;
}

function machine() {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? "unknown",
    cpus: cpus.length,
    system: `${Deno.build.os} ${Deno.build.arch}`,
    deno: Deno.version.deno,
    loadBefore: Deno.loadavg()[0],
  };
}

let options: ReturnType<typeof parse>;
try {
  options = parse(Deno.args);
} catch (error) {
  console.error(`bench: ${(error as Error).message}\n\n${HELP}`);
  Deno.exit(2);
}
if (options.help) {
  console.log(HELP);
  Deno.exit();
}
const on = machine();
const sections = await run(options);
if (options.json) {
  console.log(JSON.stringify({ machine: on, rounds: options.rounds, sections }, undefined, 2));
} else {
  console.log(`${asText(sections)}\n\n${on.cpus} × ${on.cpu}, ${on.system}, deno ${on.deno}`);
}
