/** Applications of devices over the API: what they run, and deploys. */
import type { Rollout, RolloutOptions } from "../firmware/deploy.ts";
import { inOrder, matching } from "../firmware/group.ts";
import { LocalError } from "../protocol/errors.ts";
import { find } from "./api.ts";
import { appsOf, type AppView, type RolloutView, rolloutView } from "./app_view.ts";
import { readJson } from "./body.ts";
import { fields } from "./fields.ts";
import type { Watched } from "./fleet.ts";
import { json, type Route, route } from "./routes.ts";

/** The part of `Server` that is needed here. */
export interface Deploying extends Watched {
  readonly rollouts: readonly Rollout[];
  rollOut(ids: Iterable<string>, wasm: Uint8Array, options: RolloutOptions): Promise<Rollout>;
  giveUpRollout(id: number): Promise<void>;
}

/** Fields of an application in a body. */
const APP = {
  wasm: "string",
  name: "string",
  version: "number",
  older: "boolean?",
  again: "boolean?",
} as const;

/** Routes that show what devices run, and deploy applications to them. */
export function deployRoutes(server: Deploying): Route[] {
  const PATH = "/api/devices/:id/deploy";
  return [
    route("GET", "/api/apps", "look", () => {
      const ids = inOrder(server.devices.map(({ id }) => id));
      return json(ids.map((id) => appOf(server, id)));
    }),
    route("POST", PATH, "act", async ({ request, params }) => {
      const device = find(server, params.id);
      const types = { ...APP, wait: "boolean?" } as const;
      const { wasm, name, version, older = false, again = false, wait = false } = fields(
        await readJson(request),
        types,
      );
      const options = { name, version, older, again };
      if (wait) await device.deploy(decode(wasm), { ...options, signal: request.signal });
      else await device.deploy(decode(wasm), { ...options, until: "accepted" });
      return json({ device: device.id, ...appsOf(device) }, wait ? 200 : 202);
    }),
    route("DELETE", PATH, "act", async ({ params }) => {
      const device = find(server, params.id);
      await device.giveUp();
      return json({ device: device.id, ...appsOf(device) });
    }),
    route("GET", "/api/rollouts", "look", () => {
      return json(server.rollouts.map((rollout) => viewOf(server, rollout)));
    }),
    route("POST", "/api/rollouts", "act", async ({ request }) => {
      const types = { devices: "string", ...APP, step: "number?" } as const;
      const { devices, wasm, name, version, older = false, again = false, step = 1 } = fields(
        await readJson(request),
        types,
      );
      const ids = matching(devices, server.devices.map(({ id }) => id));
      if (ids.length === 0) throw unknown(devices);
      const options = { name, version, older, again, step };
      return json(viewOf(server, await server.rollOut(ids, decode(wasm), options)), 202);
    }),
    route("GET", "/api/rollouts/:rollout", "look", ({ params }) => {
      return json(viewOf(server, rolloutOf(server, params.rollout)));
    }),
    route("DELETE", "/api/rollouts/:rollout", "act", async ({ params }) => {
      const { id } = rolloutOf(server, params.rollout);
      await server.giveUpRollout(id);
      return json(viewOf(server, rolloutOf(server, params.rollout)));
    }),
  ];
}

function unknown(pattern: string): LocalError {
  const message = `no device that the server knows is called ${JSON.stringify(pattern)}`;
  return new LocalError("UNKNOWN_DEVICE", message);
}

/** @throws {LocalError} BAD_ARGUMENT */
function rolloutOf({ rollouts }: Deploying, id: string): Rollout {
  const rollout = rollouts.find((one) => String(one.id) === id);
  if (rollout) return rollout;
  throw new LocalError("BAD_ARGUMENT", `there is no rollout ${id}`);
}

function viewOf(server: Deploying, rollout: Rollout): RolloutView {
  return rolloutView(rollout, rollout.devices.map((id) => appOf(server, id)));
}

function appOf(server: Deploying, id: string): AppView {
  const device = server.known(id);
  if (!device) return { device: id, connected: false }; // another server has just forgotten it
  return { device: id, connected: device.connected, ...appsOf(device) };
}

/** @throws {LocalError} BAD_ARGUMENT */
function decode(wasm: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(wasm);
  } catch {
    throw new LocalError("BAD_ARGUMENT", "the field wasm must be a .wasm in base64");
  }
}
