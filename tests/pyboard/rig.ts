/**
 * The link application alone, under a simulated clock: its wires are variables, an I2C transfer is a list of bytes. For
 * faults between any two edges.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Core, type CoreExports, loadModule, type Position } from "../../bridge/host/core.ts";
import { chipSize } from "../../bridge/host/core_size.ts";
import { type Fields, I2c, Kept, readFields, Wifi } from "../../bridge/host/mod.ts";

const MODULE = loadModule(new URL("../../client-as/build/pyboard.wasm", import.meta.url));
const SYN = 5;
const ACK = 4;
/** No tick that ends makes so many calls of the board. */
const MOST_CALLS = 3000;

/** What a step of a generator waits for: until this is true, or this many ms have passed. */
export type Wait = { until: () => boolean; ms: number };
export type Steps<T> = Generator<Wait, T, boolean>;

interface Application extends CoreExports {
  onStart(): void;
  onTick(): void;
  onMessage(ptr: number, length: number): number;
}

/** The board was reset in the middle of a call. */
class Reset extends Error {}

export class Rig {
  now = 0;
  syn = 1;
  ack = 1;
  wifi: number = Wifi.up;
  readonly lines: string[] = [];
  /** The configuration that the application got. */
  fields: Fields | undefined;
  /** The transfer that the initiator's I2C waits for. */
  slave: { send: number[] } | { receive: number } | undefined;
  /** Bytes that the initiator has received. */
  received: number[] = [];
  /** Makes the next transfers fail with this result of `i2c_read` and `i2c_write`. */
  fault: number | undefined;
  /** Duration of a transfer, in ms. */
  transfer = 0;
  /** Duration of a read of SYN, in ms. */
  look = 0;
  /** Number of reads of SYN until the initiator lowers it after ACK has risen: a Pyboard is that quick. */
  quick: number | undefined;
  /** How long ACK was low each time, in ms. */
  readonly lows: number[] = [];
  /** Resets the board in this call of `keep`, counted from 0, after this part of it was done: 0 to 1. */
  resetAt: { call: number; done: number } | undefined;
  keeps = 0;
  /** Messages that the core had after its last boot, before it could connect. */
  atBoot = 0;
  /** The server's next message. */
  readonly position: Position = { epoch: 7, next: 1 };
  readonly kept: Kept;
  #core: Core;
  #application: Application;
  #calls = 0;
  #lowSince = 0;
  #looksLeft = Infinity;
  #next: Fields | undefined;

  constructor(kept = new Kept()) {
    this.kept = kept;
    const options = { ...chipSize, id: "none", timeout: 2000, dialect: 2 } as const;
    this.#core = new Core(MODULE, { board: this.#imports() }, options, 0);
    this.#application = this.#core.exports as Application;
    this.#call(() => this.#application.onStart());
  }

  /** How many messages the core got since its last boot, without those from before a reset. */
  get messages(): number {
    return this.#core.queued - this.#core.done;
  }

  #memory(ptr: number, length: number): Uint8Array {
    return new Uint8Array(this.#application.memory.buffer, ptr, length);
  }

