/** Applications of devices over the API: what they run, and giving them another one. */
import { LocalError } from "../protocol/errors.ts";
import { find } from "./api.ts";
import { appsOf, type AppView } from "./app_view.ts";
import { readJson } from "./body.ts";
import { fields } from "./fields.ts";
import type { Watched } from "./fleet.ts";
import { json, type Route, route } from "./routes.ts";

/** 2 is before 10. */
const BY_NUMBER = new Intl.Collator("en", { numeric: true });

/** Routes that show what devices run, and give them another application. */
export function deployRoutes(server: Watched): Route[] {
  const PATH = "/api/devices/:id/deploy";
  return [
    route("GET", "/api/apps", "look", () => {
      const views = server.devices.map((device): AppView => {
        return { device: device.id, connected: device.connected, ...appsOf(device) };
      });
      // A group is given an application in this order, whoever connected first.
      return json(views.sort((a, b) => BY_NUMBER.compare(a.device, b.device)));
    }),
    route("POST", PATH, "act", async ({ request, params }) => {
      const device = find(server, params.id);
      const types = {
        wasm: "string",
        name: "string",
        version: "number",
        older: "boolean?",
        again: "boolean?",
        wait: "boolean?",
      } as const;
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
  ];
}

/** @throws {LocalError} BAD_ARGUMENT */
function decode(wasm: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(wasm);
  } catch {
    throw new LocalError("BAD_ARGUMENT", "the field wasm must be a .wasm in base64");
  }
}
