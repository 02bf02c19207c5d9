/**
 * A broker with one client, which sends what the test wants.
 *
 * @module
 */
import { Decoder, encode, type Packet } from "../../bridge/mqtt/codec.ts";
import { until } from "./wait.ts";

const VERSION = 4;

export class ScriptBroker implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #conn: Deno.TcpConn | undefined;
  #packets: Packet[] = [];
  #reading = Promise.resolve();
  #readOn = () => {};
  /** Whether it answers pings; these do not count as packets. */
  answersPings = false;
  /** Whether it takes publications to a topic by itself; these do not count either. */
  takes: (topic: string) => boolean = () => false;
  readonly #taken = new Set<number>();
  readonly #running = this.#run();

  get port(): number {
    return this.#listener.addr.port;
  }

  /** Accepts the client, and says whether the broker has its session. */
  async welcomes(sessionPresent: boolean): Promise<void> {
    await this.hears("connect");
    await this.says({ cmd: "connack", sessionPresent, returnCode: 0 });
    await this.grants();
  }

  /** Grants a subscription. */
  async grants(): Promise<void> {
    const { messageId, subscriptions } = await this.hears("subscribe");
    await this.says({ cmd: "suback", messageId: messageId!, granted: subscriptions.map(() => 2) });
  }

  /** The next packet of a kind; others before it are skipped. */
  async hears<Cmd extends Packet["cmd"]>(cmd: Cmd): Promise<Extract<Packet, { cmd: Cmd }>> {
    const found = () => this.#packets.findIndex((packet) => packet.cmd === cmd);
    await until(() => found() >= 0, {
      what: () => `${cmd} among ${this.#packets.map((it) => it.cmd)}`,
    });
    return this.#packets.splice(0, found() + 1).at(-1) as Extract<Packet, { cmd: Cmd }>;
  }

  async says(packet: Packet): Promise<void> {
    await this.gives(encode(packet, VERSION));
  }

  async gives(bytes: Uint8Array): Promise<void> {
    await this.#conn!.write(bytes);
  }

  /** Stops reading. */
  pauses(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#reading = promise;
    this.#readOn = resolve;
  }

  /** Reads again. */
  resumes(): void {
    this.#readOn();
  }

  /** How many packets of a kind have arrived and were not read with `hears`. */
  count(cmd: Packet["cmd"]): number {
    return this.#packets.filter((packet) => packet.cmd === cmd).length;
  }

  /** Ends the connection. */
  leaves(): void {
    const conn = this.#conn;
    this.#conn = undefined;
    try {
      conn?.close();
    } catch {
      // The client has ended it.
    }
  }

  async #run(): Promise<void> {
    for await (const conn of this.#listener) {
      this.leaves();
      this.#conn = conn;
      this.#packets = [];
      void this.#read(conn);
    }
  }

  async #read(conn: Deno.TcpConn): Promise<void> {
    const decoder = new Decoder(VERSION);
    try {
      for await (const bytes of conn.readable) {
        for (const { packet } of decoder.take(bytes)) {
          if (!await this.#answers(packet)) this.#packets.push(packet);
        }
        await this.#reading;
      }
    } catch {
      // The connection has ended.
    }
    if (this.#conn === conn) this.#conn = undefined;
  }

  /** Its automatic answers. */
  async #answers(packet: Packet): Promise<boolean> {
    const messageId = packet.messageId!;
    if (packet.cmd === "pingreq" && this.answersPings) await this.says({ cmd: "pingresp" });
    else if (packet.cmd === "publish" && packet.qos === 2 && this.takes(packet.topic)) {
      this.#taken.add(messageId);
      await this.says({ cmd: "pubrec", messageId });
    } else if (packet.cmd === "pubrel" && this.#taken.delete(messageId)) {
      await this.says({ cmd: "pubcomp", messageId });
    } else return false;
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.resumes();
    this.leaves();
    this.#listener.close();
    await this.#running;
  }
}
