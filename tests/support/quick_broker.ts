/**
 * A machine that the test controls, with a broker that takes everything, and answers in the next turn of the event
 * loop.
 *
 * @module
 */
import { Decoder, encode, type Packet } from "../../bridge/mqtt/codec.ts";
import type { Platform, Socket } from "../../server/transport/platform.ts";
import { ManualPlatform } from "./manual_platform.ts";

const VERSION = 5;

export class BrokeredPlatform extends ManualPlatform {
  /** A publication has reached its subscribers: the broker delivers at PUBREL. */
  delivered: (topic: string, payload: string) => void = () => {};
  readonly #taken = new Map<number, Extract<Packet, { cmd: "publish" }>>();

  override connect(...[, events]: Parameters<Platform["connect"]>): Socket {
    const decoder = new Decoder(VERSION);
    const say = (packet: Packet) => {
      const bytes = encode(packet, VERSION);
      this.soon(() => events.data(bytes));
    };
    this.soon(() => events.opened());
    return {
      address: "192.0.2.2:1883",
      hostname: "192.0.2.2",
      taken: 0,
      write: (data) => {
        const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
        for (const { packet } of decoder.take(bytes)) this.#answer(packet, say);
        return true;
      },
      start() {},
      pause() {},
      resume() {},
      finish() {},
      close() {},
    };
  }

  #answer(packet: Packet, say: (packet: Packet) => void): void {
    switch (packet.cmd) {
      case "connect":
        return say({ cmd: "connack", sessionPresent: false, reasonCode: 0 });
      case "subscribe": {
        const granted = packet.subscriptions.map(() => 2);
        return say({ cmd: "suback", messageId: packet.messageId!, granted });
      }
      case "publish":
        if (packet.qos !== 2) return;
        this.#taken.set(packet.messageId!, packet);
        return say({ cmd: "pubrec", messageId: packet.messageId!, reasonCode: 0 });
      case "pubrel": {
        const { messageId } = packet;
        const { topic, payload } = this.#taken.get(messageId!)!;
        this.#taken.delete(messageId!);
        this.delivered(topic, String(payload));
        return say({ cmd: "pubcomp", messageId: messageId!, reasonCode: 0 });
      }
    }
  }
}
