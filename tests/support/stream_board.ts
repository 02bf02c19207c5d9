/**
 * A board of dialect 2 on a server controlled by the test, with the milliseconds since its boot: it keeps its messages
 * until the server has them, and sends its milliseconds when it connects.
 *
 * @module
 */
import { helloLine, parseWelcome } from "./greeting.ts";
import type { ManualSocket } from "./manual_platform.ts";
import type { ManualServer } from "./manual_server.ts";

export class StreamBoard {
  /** Its metadata; if set, used as it is, without the milliseconds. */
  metadata: string | undefined;
  /** How long it takes to confirm its connection, in ms. */
  pausesInGreeting = 0;
  /** Longest text that it takes, in bytes. */
  line = 512;
  #socket: ManualSocket | undefined;
  #epoch = 0xa0;
  #first = 0; // number of the oldest message that waits
  #waiting: string[] = [];

  /** @param date When it was started, in ms since 1970. @param ms Its milliseconds at that time. */
  constructor(
    public scene: ManualServer,
    readonly id: string,
    private date: number,
    private ms = 0,
  ) {
    this.#begin();
  }

  #begin(): void {
    this.#epoch++;
    this.#first = 0;
    this.#waiting = [];
  }

  /** Restarts it; it loses its waiting messages. */
  reboot(ms = 0): void {
    this.date = this.scene.platform.date();
    this.ms = ms;
    this.#begin();
  }

  /** Its milliseconds. */
  get now(): number {
    return (this.ms + this.scene.platform.date() - this.date) % 2 ** 32;
  }

  async connect(): Promise<void> {
    const metadata = this.metadata ?? `version=1 ms=${this.now}`;
    const id = metadata === "" ? this.id : `${this.id}\t${metadata}`;
    const hello = helloLine({ txEpoch: this.#epoch, txFirst: this.#first, line: this.line, id });
    const socket = this.#socket = await this.scene.knock(`${hello}\n`);
    await this.scene.platform.advance(this.pausesInGreeting);
    const { rxNext } = parseWelcome(socket.written.split("\n")[0]!);
    this.#waiting.splice(0, rxNext - this.#first);
    this.#first = rxNext;
    const lines = this.#waiting.map((text, i) => this.#line(rxNext + i, text));
    await this.scene.says(socket, `\n${lines.join("")}`);
  }

  /** The connection breaks. */
  async leave(): Promise<void> {
    this.#socket?.fails(new Error("reset"));
    this.#socket = undefined;
    await this.scene.platform.turn();
  }

  /** Lines that the server has sent on this connection. */
  get heard(): string[] {
    return this.#socket?.written.split("\n").slice(0, -1) ?? [];
  }

  /** Sends a message, at once or when it connects. */
  async says(text: string): Promise<void> {
    this.#waiting.push(text);
    if (!this.#socket) return;
    await this.scene.says(this.#socket, this.#line(this.#first + this.#waiting.length - 1, text));
  }

  #line(number: number, text: string): string {
    return `${(number & 255).toString(16).padStart(2, "0")}${text}\n`;
  }

  /** Reads its sensor, and reports the value with its time. */
  reads(value: number, channel = "temp"): Promise<void> {
    return this.says(`=${channel}@${this.now} ${value}`);
  }
}
