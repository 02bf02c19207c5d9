import { type Device, Server } from "../../server/mod.ts";
import { Web } from "../../server/web/web.ts";
import { until } from "../support/wait.ts";
import { Conversation } from "./conversation.ts";
import { quoted, type View } from "./view.ts";

const DEVICES = 4;

/** A server, its devices, and the cables between them. */
export class Scene implements AsyncDisposable {
  readonly conversations: Conversation[] = [];
  #folder: string; // folder of the store, which outlives each server
  #server: Server | undefined;
  #web: Web | undefined;
  #port: number;
  #webPort: number;
  #view: View;

  /** @param port Where the server listens, and `webPort` the page of it; 0: any free port. */
  static async start(port: number, webPort: number, view: View): Promise<Scene> {
    const scene = new Scene(
      port,
      webPort,
      view,
      await Deno.makeTempDir({ prefix: "holdfast-demo-" }),
    );
    try {
      await scene.startServer();
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
    for (let number = 1; number <= DEVICES; number++) {
      scene.conversations.push(await Conversation.start(number, scene.port, view));
    }
    await Promise.all(scene.conversations.map((talk) => talk.ready()));
    return scene;
  }

  private constructor(port: number, webPort: number, view: View, folder: string) {
    this.#port = port;
    this.#webPort = webPort;
    this.#view = view;
    this.#folder = folder;
  }

  get port(): number {
    return this.#port;
  }

  /** The page that shows the devices. */
  get url(): string {
    return this.#web!.url;
  }

  /** A server on the same port and the same file as the previous one. */
  async startServer(): Promise<void> {
    this.#server = await Server.listen({
      hostname: "127.0.0.1",
      port: this.#port,
      store: `${this.#folder}/holdfast.db`,
      open: true,
      app: (device) => this.#serve(device),
    });
    this.#port = this.#server.port;
    this.#web = await Web.start(this.#server, { port: this.#webPort });
    this.#webPort = Number(new URL(this.#web.url).port);
  }

  async stopServer(): Promise<void> {
    await this.#web?.close();
    await this.#server?.close();
  }

  #serve(device: Device): Promise<void> {
    const talk = this.conversations.find((talk) => talk.id === device.id);
    return talk ? talk.runServer(device) : this.#serveGuest(device);
  }

  /** Serves a user's own client or board: answers `echo x` to `x`. */
  async #serveGuest(device: Device): Promise<void> {
    this.#view.note(`a guest has connected: ${quoted(device.id)}`);
    for await (const line of device) {
      this.#view.note(`guest ${quoted(device.id)} says ${quoted(line)}`);
      device.write(`echo ${line}`).catch(() => {}); // the server is closed, or the guest is away for too long
    }
  }

  /** Waits until everything written has arrived and is acknowledged, for at most `limit` ms. */
  async drain(limit: number): Promise<void> {
    for (const talk of this.conversations) talk.stopWriting();
    const isIdle = (id: string) =>
      this.#server!.devices.every((device) => device.id !== id || device.outbox === 0);
    const quiet = () =>
      this.conversations.every(({ id, allSent, toDevice }) =>
        allSent && toDevice.lost === 0 && isIdle(id)
      );
    await until(quiet, { timeout: limit }).catch(() => {}); // missing messages will be counted
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const talk of this.conversations) await talk[Symbol.asyncDispose]();
    await this.stopServer();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
