/** All that programs can ask, over whatever a request has come. */
import { actRoutes, type Operated } from "./acts.ts";
import { deviceRoutes } from "./api.ts";
import { logRoutes } from "./log_routes.ts";
import { type Route, Router } from "./routes.ts";
import { NO_HISTORY, Seen } from "./seen.ts";

/** @param signal ends all streams */
export function apiRoutes(server: Operated, seen: Seen, signal: AbortSignal): Route[] {
  return [...deviceRoutes(seen), ...actRoutes(server), ...logRoutes(server, signal)];
}

/** The API of a server that has no page. @param signal ends all streams */
export function apiRouter(server: Operated, signal: AbortSignal): Router {
  return new Router(apiRoutes(server, new Seen(server, NO_HISTORY, signal), signal));
}
