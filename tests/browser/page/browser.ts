/**
 * The real page in a real browser: headless Chromium, a server for the page and for images, and a fixture
 * with boards behind `navigator.serial`.
 *
 * @module
 */
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { buildSite, type Site } from "../../../bridge/flasher/build.ts";
import { readImages } from "../../../bridge/flasher/images.ts";
import { answer } from "../../../bridge/flasher/serve.ts";
import { type Images, writeImages } from "../firmware/images.ts";
import { browserIsThere, launch, PATIENCE } from "./chromium.ts";
import { Fixture } from "./fixture.ts";
import { Person } from "./person.ts";

/** Shared by the tests of a file. */
export class Lab {
  #browser: Browser | undefined;
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  readonly #end = new AbortController();
  #folder = "";
  /** Other images than the file's, for one visit. */
  #images: URL | undefined;
  /** Delays the list of firmware, for one visit. */
  #listed: Promise<unknown> | undefined;
  /** The built page. */
  site: Site = new Map();

  /** @param images the built firmware that the page finds, one folder each */
  async start(images: Record<string, Images>): Promise<void> {
    this.site = await buildSite();
    this.#folder = await Deno.makeTempDir({ prefix: "holdfast-images-" });
    for (const [name, set] of Object.entries(images)) {
      await writeImages(set, `${this.#folder}/${name}`);
    }
    const folder = new URL(`file://${this.#folder}/`);
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, signal: this.#end.signal, onListen() {} },
      async (request) => {
        if (request.url.endsWith("/firmware/index.json")) {
          await this.#listed;
        }
        return answer(request, this.site, () => readImages(this.#images ?? folder));
      },
    );
    this.#browser = await launch();
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    this.#end.abort(); // whatever requests are pending
    await this.#server?.finished;
    if (this.#folder !== "") await Deno.remove(this.#folder, { recursive: true });
  }

  get url(): string {
    return `http://localhost:${this.#server!.addr.port}/`;
  }

  /**
   * Opens the page, by default with a fixture without boards, and waits for its list of firmware, which moves
   * everything below it.
   */
  async open(options: Visit = {}): Promise<Visitor> {
    const { fixture = new Fixture(), serial = true, host = "localhost", images, listed, ...rest } =
      options;
    this.#images = images === undefined ? undefined : new URL(`file://${images}/`);
    this.#listed = listed;
    const context = await this.#browser!.newContext({
      viewport: { width: 1000, height: 900 },
      ...rest,
    });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const visitor = new Visitor(page, fixture);
    if (serial) await fixture.attach(page);
    else await page.addInitScript(() => void Reflect.deleteProperty(Navigator.prototype, "serial"));
    await page.goto(this.url.replace("localhost", host));
    if (listed === undefined) {
      await page.getByText("The list of firmware is loading").waitFor({ state: "hidden" });
    }
    return visitor;
  }
}

/** Options of a visit. */
export interface Visit extends BrowserContextOptions {
  fixture?: Fixture;
  /** Whether the browser has Web Serial; default: yes. */
  serial?: boolean;
  /** The page's host name: "localhost" by default, or "elsewhere.test". */
  host?: string;
  /** A folder with other images than those of the lab. */
  images?: string;
  /** The page gets its list of firmware when this resolves; by default at once. */
  listed?: Promise<unknown>;
}

/** Values for the form. */
export interface Form {
  ssid?: string;
  password?: string;
  server?: string;
  id?: string;
  /** "make": made by the page; digits: this key. Default: none. */
  key?: string;
}

/** A complete form, for a board without a key. */
export const form: Readonly<Required<Form>> = {
  ssid: "Home",
  password: "correct horse",
  server: "192.168.1.10",
  id: "kitchen",
  key: "",
};

/** A user who flashes boards with the page. */
export class Visitor extends Person {
  constructor(page: Page, readonly fixture: Fixture) {
    super(page);
  }

  /** Chooses the port and waits until the board is identified. */
  async connect(): Promise<void> {
    await this.press("Choose port");
    await this.awaits(this.fact("Chip"));
  }

  async fill(fields: Form = {}): Promise<void> {
    const { ssid, password, server, id, key } = { ...form, ...fields };
    await this.field("WiFi name").fill(ssid);
    await this.field("WiFi password").fill(password);
    await this.field("Server address").fill(server);
    await this.field("Device id").fill(id);
    if (key === "make") await this.check(/^Make one/);
    else if (key === "") await this.check(/^None: the server/);
    else {
      await this.check("I have one");
      await this.field("Key (64 hex digits)").fill(key);
    }
  }

  /** Fills in the form, and flashes. */
  async flash(fields: Form = {}): Promise<void> {
    await this.fill(fields);
    await this.press("Flash the board");
  }

  /** Waits until a part of the flash is being written. */
  async seesWriting(): Promise<void> {
    await this.awaits(this.page.getByText("writing", { exact: true }).first());
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.page.context().close();
    this.fixture[Symbol.dispose]();
    await super[Symbol.asyncDispose]();
  }
}

/** The lab of a file's tests: started before the first, stopped after the last. */
export function useLab(images: () => Promise<Record<string, Images>>): Lab {
  const lab = new Lab();
  if (browserIsThere()) {
    Deno.test.beforeAll(async () => await lab.start(await images()));
    Deno.test.afterAll(() => lab.stop());
  }
  return lab;
}
