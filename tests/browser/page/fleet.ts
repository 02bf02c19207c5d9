/**
 * The server's page in a real browser: a server with a store, real clients behind a network that breaks, and users.
 *
 * @module
 */
import type { Browser, BrowserContextOptions, Locator } from "playwright-core";
import { Client, type ClientOptions } from "../../../bridge/host/mod.ts";
import { Server, type ServerOptions } from "../../../server/mod.ts";
import { Web, type WebOptions } from "../../../server/web/web.ts";
import { FaultProxy } from "../../support/proxy.ts";
import { launch, PATIENCE } from "./chromium.ts";
import { Person } from "./person.ts";

/** Timeout of the server and its clients, in ms: long, because a busy machine is silent, too. */
export const TIMEOUT = 10_000;

/** A server that can be restarted on its ports and its store, its devices, and a browser. */
export class Fleet implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #options: ServerOptions;
  readonly #web: Partial<WebOptions>;
  #browser!: Browser;
  #server!: Server;
  #page!: Web;
  #proxy!: FaultProxy;

  private constructor(options: ServerOptions, web: Partial<WebOptions>) {
    this.#options = options;
    this.#web = web;
  }

  static async start(
    options: ServerOptions = {},
    web: Partial<WebOptions> = {},
  ): Promise<Fleet> {
    const fleet = new Fleet(options, web);
    try {
      await fleet.#start();
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
    return fleet;
  }

  async #start(): Promise<void> {
    const path = await Deno.makeTempDir({ prefix: "holdfast-fleet-" });
    this.#stack.defer(() => Deno.remove(path, { recursive: true }));
    Object.assign(this.#options, { store: `${path}/server.db`, ...this.#options });
    await this.startServer();
    this.#stack.defer(() => this.stopServer());
    this.#proxy = this.#stack.use(
      await FaultProxy.start({ target: { port: this.#server.port } }),
    );
    this.#browser = await launch();
    this.#stack.defer(() => this.#browser.close());
  }

  get server(): Server {
    return this.#server;
  }

  get web(): Web {
    return this.#page;
  }

  /** The network between the server and its devices. */
  get network(): FaultProxy {
    return this.#proxy;
  }

  /** Starts a server on the same ports and the same store as the previous one. */
  async startServer(): Promise<void> {
    this.#server = await Server.listen({
      hostname: "127.0.0.1",
      open: true,
      timeout: TIMEOUT,
      ...this.#options,
      port: this.#server?.port ?? 0,
    });
    const port = this.#page?.port ?? 0;
    this.#page = await Web.start(this.#server, { ...this.#web, port });
  }

  async stopServer(): Promise<void> {
    await this.#page.close();
    await this.#server.close();
  }

  /** A device that has connected. */
  async device(id: string, options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = new Client({ id, port: this.#proxy.port, timeout: TIMEOUT, ...options });
    this.#stack.use(client);
    await client.ready();
    await this.#server.device(id);
    return client;
  }

  /** Opens the page as a user. */
  async visitor(options: BrowserContextOptions = {}, path = ""): Promise<FleetVisitor> {
    const context = await this.#browser.newContext({
      viewport: { width: 1000, height: 900 },
      ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    const visitor = this.#stack.use(new FleetVisitor(await context.newPage()));
    await visitor.page.goto(`${this.#page.url}${path}`);
    return visitor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** A user who looks at devices. */
export class FleetVisitor extends Person {
  /** A device's row with these words. */
  row(id: string, words: string | RegExp = ""): Locator {
    const name = this.page.getByRole("rowheader", { name: id, exact: true });
    return this.page.getByRole("row").filter({ has: name }).filter({ hasText: words });
  }
}