  #imports(): Record<string, (...args: number[]) => number | void> {
    const counted = (call: (...args: number[]) => number | void) => (...args: number[]) => {
      if (++this.#calls > MOST_CALLS) throw new Error("it hangs");
      return call(...args);
    };
    const imports = {
      gpio_write: (pin = 0, level = 0) => {
        if (pin !== ACK || level === this.ack) return;
        if (level) this.lows.push(this.now - this.#lowSince);
        else this.#lowSince = this.now;
        this.ack = level;
        // If SYN is high while ACK rises, the initiator has sent something.
        this.#looksLeft = level && this.syn ? this.quick ?? Infinity : Infinity;
        if (this.#looksLeft === 0) this.syn = 0;
      },
      gpio_read: (pin = 0) => {
        if (pin !== SYN) return 1;
        this.now += this.look;
        if (--this.#looksLeft === 0) this.syn = 0;
        return this.syn;
      },
      i2c_begin: () => {},
      i2c_read: (_: number, ptr = 0, length = 0) => this.#read(this.#memory(ptr, length)),
      i2c_write: (_: number, ptr = 0, length = 0) => this.#write(this.#memory(ptr, length)),
      log: (ptr = 0, length = 0) =>
        void this.lines.push(new TextDecoder().decode(this.#memory(ptr, length))),
      millis: () => this.now | 0,
      wifi: () => this.wifi,
      free_memory: () => 20_000,
      every: () => {},
      configure: (ptr = 0, length = 0) => {
        this.#next = readFields(this.#memory(ptr, length).slice());
        return this.#next ? 1 : 0;
      },
      keep: (at = 0, ptr = 0, length = 0) => {
        const cut = this.resetAt?.call === this.keeps++;
        const done = cut ? Math.floor(length * this.resetAt!.done / 4) * 4 : length;
        this.kept.bytes.set(this.#memory(ptr, done), at);
        if (cut) throw new Reset();
        return 1;
      },
      kept: (at = 0, ptr = 0, length = 0) => {
        this.#memory(ptr, length).set(this.kept.bytes.subarray(at, at + length));
        return 1;
      },
    };
    return Object.fromEntries(
      Object.entries(imports).map(([name, call]) => [name, counted(call as typeof imports.log)]),
    );
  }

  #read(bytes: Uint8Array): number {
    if (this.fault !== undefined) return this.fault;
    if (!this.slave || !("send" in this.slave)) return I2c.noDevice;
    this.now += this.transfer;
    bytes.set(this.slave.send.slice(0, bytes.length));
    this.slave = undefined;
    return bytes.length;
  }

  #write(bytes: Uint8Array): number {
    if (this.fault !== undefined) return this.fault;
    if (!this.slave || !("receive" in this.slave)) return I2c.noDevice;
    this.now += this.transfer;
    this.received = [...bytes.slice(0, this.slave.receive)];
    this.slave = undefined;
    return this.received.length;
  }

  #call(call: () => void): void {
    this.#calls = 0;
    call();
    if (!this.#next) return;
    const { id, timeout = 2000, dialect = 2, line = 512 } = this.fields = this.#next;
    this.#next = undefined;
    const { position } = this;
    this.#core.boot({ ...chipSize, id: id!, timeout, dialect, line, position }, this.now);
    this.#application.onStart();
    this.atBoot = this.messages;
  }

  /** Lets time pass. @returns false if the board was reset meanwhile (see `resetAt`) */
  pass(ms: number, until: () => boolean = () => false): boolean {
    for (const end = this.now + ms; this.now < end && !until();) {
      const next = this.now + 2; // or at once, if the tick takes longer
      try {
        this.#call(() => this.#application.onTick());
      } catch (error) {
        if (error instanceof Reset) return false;
        throw error;
      }
      this.now = Math.max(this.now, next);
    }
    return true;
  }

  /** Hands over the server's next message. @returns whether it may be acknowledged */
  offer(text: string): boolean {
    const bytes = encoder.encode(text);
    const at = this.#application.room(bytes.length); // bytes that the core does not use at present
    this.#memory(at, bytes.length).set(bytes);
    let result = 0;
    this.#call(() => result = this.#application.onMessage(at, bytes.length));
    return result !== 0;
  }

  /** Runs the steps of an initiator, up to the wait `most`. @returns undefined if it did not finish */
  run<T>(steps: Steps<T>, most = Infinity): T | undefined {
    let step = steps.next();
    for (let waits = 0; !step.done; waits++) {
      if (waits === most) return undefined;
      const { until, ms } = step.value;
      if (!this.pass(ms, until)) return undefined;
      step = steps.next(until());
    }
    return step.value;
  }

  /** The console's lines since the last call. */
  said(): string[] {
    return this.lines.splice(0);
  }
}

/** The initiator got no answer. */
export class GaveUp extends Error {}

const encoder = new TextEncoder();

/** An initiator like that of `pb_link`, in steps. Each wait is one step. */
export class Steppable {
  mayWrite = true;
  /** Time that it needs to lower SYN, in ms. */
  reaction = 0;

  constructor(readonly rig: Rig) {}

  *synchronise(): Steps<void> {
    this.rig.syn = 1;
    yield { until: () => false, ms: 200 };
    this.rig.syn = 0;
    if (!(yield { until: () => this.rig.ack === 0, ms: 10_000 })) throw new GaveUp("no responder");
    yield { until: () => false, ms: 1000 };
  }

  /** One exchange. @returns the text that arrived, and whether the line was sent */
  *exchange(line: string | Uint8Array = "", size?: number): Steps<{ text: string; gone: boolean }> {
    const bytes = typeof line === "string" ? encoder.encode(line) : line;
    const gone = bytes.length > 0 && this.mayWrite;
    const n = size ?? (gone ? bytes.length : 0);
    yield* this.send([n & 255, n >> 8]);
    if (gone) yield* this.send([...bytes]);
    const [low = 0, high = 0] = yield* this.receive(2);
    this.mayWrite = high < 128;
    const length = low + (high & 127) * 256;
    assert(length <= 200, `${length} bytes are offered`);
    const got = length ? yield* this.receive(length) : [];
    yield { until: () => false, ms: 100 };
    return { text: new TextDecoder().decode(new Uint8Array(got)), gone };
  }

  *send(bytes: number[]): Steps<void> {
    const { rig } = this;
    rig.syn = 1;
    yield { until: () => false, ms: 4 }; // what it needs to start its I2C
    rig.slave = { send: bytes };
    yield* this.#must(() => rig.slave === undefined, 5000);
    yield* this.#must(() => rig.ack === 1 || rig.syn === 0, 1000);
    if (this.reaction) yield { until: () => false, ms: this.reaction };
    rig.syn = 0;
    yield* this.#must(() => rig.ack === 0, 1000);
  }

  *receive(length: number): Steps<number[]> {
    const { rig } = this;
    yield* this.#must(() => rig.ack === 1, 1000);
    rig.syn = 1;
    yield { until: () => false, ms: 4 };
    rig.slave = { receive: length };
    yield* this.#must(() => rig.slave === undefined, 5000);
    yield* this.#must(() => rig.ack === 0, 1000);
    rig.syn = 0;
    return rig.received;
  }

  *#must(until: () => boolean, ms: number): Steps<void> {
    if (yield { until, ms }) return;
    this.rig.slave = undefined;
    throw new GaveUp("no answer");
  }
}

/** A configuration as `pb_link` writes it. */
export function configuration(...more: unknown[]): string {
  return JSON.stringify(["1\n", 8123, "10.0.0.1", 1500, 0, "", "", ...more, "cfg"]) + "\n";
}

/** A board, and the initiator that configured it. */
export function configured(
  kept?: Kept,
  config = configuration(),
): { rig: Rig; initiator: Steppable } {
  const rig = new Rig(kept);
  const initiator = new Steppable(rig);
  rig.run(initiator.synchronise());
  rig.run(initiator.exchange()); // as `pb_link` does
  rig.run(initiator.exchange(config));
  assert(rig.lines.includes("initiator configured"), `${rig.lines}`);
  rig.said();
  return { rig, initiator };
}

/** Checks that the board works with a new initiator. */
export function assertSound(rig: Rig, why: string): void {
  rig.fault = undefined;
  rig.slave = undefined;
  const initiator = new Steppable(rig);
  rig.run(initiator.synchronise());
  const first = rig.run(initiator.exchange(configuration()));
  assert(first?.gone, why);
  assert(rig.said().includes("initiator configured"), why);
  const before = rig.messages;
  rig.run(initiator.exchange("3sound\n"));
  rig.pass(10);
  assertEquals(rig.messages, before + 1, why);
  assertEquals(rig.said(), [], why);
}
