/** An application on a chip: it gets a message, and has processed it when it returns. */
import { type Core, coreModule, type Position } from "../../bridge/host/core.ts";
import { ClientDriver } from "../../bridge/host/driver.ts";
import { Sleep } from "../../bridge/host/sleep.ts";
import { type LocalError, PeerError } from "../../server/protocol/errors.ts";
import { LOGGED } from "../../server/protocol/lines.ts";
import type { SimDevice } from "./device.ts";
import type { Draft, Program } from "./program.ts";
import { NOBODY, SERVER } from "./addresses.ts";
import type { SimPlatform } from "../../bridge/testing/platform.ts";
import { type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";

/** How often its application checks the deadlines of its messages in each timeout, at least. */
export const LOOKS = 8;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class Chip implements Program {
  #driver: ClientDriver;
  #accepted: (Message | undefined)[]; // by this core or those before its sleeps; undefined: the firmware's
  #first: number; // number of its first message
  #settled: number;
  #next: Draft | undefined; // a draft that did not fit yet
  #writesAt = 0;
  /** Messages with a deadline, with their numbers. */
  #aging: { number: number; message: Message }[] = [];
  #withdrawn = new Set<Message>();
  readonly #sleep: Sleep;
  #ticksAt = Infinity;
  #wakesAt = Infinity;

  constructor(readonly device: SimDevice, readonly platform: SimPlatform) {
    const { id, key, suite, size } = device.plan;
    const { dialect, memory, metadata, night } = device;
    this.#driver = new ClientDriver(
      {
        exchange: (core) => this.#exchange(core),
        canReceive: () => platform.isAlive && this.#now >= device.busyUntil,
        receive: (message) => this.#receive(message),
        told: (message) => this.#told(decoder.decode(message)),
        positionChanged: (position) => this.#keep(position),
        clock: () => device.ms,
        stateChanged: (connected, reason) => this.#stateChanged(connected, reason),
      },
      coreModule(),
      {},
      {
        id,
        host: device.world.random.chance(0.3) ? [NOBODY, SERVER] : SERVER,
        timeout: device.world.scenario.timeout,
        dialect,
        ...(dialect === 2 ? { metadata, position: memory?.position } : {}),
        ...(night ? { stream: night.asleep.stream } : {}),
        ...(dialect === 2 && key ? { key, suite } : {}),
      },
      size,
      platform,
    );
    const { core } = this.#driver;
    this.#first = this.#settled = core.done;
    this.#accepted = night?.waiting ?? [];
    for (const text of night?.asleep.waiting ?? []) {
      const isKept = text ? core.write(text, true, true) : core.writeWithdrawn();
      if (!isKept) throw new Violation(`${id} has no room for what has waited in its sleep`);
    }
    this.#sleep = new Sleep({
      core,
      dialect,
      clock: platform,
      drain: device.world.random.below(2 * device.world.scenario.timeout),
      millis: () => device.ms,
      room: () => device.world.random.pick([Infinity, 384, 30]),
      isUp: () => this.isUp,
      pump: () => this.#pump(),
      end: () => {
        if (device.firmware?.isBusy || this.#owes) return false;
        if (platform.isAlive && this.isUp) {
          this.#driver.end(new PeerError("LOST", "it is to sleep"));
        }
        return platform.isAlive;
      },
      asleep: (asleep) => {
        const waiting = this.#accepted.slice(core.done - this.#first >>> 0);
        // A withdrawn message is not reported again.
        device.sleeps(
          asleep,
          waiting.map((each) => each && this.#withdrawn.has(each) ? undefined : each),
        );
      },
    });
    this.#pump();
  }

  get #now(): number {
    return this.device.world.clock.now;
  }

  get mayMiss(): boolean {
    return false;
  }

  get isUp(): boolean {
    return this.#driver.up;
  }

  get connects(): number {
    return this.#driver.core.connects;
  }

  get isIdle(): boolean {
    const { core } = this.#driver;
    return core.queued === core.done;
  }

  /** The server sends a message to its firmware. */
  #told(text: string): boolean {
    const { device, device: { firmware, plan } } = this;
    if (!this.platform.isAlive || (device.meetsImpostor && !plan.key)) return true;
    if (!firmware || firmware.isOld) {
      throw new Violation(`${device.id} takes no deploys, and is told ${text}`);
    }
    device.world.log?.(`${device.id}'s firmware hears ${JSON.stringify(text)}`);
    firmware.hears(text);
    return true;
  }

  /** Messages of its firmware are sent like the application's. */
  #tell(core: Core): void {
    const { firmware, world, id, dialect } = this.device;
    if (!firmware || firmware.isOld || dialect === 1) return;
    if (core.queued === core.done) firmware.heard();
    for (let text; (text = firmware.next) !== undefined; firmware.said()) {
      if (!core.write(encoder.encode(text), true)) return;
      world.log?.(`${id}'s firmware says ${JSON.stringify(text)}`);
      this.#accepted.push(undefined);
    }
  }

  /** An application of channels still has to send something, which it would not send after the sleep. */
  get #owes(): boolean {
    const { channels } = this.device;
    return channels !== undefined && (channels.owes || this.#next !== undefined);
  }

  died(): void {}

  get wantsSleep(): boolean {
    return this.#sleep.isAsked;
  }

  /** It should sleep for this many ms. Not with a message that has a deadline: nobody would withdraw it. */
  sleepSoon(ms: number): boolean {
    if (this.#aging.length > 0 || !this.#sleep.ask(ms)) return false;
    this.#pump();
    return true;
  }

  #pump(): void {
    this.#driver.pump();
    this.#setAlarm();
  }

  /** Sets the time when the application acts by itself. */
  #setAlarm(): void {
    const { device } = this;
    let due = Infinity;
    if (device.busyUntil > this.#now) due = device.busyUntil;
    if (device.talk.messages > 0 && this.#writesAt > this.#now) due = Math.min(due, this.#writesAt);
    due = Math.min(due, this.#ticksAt);
    if (this.#wakesAt <= due) return; // it looks again at that time
    this.#wakesAt = due;
    this.platform.after(due - this.#now, () => {
      this.#wakesAt = Infinity;
      this.#pump();
    });
  }

  #receive(bytes: Uint8Array): boolean {
    const seen = this.device.see(decoder.decode(bytes));
    if (seen) this.#setAlarm();
    return seen;
  }

  #keep(position: Position): void {
    const { device, platform } = this;
    if (platform.isAlive && device.dialect === 2) device.memory = { position };
  }

  #stateChanged(connected: boolean, reason?: PeerError | LocalError): void {
    if (!this.platform.isAlive) return;
    this.device.stateChanged(connected, reason);
    if (!connected) return;
    this.#settle(this.#driver.core);
    this.#refuse(this.#driver.core);
    this.device.firmware?.up(() => this.#pump());
  }

  /** Tells the application what has arrived. */
  #settle(core: Core): void {
    for (; this.#settled !== core.done; this.#settled = (this.#settled + 1) >>> 0) {
      const message = this.#accepted[(this.#settled - this.#first) >>> 0];
      if (message && !this.#withdrawn.has(message)) this.device.books.deviceTold(message);
    }
  }

  /** Tells the application which messages have become too long for the server. */
  #refuse(core: Core): void {
    const { device } = this;
    if (device.meetsImpostor) return; // without a key an impostor may say anything
    for (const message of this.#accepted.slice((this.#settled - this.#first) >>> 0)) {
      if (message && message.bytes > core.longest) {
        device.books.deviceFailed(message, device.leastLine);
      }
    }
  }

  /** Tells the application what has arrived, and lets it write. */
  #exchange(core: Core): void {
    const { device, platform } = this;
    if (!platform.isAlive) return;
    this.#settle(core);
    this.#tell(core);
    if (this.#now >= this.#ticksAt) this.#tick(core);
    this.#sleep.exchange();
    while (this.#accepted.length < (core.queued - this.#first >>> 0)) {
      this.#accepted.push(undefined);
    }
    const { talk, world } = device;
    while (talk.messages > 0 && this.#now >= this.#writesAt) {
      const next = this.#next ??= device.draft();
      if (next && this.#sleep.isAsked) next.expires = Infinity;
      if (next && device.fits(next) && !this.#write(core, next) && next.qos) break;
      this.#next = undefined;
      talk.messages--;
      this.#writesAt = this.#now + world.random.below(talk.pause + 1);
    }
    this.#setAlarm();
  }

  /** The application checks the deadlines of its messages, as in `client-as/assembly/deadlines.ts`. */
  #tick(core: Core): void {
    const { device, device: { world } } = this;
    this.#aging = this.#aging.filter(({ number, message }) => {
      if ((number - core.done | 0) < 0) return false;
      const fate = this.#now < message.expires ? undefined : core.expire(number);
      if (fate === undefined) return true;
      world.log?.(`${device.id} withdraws ${JSON.stringify(message.text)}: ${fate}`);
      world.count(`a message of a device is ${fate}`);
      device.books.aging.expired(message, fate === "EXPIRED", device.boot);
      this.#withdrawn.add(message);
      return false;
    });
    this.#nextTick();
  }

  #nextTick(): void {
    const { world } = this.device;
    const pause = 1 + world.random.below(world.scenario.timeout / LOOKS);
    this.#ticksAt = this.#aging.length > 0 ? this.#now + pause : Infinity;
  }

  #write(core: Core, { text, qos, wait, expires: ms }: Draft): boolean {
    const { device } = this;
    if (device.dialect === 1 && wait && core.queued !== core.done) return false;
    if (!core.write(encoder.encode(text), qos)) return false;
    device.world.log?.(
      `${device.id} writes ${JSON.stringify(text)}${qos ? "" : " without qos"}`,
    );
    const logs = device.dialect === 2 && text.startsWith(LOGGED);
    const manner = { qos, waits: wait, expires: this.#now + ms };
    const message = device.books.deviceWrote(text, device.boot, manner, logs);
    this.#accepted.push(message);
    if (ms < Infinity) this.#aging.push({ number: (core.queued - 1) >>> 0, message });
    if (this.#ticksAt === Infinity) this.#nextTick();
    return true;
  }
}
