/** The API for programs. `routes.ts` turns errors into answers. */
import type { Device } from "../device.ts";
import { unknownDevice } from "../runtime/transactions.ts";
import { viewOf } from "./fleet.ts";
import { json, type Route, route } from "./routes.ts";
import type { Seen } from "./seen.ts";

/** Routes that show devices. */
export function deviceRoutes(seen: Seen): Route[] {
  return [
    route("GET", "/api/events", "look", ({ address }) => seen.stream(address)),
    route("GET", "/api/devices", "look", () => json(seen.devices.map(viewOf))),
    route("GET", "/api/devices/:id", "look", ({ params }) => json(seen.of(find(seen, params.id)))),
  ];
}

/** @throws {LocalError} UNKNOWN_DEVICE */
export function find({ devices }: { devices: readonly Device[] }, id: string): Device {
  const device = devices.find((device) => device.id === id);
  if (!device) throw unknownDevice(id);
  return device;
}
