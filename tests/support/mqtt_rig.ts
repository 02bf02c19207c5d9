/**
 * A session whose broker is the test: it sees what the session sends, and answers as a broker may.
 *
 * @module
 */
import { Decoder, encode, type Packet, type Version } from "../../bridge/mqtt/codec.ts";
import { type Kept, MqttSession, type SessionOptions } from "../../bridge/mqtt/mqtt_session.ts";
import type { Task } from "../../bridge/mqtt/tasks.ts";

export const NONE: Kept = { inFlight: [], taken: [], filters: [] };

export class MqttRig {
  readonly session: MqttSession;
  now = 0;
  #broker: Decoder;

  constructor(
    readonly version: Version = 5,
    kept: Partial<Kept> = NONE,
    options: Partial<SessionOptions> = {},
  ) {
    this.#broker = new Decoder(version);
    this.session = new MqttSession({
      version,
      clientId: "holdfast1",
      keepalive: 30,
      status: "h/status",
      subscribe: ["h/+/+/set"],
      window: 4,
      receiveMaximum: 4,
      ...options,
    }, { ...NONE, ...kept });
    this.session.start(this.now);
  }

  /** Connects, up to CONNACK and its consequences. @returns what was sent by then */
  connect(
    { sessionPresent = true, properties = {} }: {
      sessionPresent?: boolean;
      properties?: Record<string, unknown>;
    } = {},
  ): string[] {
    this.#broker = new Decoder(this.version);
    this.session.connecting(this.now);
    this.session.opened(this.now);
    const sent = this.sent();
    const code = this.version === 5 ? { reasonCode: 0, properties } : { returnCode: 0 };
    this.says({ cmd: "connack", sessionPresent, ...code } as Packet);
    this.settle();
    return [...sent, ...this.sent()];
  }

  /** The broker sends a packet. */
  says(packet: Packet): void {
    this.gives(encode(packet, this.version));
  }

  /** The broker answers about a packet. */
  answers(
    cmd: "puback" | "pubrec" | "pubrel" | "pubcomp",
    messageId: number,
    reasonCode = 0,
  ): void {
    this.says({ cmd, messageId, ...(this.version === 5 && { reasonCode }) } as Packet);
  }

  /** A message comes. */
  delivers(
    messageId: number,
    payload = "1",
    more: Partial<Packet & { qos: 0 | 1 | 2; dup: boolean }> = {},
  ): void {
    const topic = "h/1/led/set";
    const packet = { cmd: "publish", messageId, qos: 2, dup: false, retain: false, topic, payload };
    this.says({ ...packet, ...more } as Packet);
  }

  gives(bytes: Uint8Array): void {
    this.session.received(bytes, this.now);
  }

  /** All tasks are safe at once. @returns what they were */
  settle(): string[] {
    const tasks = this.session.tasks();
    for (const task of tasks) this.session.safe(task, this.now);
    return tasks.map(named);
  }

  /** What was sent since the last call. */
  sent(): string[] {
    return this.session.output().flatMap((bytes) => [...this.#broker.take(bytes)])
      .map(({ packet }) => {
        const { cmd, messageId, dup } = packet as {
          cmd: string;
          messageId?: number;
          dup?: boolean;
        };
        const { reasonCode } = packet as { reasonCode?: number };
        return [
          cmd,
          messageId,
          dup ? "again" : "",
          reasonCode ? `0x${reasonCode.toString(16)}` : "",
        ]
          .filter((word) => word !== undefined && word !== "").join(" ");
      });
  }
}

function named(task: Task): string {
  if (task.does === "resume") return task.isPresent ? "resume" : "begin";
  if (task.does === "subscribed") {
    const refused = task.refused.map(({ filter, why }) => `not ${filter} (${why})`);
    return [task.does, ...task.granted, ...refused].join(" ");
  }
  if ("filters" in task) return [task.does, ...task.filters].join(" ");
  const refused = task.does === "complete" && task.refused ? ` (${task.refused})` : "";
  return `${task.does} ${task.packet}${refused}`;
}

/** A publication. */
export function row(seq: number, payload = String(seq)) {
  return { seq, topic: "h/1/led", payload, retain: true };
}
