/**
 * A server on a machine that the test controls: nothing happens by itself.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { type Device, Server, type ServerOptions } from "../../server/mod.ts";
import { ManualPlatform, type ManualSocket } from "./manual_platform.ts";

export const TIMEOUT = 2000;

export class ManualServer implements AsyncDisposable {
  /** Each event with its device and its code. */
  readonly log: string[] = [];

  private constructor(readonly platform: ManualPlatform, readonly server: Server) {
    server.events.subscribe((event) => {
      const { device = "", code = "" } = event as { device?: string; code?: string };
      this.log.push([event.event, device, code].filter(Boolean).join(" "));
    });
  }

  static async start(
    options: ServerOptions = {},
    platform = new ManualPlatform(),
  ): Promise<ManualServer> {
    const server = await Server.listen({ open: true, timeout: TIMEOUT, ...options }, platform);
    return new ManualServer(platform, server);
  }

  /** Somebody connects, and sends this. */
  async knock(text = ""): Promise<ManualSocket> {
    const socket = this.platform.knock();
    if (text !== "") socket.gives(text);
    await this.platform.turn();
    return socket;
  }

  /** A device that was connected, and no longer is. */
  async away(id: string): Promise<Device> {
    const socket = await this.knock(`${id}\n\n`);
    socket.fails(new Error("reset"));
    await this.platform.turn();
    return await this.server.device(id);
  }

  /** Forgets a device, and makes that safe. */
  async forgets(id: string): Promise<void> {
    const forgotten = this.server.forget(id);
    await this.platform.turn();
    await forgotten;
  }

  async says(socket: ManualSocket, text: string): Promise<void> {
    socket.gives(text);
    await this.platform.turn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    assertEquals(this.platform.timers, 0, "a timer has outlived the server");
  }
}
