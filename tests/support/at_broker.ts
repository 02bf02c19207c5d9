/**
 * A server with a bridge to a test's MQTT broker.
 *
 * @module
 */
import { MqttBridge, type MqttOptions } from "../../bridge/mqtt/mod.ts";
import { Server, type ServerEvent } from "../../server/mod.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform } from "../../server/transport/platform.ts";
import { folder } from "./main_process.ts";
import { until } from "./wait.ts";

export class AtBroker implements AsyncDisposable {
  readonly events: ServerEvent[] = [];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    readonly server: Server,
    readonly mqtt: MqttBridge,
    stack: AsyncDisposableStack,
  ) {
    this.#stack = stack;
  }

  /**
   * @param options The bridge's options; `hostname` is this machine by default.
   * @param platform The bridge's platform; the server uses the real one. @param path The store's path; a new one by
   * default.
   */
  static async start(
    options: Partial<MqttOptions> & { port: number },
    platform: Platform = nodePlatform,
    path?: string,
  ): Promise<AtBroker> {
    await using stack = new AsyncDisposableStack();
    const store = path ?? `${stack.use(folder()).path}/server.db`;
    const mqtt = new MqttBridge({ hostname: "127.0.0.1", ...options }, platform);
    const own = { store, durability: "normal", observe: mqtt.observe } as const;
    const server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true, ...own });
    stack.use(server);
    stack.use(mqtt);
    const bridged = new AtBroker(server, mqtt, stack.move());
    server.events.subscribe((event) => void bridged.events.push(event));
    try {
      await mqtt.start(server);
    } catch (error) {
      await bridged[Symbol.asyncDispose]();
      throw error;
    }
    return bridged;
  }

  /** Waits for a broker event with this code; undefined: connected. */
  async tells(code: string | undefined): Promise<Extract<ServerEvent, { event: "broker" }>> {
    const found = () =>
      this.events.find((event) => event.event === "broker" && event.code === code);
    const what = () => `${code} in ${JSON.stringify(this.events)}`;
    return await until(found, { what }) as Extract<ServerEvent, { event: "broker" }>;
  }

  /** Messages of the warnings with this code. */
  warned(code: string): string[] {
    return this.events.flatMap((event) =>
      event.event === "warning" && event.code === code ? [event.message] : []
    );
  }

  /** The rows that match a query. */
  async rows(sql: string): Promise<Record<string, unknown>[]> {
    let found: Record<string, unknown>[] = [];
    await this.server.transaction(async (tx) => void (found = await tx.all(sql)));
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
