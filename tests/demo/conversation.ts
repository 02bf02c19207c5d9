import { LocalError, type PeerError } from "../../server/protocol/errors.ts";
import type { Device } from "../../server/mod.ts";
import { Client } from "../../bridge/host/mod.ts";
import { FaultProxy } from "../support/proxy.ts";
import { Sequence } from "./sequence.ts";
import { seconds, type View } from "./view.ts";

/** A fault that a device notices within this many ms needs no message. */
const NOTICED_AT_ONCE = 500;

/**
 * One device, the server's application for it, and the cable between them. Both applications write
 * numbered messages and check those that they read.
 */
export class Conversation implements AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** What can be cut. */
  readonly cable: FaultProxy;
  readonly toServer = new Sequence((n) => `${n} ${this.#temperature(n)} °C`);
  readonly toDevice = new Sequence((n) => `${n} fan ${n % 2 ? "on" : "off"}`);
  /** The device's view of the last messages. */
  lastSent = "";
  lastReceived = "";
  /** How often the device lost the link. */
  outages = 0;
  /** Ms from the end of a fault to the first message delivered in either direction. */
  longestRecovery: number | undefined;

  #client: Client;
  #view: View;
  #up = false;
  #writing = true;
  #timer: ReturnType<typeof setInterval> | undefined;
  #unacknowledged = 0;
  #interval: number; // in ms, between two messages of an application
  #reading: Promise<void>;
  #broken: { connects: number; at: number; mended?: number } | undefined;

  static async start(number: number, serverPort: number, view: View): Promise<Conversation> {
    return new Conversation(number, await FaultProxy.start({ target: { port: serverPort } }), view);
  }

  private constructor(readonly number: number, cable: FaultProxy, view: View) {
    // Not "1", which may be the name of a user's board.
    this.id = `demo-${number}`;
    this.name = `device ${number}`;
    this.#interval = 180 + 10 * number; // so that they do not write in step
    this.cable = cable;
    this.#view = view;
    this.#client = new Client({
      id: this.id,
      port: cable.port,
      onState: (up, reason) => this.#state(up, reason),
    });
    this.#reading = this.#runDevice();
  }

  get connected(): boolean {
    return this.#up;
  }

  ready(): Promise<void> {
    return this.#client.ready();
  }

  /** The device's application. */
  async #runDevice(): Promise<void> {
    this.#timer = setInterval(() => {
      if (!this.#writing) return;
      this.lastSent = this.toServer.next();
      this.#view.message(this, "sends", this.lastSent);
      this.#unacknowledged++;
      this.#client.write(this.lastSent).then(() => this.#unacknowledged--, exceptClosed);
    }, this.#interval);
    for await (const text of this.#client) {
      this.lastReceived = text;
      this.#view.message(this, "receives", text);
      this.toDevice.receive(text);
      this.#delivered();
    }
  }

  /** The server's application for this device, until the server is closed. */
  async runServer(device: Device): Promise<void> {
    const timer = setInterval(() => {
      // A message accepted before the server is closed stays in its store, and is sent later.
      if (this.#writing) device.write(this.toDevice.next()).catch(exceptClosed);
    }, this.#interval);
    for await (const text of device) {
      this.toServer.receive(text);
      this.#delivered();
    }
    clearInterval(timer);
  }

  #temperature(n: number): string {
    return (21 + 3 * Math.sin(n / 9 + this.number)).toFixed(1);
  }

  #state(up: boolean, reason: PeerError | LocalError | undefined): void {
    if (this.#up && !up) {
      this.outages++;
      const passed = performance.now() - (this.#broken?.at ?? -Infinity);
      if (passed === Infinity) this.#view.note(`${this.name} lost the link (${reason?.code})`);
      else if (passed > NOTICED_AT_ONCE) {
        this.#view.note(`${this.name} noticed it after ${seconds(passed)} (${reason?.code})`);
      }
    }
    this.#up = up;
  }

  /** Called when a fault begins. */
  breaks(): void {
    this.#broken = { connects: this.#client.connects, at: performance.now() };
  }

  /** Called when the fault is over: the path is back. */
  mended(): void {
    if (this.#broken) this.#broken.mended = performance.now();
  }

  /** Whether a message got through since the last fault. */
  get recovered(): boolean {
    return this.#broken === undefined;
  }

  #delivered(): void {
    // What had arrived on the old connection does not count.
    const { connects = 0, mended = undefined } = this.#broken ?? {};
    if (mended === undefined || this.#client.connects === connects) return;
    const recovery = Math.round(performance.now() - mended);
    this.longestRecovery = Math.max(this.longestRecovery ?? 0, recovery);
    this.#broken = undefined;
    this.#view.note(`${this.name} is back: first message ${recovery} ms after the path`);
  }

  /** Stops the writing of both applications. */
  stopWriting(): void {
    this.#writing = false;
  }

  /** Whether everything that the device wrote was acknowledged. */
  get allSent(): boolean {
    return this.toServer.lost === 0 && this.#unacknowledged === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#client.close();
    await this.#reading;
    await this.cable.close();
  }
}

/** Ignores CLOSED, which pending writes get when their end is closed. */
function exceptClosed(error: unknown): void {
  if (!(error instanceof LocalError && error.code === "CLOSED")) throw error;
}
