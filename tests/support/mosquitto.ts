/**
 * A real broker on a free port, which can be stopped, killed and restarted; and a peer at it.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Decoder, encode, type Packet, type Version } from "../../bridge/mqtt/codec.ts";
import { until } from "./wait.ts";

/** mosquitto's limit of unacknowledged publications. MQTT 3.1.1 cannot announce it: who exceeds it is disconnected. */
const WINDOW = 20;

/** The ids of publications end here; the last id, 0xffff, is that of SUBSCRIBE. */
const MOST_ID = 0xfffe;

/** mosquitto, with a data folder of its own. */
export class Mosquitto implements AsyncDisposable {
  readonly port: number;
  readonly #command: string;
  readonly #folder: string;
  #child: Deno.ChildProcess | undefined;
  #log = "";
  #read: Promise<void> = Promise.resolve();

  private constructor(command: string, folder: string, port: number) {
    this.#command = command;
    this.#folder = folder;
    this.port = port;
  }

  /** @param settings Lines for its configuration. Default: everybody may connect. */
  static async start(
    command: string,
    settings: readonly string[] | ((folder: string) => Promise<string[]>) = [
      "allow_anonymous true",
    ],
  ): Promise<Mosquitto> {
    // It cannot choose a port by itself.
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    listener.close();
    const folder = await Deno.makeTempDir();
    const broker = new Mosquitto(command, folder, port);
    const own = typeof settings === "function" ? await settings(folder) : settings;
    const lines = [
      `listener ${port} 127.0.0.1`,
      "persistence true",
      `persistence_location ${folder}/`,
    ]
      .concat("max_queued_messages 0", own);
    if (Deno.uid() === 0) lines.push("user root"); // otherwise it switches to a user who may not read the file
    await Deno.writeTextFile(`${folder}/mosquitto.conf`, lines.join("\n") + "\n");
    await broker.start();
    return broker;
  }

  /** Its log. */
  get log(): string {
    return this.#log;
  }

  /** Starts or restarts it. */
  async start(): Promise<void> {
    const child = this.#child = new Deno.Command(this.#command, {
      args: ["-c", `${this.#folder}/mosquitto.conf`],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const from = this.#log.length;
    this.#read = (async () => {
      const text = child.stderr.pipeThrough(new TextDecoderStream());
      for await (const piece of text) this.#log += piece;
    })();
    const runs = () => this.#log.slice(from).includes(" running");
    await until(runs, { what: () => `mosquitto to run: ${this.#log.slice(from)}` });
  }

  /** Stops it, cleanly by default. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = undefined;
    child.kill(signal);
    await child.status;
    await this.#read;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** A message that a peer has received. */
export interface Arrived {
  topic: string;
  payload: string;
  isRetained: boolean;
  /** MQTT 5 only. */
  properties?: MessageProperties;
}

/** The properties of a message in MQTT 5. */
export type MessageProperties = NonNullable<Extract<Packet, { cmd: "publish" }>["properties"]>;

/**
 * Another client of the broker, MQTT 3.1.1 by default, which receives and sends with QoS 2 through the broker's
 * restarts: its own state is in memory, and it is never killed.
 */
export class MqttPeer implements AsyncDisposable {
  readonly arrived: Arrived[] = [];
  readonly #version: Version;
  /** Called with each message. */
  onArrival: ((one: Arrived) => void) | undefined;
  readonly #port: number;
  readonly #id: string;
  readonly #subscribes: readonly string[];
  readonly #taken = new Set<number>();
  readonly #out = new Map<number, { packet: Packet; isReleased: boolean; isSent: boolean }>();
  #next = 0;
  #conn: Deno.TcpConn | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #isClosed = false;
  #running: Promise<void>;
  #isReady = false;
  #isOlder = false;

  constructor(
    port: number,
    subscribes: readonly string[],
    id = `peer${crypto.randomUUID().slice(0, 8)}`,
    version: Version = 4,
  ) {
    this.#version = version;
    this.#port = port;
    this.#id = id;
    this.#subscribes = subscribes;
    this.#running = this.#run();
  }

  /**
   * The next broker has an older session: it reuses ids for other messages, which MQTT cannot announce.
   */
  expectsOlderSession(): void {
    this.#isOlder = true;
  }

