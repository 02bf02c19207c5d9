/**
 * A real broker, a peer at it, and a server with a bridge that can be restarted on its store.
 *
 * @module
 */
import { MqttBridge, type MqttOptions } from "../../bridge/mqtt/mod.ts";
import { Server, type ServerEvent, type ServerOptions } from "../../server/mod.ts";
import { folder } from "./main_process.ts";
import { Mosquitto, MqttPeer } from "./mosquitto.ts";

export class Bridged implements AsyncDisposable {
  readonly broker: Mosquitto;
  readonly peer: MqttPeer;
  /** Events of all servers so far. */
  readonly events: ServerEvent[] = [];
  server!: Server;
  mqtt!: MqttBridge;
  #options: Partial<MqttOptions>;
  readonly #folder = folder();
  #port = 0;

  private constructor(broker: Mosquitto, peer: MqttPeer, options: Partial<MqttOptions>) {
    this.broker = broker;
    this.peer = peer;
    this.#options = options;
  }

  /** @param subscribes The peer's topic filter. The peer uses the bridge's version of MQTT. */
  static async begin(
    mosquitto: string,
    options: Partial<MqttOptions> = {},
    subscribes: readonly string[] = ["#"],
  ): Promise<Bridged> {
    await using stack = new AsyncDisposableStack();
    const broker = stack.use(await Mosquitto.start(mosquitto));
    const { version = 5 } = options;
    const peer = stack.use(new MqttPeer(broker.port, subscribes, undefined, version));
    await peer.ready();
    const all = new Bridged(broker, peer, options);
    await all.start();
    stack.move();
    return all;
  }

  /** Starts a server on the store of the last one. @param more Options of the bridge that change from now on. */
  async start(more: Partial<MqttOptions> = {}, serverOptions: ServerOptions = {}): Promise<void> {
    this.#options = { ...this.#options, ...more };
    const at = { hostname: "127.0.0.1", port: this.broker.port };
    this.mqtt = new MqttBridge({ ...at, ...this.#options });
    this.server = await Server.listen({
      port: this.#port,
      hostname: "127.0.0.1",
      open: true,
      store: `${this.#folder.path}/server.db`,
      durability: "normal",
      observe: this.mqtt.observe,
      ...serverOptions,
    });
    this.#port = this.server.port;
    this.server.events.subscribe((event) => void this.events.push(event));
    await this.mqtt.start(this.server);
  }

  /** Ends bridge and server. */
  async stop(): Promise<void> {
    this.mqtt.close();
    await this.server.close();
  }

  /** Codes of warnings so far. */
  get warned(): string[] {
    return this.events.flatMap((event) => event.event === "warning" ? [event.code] : []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.peer[Symbol.asyncDispose]();
    await this.broker[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
