/** The whole API, for requests over any transport. */
import { actRoutes, type Operated } from "./acts.ts";
import { deviceRoutes } from "./api.ts";
import { type Deploying, deployRoutes } from "./deploy_routes.ts";
import { Health, type Healthy } from "./health.ts";
import { logRoutes } from "./log_routes.ts";
import { type BridgeState, metricsRoute } from "./metrics.ts";
import { json, type Route, route, Router } from "./routes.ts";
import { NO_HISTORY, Seen } from "./seen.ts";
import { Tallies } from "./tallies.ts";

/** The part of `Server` that is needed here. */
export interface Served extends Operated, Healthy, Deploying {
  /** Number of operations that wait for the store. */
  readonly waiting: number;
}

/** Options for further routes. */
export interface ApiOptions {
  /** The state of the bridge to a broker. */
  bridge?: () => BridgeState;
  /** Whether there are metrics for each device. */
  eachDevice?: boolean;
}

/** @param signal Ends all streams and all observation of the server. */
export function apiRoutes(
  server: Served,
  seen: Seen,
  signal: AbortSignal,
  { bridge, eachDevice = false }: ApiOptions = {},
): Route[] {
  const health = new Health(server, signal);
  const tallies = new Tallies(server, signal);
  const measured = { tallies, health, waiting: () => server.waiting, eachDevice };
  return [
    ...deviceRoutes(seen),
    ...actRoutes(server),
    ...deployRoutes(server),
    ...logRoutes(server, signal),
    // It reveals nothing about devices, so health checks need no token.
    route("GET", "/healthz", "nothing", async () => {
      const view = await health.look();
      return json(view, view.status === "ok" ? 200 : 503);
    }),
    metricsRoute({ ...measured, ...(bridge && { bridge }) }),
    route("GET", "/api/openapi.json", "nothing", async () => {
      const text = await Deno.readTextFile(new URL("./openapi.json", import.meta.url));
      return json(JSON.parse(text));
    }),
  ];
}

/** The API of a server that has no page. @param signal as for `apiRoutes` */
export function apiRouter(server: Served, signal: AbortSignal, options?: ApiOptions): Router {
  return new Router(apiRoutes(server, new Seen(server, NO_HISTORY, signal), signal, options));
}
