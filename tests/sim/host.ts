/** An application on a host: the real `Client`, with a memory or without. */
import { Client, type ClientOptions } from "../../bridge/host/client.ts";
import { LocalError } from "../../server/protocol/errors.ts";
import type { MemoryChange } from "../../bridge/host/memory.ts";
import type { SimDevice } from "./device.ts";
import type { Draft, Program } from "./program.ts";
import { NOBODY, SERVER } from "./addresses.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import type { Reading } from "./scenario.ts";
import { type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** Ways in which it knows its server; one of these addresses does not answer. */
export const HOSTS: (string | string[])[] = [SERVER, "server.lan", [SERVER, "server.lan"], [
  NOBODY,
  "server.lan",
], [
  "server.lan",
  NOBODY,
]];

export class HostProgram implements Program {
  #client: Client;
  #pending = 0; // writes without an outcome
  #asked = 0; // reads that the application waits for
  #handed: Message | undefined; // the message that the application may still be busy with
  #remembers: boolean;
  readonly #way: Reading;
  #iterator: AsyncIterator<string>;

  constructor(readonly device: SimDevice, readonly platform: SimPlatform) {
    const { id, key, suite, size, metadata } = device.plan;
    const { dialect } = device;
    this.#remembers = device.hasDisk;
    const options: ClientOptions = {
      id,
      size,
      timeout: device.world.scenario.timeout,
      dialect,
      host: device.world.drawHosts(),
      onState: (connected, reason) => {
        if (platform.isAlive) device.stateChanged(connected, reason);
      },
    };
    options.onExpired = (text, { code }) => {
      if (!platform.isAlive) return;
      const message = device.books.fromDevice.find(text)!;
      device.world.log?.(`${device.id} is told that ${JSON.stringify(text)} is ${code}`);
      device.world.count(`a message of a device is ${code}`);
      device.books.aging.expired(message, code === "EXPIRED", device.boot);
    };
    if (dialect === 2 && key) Object.assign(options, { key, suite });
    if (dialect === 2) options.metadata = metadata;
    if (this.#remembers) options.memory = device.disk.open(platform, (it) => this.#committed(it));
    this.#client = new Client(options, platform);
    this.#iterator = this.#client[Symbol.asyncIterator]();
    this.#way = device.world.random.pick([
      "readline",
      "readline",
      "for await",
      "for await",
      "ahead",
    ]);
    this.#run(this.#read());
    this.#run(this.#writeAll());
  }

  /** An application that asks for several messages marks each as processed in advance. */
  get asksAhead(): boolean {
    return this.#way === "ahead";
  }

  get mayMiss(): boolean {
    return !this.#remembers || this.asksAhead;
  }

  get isUp(): boolean {
    return this.#client.connected;
  }

  get connects(): number {
    return this.#client.connects;
  }

  get isIdle(): boolean {
    return this.#pending === 0 && this.#client.outbox === 0;
  }

  died(closes: boolean): void {
    if (closes) this.#run(this.#client.close());
    const handed = this.#handed; // the application was still busy with it
    if (handed && (handed.qos || handed.held)) handed.repeats = 1;
  }

  /** Runs something; for a dead program, its result does not matter any more. */
  #run(work: Promise<void>): void {
    work.catch((error) => {
      if (this.platform.isAlive) this.device.world.failed(error);
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.platform.after(ms, resolve));
  }

  /** Asks for a message. @returns whether the device is alive when it has come */
  async #ask(): Promise<boolean> {
    const { device, platform, device: { books } } = this;
    books.inHand.message = undefined;
    const text = await this.#next();
    if (!platform.isAlive) {
      // It was handed over together with the message at which the device died.
      if (!this.#remembers) books.toDevice.find(text)!.excused = true;
      return false;
    }
    if (!this.mayMiss) books.inHand.message = books.toDevice.find(text);
    if (!device.see(text)) return false;
    if (this.#remembers) this.#handed = books.toDevice.find(text)!;
    return true;
  }

  async #next(): Promise<string> {
    for (;;) {
      this.#asked++;
      try {
        if (this.#way !== "for await") return await this.#client.readline();
        return (await this.#iterator.next()).value as string;
      } catch (error) {
        if (!this.platform.isAlive || !isOfMemory(error)) throw error;
        this.#iterator = this.#client[Symbol.asyncIterator]();
      } finally {
        this.#asked--;
      }
    }
  }

  /** Asking for the next message marks the previous one as processed. Now that is safe. */
  #committed({ progress }: MemoryChange): void {
    // A message that the memory holds comes again, although the server knows that it has arrived.
    if (this.#handed) this.#handed.held = progress?.held !== undefined;
    if (this.#asked > 0 && progress?.held === undefined) this.#handed = undefined;
  }

  async #read(): Promise<void> {
    const { device, platform, device: { world } } = this;
    let next: Promise<boolean> | undefined;
    for (;;) {
      const asked = next ?? this.#ask();
      next = this.asksAhead ? this.#ask() : undefined;
      next?.catch(() => {}); // it is awaited later
      if (!await asked) return;
      for (let busy; (busy = device.busyUntil - world.clock.now) > 0;) await this.#pause(busy);
      if (!platform.isAlive) return;
    }
  }

  async #writeAll(): Promise<void> {
    const { device, platform, device: { world, talk } } = this;
    for (;;) {
      await this.#pause(world.random.below(talk.pause + 1));
      if (!platform.isAlive) return;
      if (talk.messages === 0) {
        if (talk.pause < 10) await this.#pause(10);
        continue;
      }
      talk.messages--;
      const draft = device.draft();
      if (!draft || !device.fits(draft)) continue;
      const written = this.#write(draft);
      if (draft.qos && world.random.chance(0.5)) await written;
      else this.#run(written);
    }
  }

  async #write({ text, qos, wait, expires: ms }: Draft): Promise<void> {
    const { device, platform, device: { world, books } } = this;
    const mayGiveUp = qos && !device.channels; // reports of channels are never given up
    const limit = mayGiveUp && world.random.chance(0.1) ? new AbortController() : undefined;
    if (limit) platform.after(world.random.below(world.scenario.timeout), () => limit.abort());
    world.log?.(`${device.id} writes ${JSON.stringify(text)}${qos ? "" : " without qos"}`);
    const loose = !qos && this.#pending > 0;
    const expires = world.clock.now + ms;
    const message = books.deviceWrote(text, device.boot, { qos, waits: wait, loose, expires });
    this.#pending++;
    try {
      const signal = limit ? { signal: limit.signal } : {};
      const until: "kept" | "arrived" = qos && this.#remembers && world.random.chance(0.3)
        ? "kept"
        : "arrived";
      const options = { qos, wait, until, ...signal, ...(ms < Infinity && { expires: ms }) };
      const sent = await this.#client.write(text, options);
      if (!platform.isAlive) return;
      if (qos && !sent) throw new Violation(`${device.id}: a write with qos gives ${sent}`);
      if (until === "kept") books.deviceToldKept(message);
      else if (qos) books.deviceTold(message);
      else if (!sent) books.deviceRefused(message);
    } catch (error) {
      if (!platform.isAlive) return;
      this.#failed(message, error, limit?.signal);
    } finally {
      this.#pending--;
    }
  }

  #failed(message: Message, error: unknown, signal: AbortSignal | undefined): void {
    const { device } = this;
    if (signal?.aborted && error === signal.reason) {
      message.excused = true; // it may be on its way
      return;
    }
    if (isOfMemory(error)) return device.books.deviceRefused(message);
    if (error instanceof LocalError && (error.code === "EXPIRED" || error.code === "UNDECIDED")) {
      if (!message.excused) {
        throw new Violation(`${device.id}: only its writer knows of ${message.text}`);
      }
      return;
    }
    if (!(error instanceof LocalError) || error.code !== "BAD_TEXT") throw error;
    device.world.log?.(`${device.id} is told that ${JSON.stringify(message.text)} is too long`);
    if (device.meetsImpostor || message.text.startsWith("\x01")) message.excused = true;
    else device.books.deviceFailed(message, device.leastLine);
  }
}

/** Whether this is an error of the client's memory. */
function isOfMemory(error: unknown): boolean {
  return error instanceof LocalError && error.code === "STORE_FAILED";
}
