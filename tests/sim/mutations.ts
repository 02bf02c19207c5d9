/** Known bugs, to prove that the checker finds them. */
import type { Edit } from "./bugs/bug.ts";
import { CHANNEL_BUGS } from "./bugs/channels.ts";
import { CORE_BUGS } from "./bugs/core.ts";
import { DEADLINE_BUGS } from "./bugs/deadlines.ts";
import { DEPLOY_BUGS } from "./bugs/deploys.ts";
import { FLEET_BUGS } from "./bugs/fleet.ts";
import { FLEET_CHANNEL_BUGS } from "./bugs/fleet_channels.ts";
import { FLEET_MQTT_BUGS } from "./bugs/fleet_mqtt.ts";
import { WIRE_BUGS } from "./bugs/wire.ts";
import { MEMORY_BUGS } from "./bugs/memory.ts";
import { MQTT_BUGS } from "./bugs/mqtt.ts";
import { MQTT_DEVICE_BUGS } from "./bugs/mqtt_devices.ts";
import { PAGE_BUGS } from "./bugs/page.ts";
import { RUNTIME_BUGS } from "./bugs/runtime.ts";
import { SEAL_BUGS } from "./bugs/seal.ts";
import { SLEEP_BUGS } from "./bugs/sleep.ts";

export interface Mutation {
  name: string;
  edits: readonly Edit[];
  /** It can be found where several servers have one store. */
  fleet: boolean;
}

/** The bugs that can be found where several servers have one store. */
const OF_FLEETS = { ...FLEET_BUGS, ...FLEET_CHANNEL_BUGS, ...FLEET_MQTT_BUGS };

export const MUTATIONS: readonly Mutation[] = Object.entries({
  ...WIRE_BUGS,
  ...RUNTIME_BUGS,
  ...MEMORY_BUGS,
  ...CORE_BUGS,
  ...DEADLINE_BUGS,
  ...SEAL_BUGS,
  ...SLEEP_BUGS,
  ...CHANNEL_BUGS,
  ...DEPLOY_BUGS,
  ...MQTT_BUGS,
  ...MQTT_DEVICE_BUGS,
  ...PAGE_BUGS,
  ...OF_FLEETS,
}).map(([name, edits]) => ({ name, edits, fleet: name in OF_FLEETS }));
