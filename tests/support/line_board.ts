/**
 * A board of dialect 1 on a server controlled by the test: it acknowledges its messages, and sends what the test wants.
 *
 * @module
 */
import type { ManualSocket } from "./manual_platform.ts";
import type { ManualServer } from "./manual_server.ts";

/** More messages than this, each sent when the previous one was acknowledged, count as endless. */
const RESTLESS = 10_000;

export class LineBoard {
  /** Messages that it has taken. */
  readonly taken: string[] = [];
  /** Whether it takes messages. */
  takes = true;
  #socket: ManualSocket | undefined;
  #read = 0;
  #last = 0;
  #next = 0;

  constructor(public scene: ManualServer, readonly id = "1") {}

  async connect(): Promise<void> {
    this.#socket = await this.scene.knock(`${this.id}\n\n`);
    this.#read = 0;
    await this.settle();
  }

  /** The connection breaks. */
  async leave(): Promise<void> {
    this.#socket!.fails(new Error("reset"));
    this.#socket = undefined;
    await this.scene.platform.turn();
  }

  /** Restarts it; dialect 1 shows that by the first id, 00. */
  reboot(): void {
    this.#next = 0;
  }

  /** Sends messages in one piece, and acknowledges whatever the server sends then. */
  async says(...texts: string[]): Promise<void> {
    let piece = "";
    for (const text of texts) {
      piece += `${this.#next.toString(16).padStart(2, "0")}${text}\n`;
      this.#next = this.#next % 255 + 1;
    }
    await this.scene.says(this.#socket!, piece);
    await this.settle();
  }

  /** Sends a keepalive, as it must again and again. */
  async isHere(): Promise<void> {
    await this.scene.says(this.#socket!, "\n");
    await this.settle();
  }

  /** Takes everything until nothing more comes. */
  async settle(): Promise<void> {
    await this.scene.platform.turn();
    for (let taken = 0; this.takes && this.#socket;) {
      const lines = this.#socket.written.slice(this.#read).split("\n");
      this.#read = this.#socket.written.length - lines.pop()!.length;
      const messages = lines.filter((line) => line.length > 2);
      if (messages.length === 0) return;
      if ((taken += messages.length) > RESTLESS) {
        throw new Error(`the board is sent messages without end: ${messages.at(-1)}`);
      }
      for (const line of messages) {
        const id = line.slice(0, 2);
        if (Number.parseInt(id, 16) !== this.#last || id === "00") this.taken.push(line.slice(2));
        this.#last = Number.parseInt(id, 16);
        await this.scene.says(this.#socket, `${id}\n`);
      }
      await this.scene.platform.turn();
    }
  }

  /** What it has taken since the last call. */
  news(): string[] {
    return this.taken.splice(0);
  }
}