  /** Waits until it has subscribed, and the broker has confirmed that. */
  async ready(): Promise<void> {
    await until(() => this.#isReady, { what: "the peer's subscription" });
  }

  publish(
    topic: string,
    payload: string | Uint8Array,
    retain = false,
    properties?: MessageProperties,
  ): void {
    const messageId = this.#freeId();
    const bytes = Buffer.from(payload as string);
    const packet = {
      cmd: "publish",
      topic,
      payload: bytes,
      qos: 2,
      dup: false,
      retain,
      messageId,
      ...(properties && { properties }),
    } as const;
    this.#out.set(messageId, { packet, isReleased: false, isSent: false });
    this.#fill();
  }

  #freeId(): number {
    do this.#next = this.#next % MOST_ID + 1; while (this.#out.has(this.#next));
    return this.#next;
  }

  /** Waits until the broker has taken everything that it has published. */
  async settled(): Promise<void> {
    await until(() => this.#out.size === 0, { what: () => `${this.#out.size} publications` });
  }

  /** The payloads received at a topic. */
  at(topic: string): string[] {
    return this.arrived.filter((one) => one.topic === topic).map(({ payload }) => payload);
  }

  /** Waits until this is the last payload at a topic. */
  async shows(topic: string, payload: string): Promise<void> {
    await until(() => this.at(topic).at(-1) === payload, {
      what: () => `${payload} at ${topic}; there was ${this.at(topic).slice(-3)}`,
    });
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#conn = await Deno.connect({ hostname: "127.0.0.1", port: this.#port });
        await this.#serve(this.#conn);
      } catch {
        // The broker is not running yet.
      }
      this.#isReady = false;
      this.#conn = this.#writer = undefined;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #serve(conn: Deno.TcpConn): Promise<void> {
    if (this.#isClosed) return conn.close();
    this.#writer = conn.writable.getWriter();
    this.#send({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: this.#version,
      clientId: this.#id,
      clean: false,
      keepalive: 0,
      ...(this.#version === 5 && { properties: { sessionExpiryInterval: 3600 } }),
    });
    const decoder = new Decoder(this.#version);
    for await (const bytes of conn.readable) {
      for (const { packet } of decoder.take(bytes)) this.#take(packet);
    }
  }

  #take(packet: Packet): void {
    const messageId = packet.messageId!;
    switch (packet.cmd) {
      case "connack": {
        if (!packet.sessionPresent) this.#forget();
        else if (this.#isOlder) this.#taken.clear();
        this.#isOlder = false;
        const subscriptions = this.#subscribes.map((topic) => ({ topic, qos: 2 as const }));
        return this.#send({ cmd: "subscribe", messageId: 0xffff, subscriptions });
      }
      case "suback":
        this.#isReady = true;
        for (const [id, out] of this.#out) {
          if (out.isReleased) this.#send({ cmd: "pubrel", messageId: id });
          else if (out.isSent) this.#send({ ...out.packet, dup: true } as Packet);
        }
        return this.#fill();
      case "publish":
        if (packet.qos < 2 || !this.#taken.has(messageId)) {
          const { topic, payload, retain: isRetained, properties } = packet;
          const more = properties && { properties };
          const one = { topic, payload: payload.toString(), isRetained, ...more };
          this.arrived.push(one);
          this.onArrival?.(one);
        }
        if (packet.qos < 2) return;
        this.#taken.add(messageId);
        return this.#send({ cmd: "pubrec", messageId });
      case "pubrel":
        this.#taken.delete(messageId);
        return this.#send({ cmd: "pubcomp", messageId });
      case "pubrec": {
        const out = this.#out.get(messageId);
        if (out) out.isReleased = true;
        return this.#send({ cmd: "pubrel", messageId });
      }
      case "pubcomp":
        this.#out.delete(messageId);
        return this.#fill();
    }
  }

  /** The broker has forgotten what was under way. */
  #forget(): void {
    this.#taken.clear();
    for (const out of this.#out.values()) out.isReleased = false;
  }

  #fill(): void {
    let window = WINDOW;
    for (const out of this.#out.values()) {
      if (window-- === 0 || !this.#isReady) return;
      if (out.isSent) continue;
      out.isSent = true;
      this.#send(out.packet);
    }
  }

  #send(packet: Packet): void {
    // It cannot be written if the connection is lost; then it is sent again.
    this.#writer?.write(encode(packet, this.#version)).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    try {
      this.#conn?.close();
    } catch {
      // It was lost.
    }
    await this.#running;
  }
}
