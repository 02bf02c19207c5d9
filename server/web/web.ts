/** The page that shows what becomes of devices, and the same for programs: read only, for this machine alone. */
import type { Device } from "../device.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";
import { Changes, type DeviceView, viewOf } from "./fleet.ts";
import { History, type LinkTime, type Recorded } from "./history.ts";
import { isForUs } from "./hosts.ts";
import { type Page, readPage } from "./page.ts";
import { streamOf } from "./stream.ts";

/** Streams at once. */
const MOST_STREAMS = 64;

/** Where the page is. */
export interface WebOptions {
  /** TCP port on this machine, 0: any free one. */
  port: number;
}

/** A device as the stream shows it. */
export interface SeenDevice extends DeviceView {
  /** Its links, oldest first; in a change, those that are not as they were. */
  readonly links: readonly LinkTime[];
}

/** What the stream tells. */
export interface Told {
  /** ms since 1970, by the server's clock. */
  readonly now: number;
  /** When the server ran, oldest first. */
  readonly served: readonly LinkTime[];
  /** All, at first; then those that have changed. */
  readonly devices: readonly SeenDevice[];
  /** Ids of those that were forgotten. */
  readonly gone?: readonly string[];
}

export class Web {
  readonly #server: Recorded;
  readonly #history: History;
  readonly #page: Page;
  readonly #stop = new AbortController();
  readonly #http: Deno.HttpServer<Deno.NetAddr>;
  #streams = 0;

  private constructor(server: Recorded, history: History, page: Page, { port }: WebOptions) {
    this.#server = server;
    this.#history = history;
    this.#page = page;
    this.#http = Deno.serve(
      { port, hostname: "127.0.0.1", onListen() {}, signal: this.#stop.signal },
      (request) => this.#answer(request),
    );
  }

  /**
   * Begins to serve the page of a server.
   *
   * @throws {Error} the operating system's, with a code such as EADDRINUSE
   */
  static async start(
    server: Recorded,
    options: WebOptions,
    clock: Clock = nodePlatform,
  ): Promise<Web> {
    const page = await readPage();
    return new Web(server, await History.start(server, clock), page, options);
  }

  /** What a browser opens. */
  get url(): string {
    return `http://localhost:${this.#http.addr.port}/`;
  }

  /** Ends it, before the server is closed. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#http.finished;
    await this.#history.close();
  }

  #answer(request: Request): Response {
    if (!isForUs(request)) return refuse(403, "this page is for this machine alone");
    if (request.method !== "GET" && request.method !== "HEAD") {
      return refuse(405, "only GET and HEAD", { allow: "GET, HEAD" });
    }
    const path = pathOf(request);
    if (path === undefined) return refuse(400, "a % in the path is none");
    if (path === "/api/events") return this.#stream();
    if (path === "/api/devices") return Response.json(this.#server.devices.map(viewOf), API);
    const [, id] = path.match(/^\/api\/devices\/(.+)$/s) ?? [];
    if (id !== undefined) {
      const device = this.#server.devices.find((device) => device.id === id);
      return device ? Response.json(this.#seen(device), API) : refuse(404, `no device ${id}`);
    }
    return this.#page.answer(path, request.method) ?? refuse(404, "there is no such page");
  }

  #stream(): Response {
    if (this.#streams >= MOST_STREAMS) return refuse(503, `${MOST_STREAMS} pages are open already`);
    this.#streams++;
    return streamOf((changed) => {
      const changes = new Changes(this.#server, changed);
      let looked = 0;
      const look = (devices: readonly Device[]): Told => {
        const seen = devices.map((device) => this.#seen(device, looked));
        return { now: looked = Date.now(), served: this.#history.served, devices: seen };
      };
      return {
        all: () => look(this.#server.devices),
        changes: () => {
          const ids = new Set(changes.take());
          if (ids.size === 0) return undefined;
          const devices = this.#server.devices.filter(({ id }) => ids.has(id));
          for (const { id } of devices) ids.delete(id);
          return { ...look(devices), gone: [...ids] };
        },
        close: () => {
          changes.close();
          this.#streams--;
        },
      };
    }, this.#stop.signal);
  }

  /** @param since links that ended before are left out: ms since 1970 */
  #seen(device: Device, since = 0): SeenDevice {
    const links = this.#history.of(device.id).filter(({ to = Infinity }) => to >= since);
    return { ...viewOf(device), links };
  }
}

const API = { headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" } };

function refuse(status: number, error: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error }, { status, headers: { ...API.headers, ...headers } });
}

function pathOf(request: Request): string | undefined {
  try {
    return decodeURIComponent(new URL(request.url).pathname);
  } catch {
    return undefined;
  }
}
