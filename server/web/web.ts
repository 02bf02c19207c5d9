/** The page that shows the devices, and the API for programs, over HTTP. */
import type { Events } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import { isLoopback, joinAddress } from "../transport/address.ts";
import { Http } from "../transport/http.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Clock, Tls } from "../transport/platform.ts";
import { waitFor } from "../transport/wait_for.ts";
import { type ApiOptions, apiRoutes, type Served } from "./api_routes.ts";
import { find } from "./api.ts";
import type { Credentials } from "./credentials.ts";
import { deviceStreamRoute } from "./device_stream.ts";
import { Gate, makeSecret, secretOf } from "./gate.ts";
import { History, isOver } from "./history.ts";
import { isForUs, type Names } from "./hosts.ts";
import { pageRoutes } from "./page.ts";
import { RecentLog } from "./recent_log.ts";
import { json, Refusal, refused, route, Router } from "./routes.ts";
import { Seen } from "./seen.ts";
import { Values } from "./values.ts";

/** The part of `Server` that is needed here. */
export interface Hosted extends Served {
  readonly events: Pick<Events, "subscribe" | "emit">;
}

/** Options of the page. */
export interface WebOptions extends ApiOptions {
  /** TCP port, 0: any free one. */
  port: number;
  /** Address to listen on. Default: 127.0.0.1, this machine only; any other address needs credentials. */
  hostname?: string;
  /** Whether everybody who may look may also act: set channels, send, clear, forget. Default: false. */
  admin?: boolean;
  /** Who may log in. Default: everybody who can reach the page gets in. */
  credentials?: Credentials | undefined;
  /** Certificate and key for HTTPS. */
  tls?: Tls | undefined;
  /** Its public address, if it is a name or behind a proxy. */
  url?: URL | undefined;
}

export class Web {
  /** Answers requests whose rights are known. */
  readonly router: Router;
  readonly #server: Hosted;
  readonly #clock: Clock;
  readonly #history: History;
  readonly #seen: Seen;
  readonly #recent: RecentLog;
  readonly #values: Values;
  readonly #gate: Gate;
  readonly #names: Names;
  readonly #hostname: string;
  readonly #stop = new AbortController();
  #http!: Http;

  private constructor(
    server: Hosted,
    { hostname = "127.0.0.1", admin = false, credentials, tls, url, ...api }: WebOptions,
    clock: Clock,
    { files, secret }: { files: Awaited<ReturnType<typeof pageRoutes>>; secret: Uint8Array },
  ) {
    const { signal } = this.#stop;
    this.#server = server;
    this.#clock = clock;
    this.#history = new History(server, clock);
    this.#names = { scheme: tls ? "https" : "http", url };
    this.#hostname = hostname;
    this.#recent = new RecentLog(server, () => clock.date());
    this.#values = new Values(server, () => clock.date());
    this.#gate = new Gate({
      credentials,
      most: admin ? "act" : "look",
      isSecure: (url?.protocol ?? (tls ? "https:" : "http:")) === "https:",
      secret,
      date: () => clock.date(),
      now: () => clock.now(),
    });
    const seen = this.#seen = new Seen(server, this.#history, signal);
    this.router = new Router([
      ...apiRoutes(server, seen, signal, api),
      deviceStreamRoute(server, seen, this.#recent),
      route("GET", "/api/devices/:id/values", "look", ({ params, query }) => {
        const { id } = find(server, params.id);
        return json({ points: this.#values.of(id, query.get("channel") ?? "") });
      }),
      ...this.#gate.routes(),
      ...files,
    ]);
  }

  /**
   * Starts to serve the page of a server. It first reads what an earlier server left in the store, unless the store
   * fails.
   *
   * @throws {LocalError} BAD_ARGUMENT: others can reach it, but there are no credentials
   * @throws {Error} the operating system's, with a code such as EADDRINUSE
   */
  static async start(
    server: Hosted,
    options: WebOptions,
    clock: Clock = nodePlatform,
  ): Promise<Web> {
    const { hostname = "127.0.0.1", credentials, url } = options;
    if (!credentials && !(isLoopback(hostname) && (!url || isLoopback(url.hostname)))) {
      throw new LocalError(
        "BAD_ARGUMENT",
        "others can reach the page there, so it needs a password: make one with `holdfast web password`, and give --web-password-file",
      );
    }
    const secret = makeSecret();
    const web = new Web(server, options, clock, { files: await pageRoutes(), secret });
    try {
      await web.#read(secret);
      web.#http = await Http.listen({
        ...{ port: options.port, hostname, tls: options.tls },
        answer: (request, address) => web.#answer(request, address),
        failed: (error) => web.#failed(error),
      });
      return web;
    } catch (error) {
      await web.#end();
      throw error;
    }
  }

  /** Replaces the certificate, for new connections, if the page has one. @throws {LocalError} BAD_ARGUMENT */
  setTls(tls: Tls): void {
    if (this.#names.scheme === "https") this.#http.setTls(tls);
  }

  /** Replaces the credentials; a changed password ends the sessions of the old one. */
  setCredentials(credentials: Credentials): void {
    this.#gate.setCredentials(credentials);
  }

  /** TCP port that it listens on. */
  get port(): number {
    return this.#http.port;
  }

  /** The URL for a browser. */
  get url(): string {
    const { scheme, url } = this.#names;
    if (url) return url.href;
    const host = isLoopback(this.#hostname) ? "localhost" : this.#hostname;
    return `${scheme}://${joinAddress(host, this.port)}/`;
  }

  /** Closes the page, before the server is closed. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#http.close();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stop.abort();
    this.#recent.close();
    this.#values.close();
    await waitFor(this.#history.close(), this.#clock);
  }

  /**
   * Reads what an earlier server has left, but does not wait long, so that the page can show a failing store.
   *
   * @param secret Signs sessions until then, and afterwards if the store has none.
   */
  async #read(secret: Uint8Array): Promise<void> {
    const reading = Promise.all([
      this.#history.read,
      secretOf(this.#server, secret).then((kept) => this.#gate.setSecret(kept)),
    ]);
    if (await waitFor(reading, this.#clock)) return;
    reading.then(() => this.#seen.again(), (error) => {
      if (!isOver(error)) this.#failed(error, "reading the page's history");
    });
  }

  #answer(request: Request, address: string): Response | Promise<Response> {
    try {
      if (!isForUs(request, this.#names)) {
        throw new Refusal(403, "NOT_FOR_US", "this request is for another site, or comes from one");
      }
      return this.router.answer(request, { may: this.#gate.rightOf(request), address });
    } catch (error) {
      return refused(error);
    }
  }

  /** Reports a failure of the server itself. */
  #failed(error: unknown, what = "a request to the page"): Response {
    const why = error instanceof Error ? error.stack : error;
    const message = `${what} has failed: ${why}`;
    this.#server.events.emit({ event: "warning", code: "PAGE_FAILED", message });
    return json({ code: "PAGE_FAILED", message: "the server failed to answer this request" }, 500);
  }
}
