/** The page that shows what becomes of devices, and the same for programs: for this machine alone. */
import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";
import { type ApiOptions, apiRoutes, type Served } from "./api_routes.ts";
import { deviceStreamRoute } from "./device_stream.ts";
import { History } from "./history.ts";
import { isForUs } from "./hosts.ts";
import { pageRoutes } from "./page.ts";
import { RecentLog } from "./recent_log.ts";
import { Refusal, refused, type Route, Router } from "./routes.ts";
import { Seen } from "./seen.ts";

/** Where the page is. */
export interface WebOptions extends ApiOptions {
  /** TCP port on this machine, 0: any free one. */
  port: number;
  /** Whoever may look may act as well: set channels, send, clear, forget. Default: false. */
  admin?: boolean;
}

export class Web {
  /** Answers what is asked, for whoever has found out who asks. */
  readonly router: Router;
  readonly #history: History;
  readonly #recent: RecentLog;
  readonly #admin: boolean;
  readonly #stop: AbortController;
  readonly #http: Deno.HttpServer<Deno.NetAddr>;

  private constructor(
    history: History,
    recent: RecentLog,
    routes: readonly Route[],
    stop: AbortController,
    { port, admin = false }: WebOptions,
  ) {
    this.router = new Router(routes);
    this.#history = history;
    this.#recent = recent;
    this.#admin = admin;
    this.#stop = stop;
    this.#http = Deno.serve(
      { port, hostname: "127.0.0.1", onListen() {}, signal: stop.signal },
      (request, { remoteAddr }) => this.#answer(request, remoteAddr.hostname),
    );
  }

  /**
   * Begins to serve the page of a server.
   *
   * @throws {Error} the operating system's, with a code such as EADDRINUSE
   */
  static async start(
    server: Served,
    options: WebOptions,
    clock: Clock = nodePlatform,
  ): Promise<Web> {
    const files = await pageRoutes();
    const history = await History.start(server, clock);
    const stop = new AbortController();
    const seen = new Seen(server, history, stop.signal);
    const recent = new RecentLog(server, () => clock.date());
    const routes = [
      ...apiRoutes(server, seen, stop.signal, options),
      deviceStreamRoute(server, seen, recent),
      ...files,
    ];
    return new Web(history, recent, routes, stop, options);
  }

  /** What a browser opens. */
  get url(): string {
    return `http://localhost:${this.#http.addr.port}/`;
  }

  /** Ends it, before the server is closed. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#http.finished;
    this.#recent.close();
    await this.#history.close();
  }

  #answer(request: Request, address: string): Response | Promise<Response> {
    if (!isForUs(request)) {
      return refused(new Refusal(403, "NOT_FOR_US", "this page is for this machine alone"));
    }
    return this.router.answer(request, { may: this.#admin ? "act" : "look", address });
  }
}
