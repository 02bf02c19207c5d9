/**
 * A simulated device: the real core in a host that does what `bridge/host/link.ts` and the firmware do,
 * with an application that writes and sees messages. It can die at any time, and boot again.
 */
import { Can, Core, Event, UP } from "../../bridge/host/core.ts";
import type { PeerCode } from "../../server/protocol/errors.ts";
import { byteLength, LOGGED } from "../../server/protocol/lines.ts";
import { Handout, type Kept } from "../../bridge/host/handout.ts";
import { Life } from "./clock.ts";
import { DOWN, type Listener, type Path } from "./network.ts";
import { type Message, Violation } from "./promises.ts";
import { DeviceSocket } from "./device_socket.ts";
import type { Books } from "./books.ts";
import type { DevicePlan, DeviceTalk } from "./scenario.ts";
import { newText } from "./text.ts";
import type { World } from "./world.ts";

/** How a device ends. */
export interface Death {
  /** Its position is there when it boots again. */
  keepsMemory: boolean;
  /** The operating system says goodbye for it. */
  closes: boolean;
  /** ms until it boots again. */
  off: number;
  /** The wire it speaks from then on. */
  dialect: 1 | 2;
}

/** What the application writes next. */
interface Draft {
  text: string | undefined;
  qos: boolean;
  waits: boolean;
}

/** The core's registers with the number of the next message: 0 after a boot, anything after a long life. */
const TX_FIRST = 28;
const TX_NEXT = 84;

/** What an honest server is never accused of. */
const ACCUSATIONS: ReadonlySet<PeerCode> = new Set([
  "BAD_GREETING",
  "BAD_LINE",
  "BAD_POSITION",
  "BAD_PROOF",
  "GAP",
  "LINE_TOO_LONG",
  "REFUSED",
]);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class SimDevice {
  readonly life: Life;
  readonly talk: DeviceTalk;
  dialect: 1 | 2;
  /** Boots so far: names the stream of what it writes. */
  boot = 0;
  /** Its clock is this far ahead of the world's. */
  clockAhead: number;
  /** Dies as soon as its application has another message: before or after it acts on it, and in any case
   * before it can keep its position. */
  dies: "before acting" | "after acting" | undefined;
  /** The application takes nothing until then. */
  busyUntil = 0;
  /** Answers in the server's place. */
  impostor: Listener | undefined;
  /** Messages that the application has still to write. */
  toWrite: number;
  #core: Core | undefined;
  #end = 0; // of the core's memory
  #memory: Kept | undefined;
  #handout!: Handout;
  #handed: Message | undefined;
  #socket: DeviceSocket | undefined;
  #meetsImpostor = false;
  #leastLine = 0; // that a server may have named on this connection
  #up = false;
  #accepted: Message[] = []; // by this boot's core
  #first = 0; // number of its first message
  #settled = 0;
  #echoes: string[] = [];
  #wakesAt = Infinity;
  #pumping = false;
  #nextWrite = 0;
  #next: Draft | undefined; // did not fit yet

  constructor(
    readonly world: World,
    readonly plan: DevicePlan,
    readonly path: Path,
    readonly books: Books,
    readonly module: WebAssembly.Module,
  ) {
    this.life = new Life(world.clock);
    this.talk = plan.talk;
    this.dialect = plan.dialect;
    this.clockAhead = plan.clockAhead;
    this.toWrite = plan.talk.messages;
  }

  get #now(): number {
    return Math.floor(this.world.clock.now) + this.clockAhead;
  }

  get isUp(): boolean {
    return this.#up;
  }

  /** It will die soon. */
  get isCursed(): boolean {
    return this.dies !== undefined;
  }

  /** How often the link came up since the boot. */
  get connects(): number {
    return this.#core?.connects ?? 0;
  }

  /** Nothing is left to be done by this device. */
  get isIdle(): boolean {
    const core = this.#core;
    return core !== undefined && this.toWrite === 0 && this.#echoes.length === 0 &&
      core.queued === core.done;
  }

  /** From now on the server names another limit: what it said before may still be on its way. */
  lineChanges(lineBytes: number): void {
    this.#leastLine = Math.min(this.#leastLine, lineBytes);
  }

  start(): void {
    const { id, key, size, metadata } = this.plan;
    const { timeout } = this.world.scenario;
    const kept = this.dialect === 2 ? this.#memory : undefined;
    this.#handout = new Handout(kept);
    const core = this.#core = new Core(this.module, {}, {
      ...size,
      id,
      timeout,
      dialect: this.dialect,
      key: this.dialect === 2 ? key : undefined,
      metadata: this.dialect === 2 ? metadata : "",
      position: kept?.position,
    }, this.#now);
    const name = this.dialect === 2 && metadata !== "" ? `${id}\t${metadata}` : id;
    this.#end = core.piece.byteOffset + encoder.encode(name).length + 1 + 64 + 4 * size.recent +
      size.inbox + size.outbox;
    if (this.dialect === 2) this.prepare(core);
    this.#accepted = [];
    this.#first = this.#settled = core.done;
    this.world.log?.(`${id} boots, dialect ${this.dialect}`);
    this.pump();
  }

  /** What a long life would have done to the core. */
  prepare(core: Core): void {
    setFirstNumber(core, this.plan.firstNumber);
  }

  /** Dies, and boots again. */
  die(death: Death): void {
    if (!this.#core) return; // it is off
    const { id } = this.plan;
    const { keepsMemory, closes, off, dialect } = death;
    this.world.log?.(
      `${id} dies, ${keepsMemory ? "keeps" : "loses"} its memory, off for ${off} ms`,
    );
    this.life.end();
    if (closes) this.#socket?.close();
    else this.#socket?.vanish();
    this.#socket = undefined;
    this.#core = undefined;
    this.#up = this.#pumping = false;
    this.#echoes = [];
    this.#wakesAt = Infinity;
    this.#nextWrite = this.busyUntil = 0;
    this.#next = undefined;
    this.dies = undefined;
    if (this.#handed?.qos) this.#handed.repeats = 1; // the application was still busy with it
    this.#handed = undefined;
    if (!keepsMemory) this.#memory = undefined;
    this.books.deviceDied(keepsMemory && dialect === 2 && this.dialect === 2);
    this.boot++;
    this.dialect = dialect;
    this.path.unplug(DOWN);
    this.world.disturb(this.world.clock.now + off);
    this.world.clock.after(off, () => {
      this.path.plug(DOWN);
      this.start();
    });
  }

  /** Lets the core do all that can be done now. */
  readonly pump = (): void => {
    if (this.#pumping || !this.#core) return;
    this.#pumping = true;
    const { boot } = this;
    while (this.#step()) {
      if (this.boot !== boot) return; // it died
    }
    this.#pumping = false;
    this.#setTimer();
  };

  #step(): boolean {
    const core = this.#core!;
    this.#exchange(core);
    const receives = this.world.clock.now >= this.busyUntil;
    if (receives && this.plan.asks) this.#ask(core);
    const event = core.poll(
      this.#now,
      (this.#socket?.canSend ? Can.send : 0) | (receives ? Can.receive : 0),
    );
    switch (event) {
      case Event.connect:
        this.#connect();
        break;
      case Event.close:
        this.#judge(core);
        this.#drop(core.reason);
        break;
      case Event.send:
        this.#socket!.send(core.piece);
        break;
      case Event.message: {
        const { boot } = this;
        const processed = this.#receive(core);
        if (this.boot !== boot) return true; // it died
        if (!processed) break;
        core.take();
        this.#keepPosition(core);
        break;
      }
    }
    if (core.state === UP && !this.#up) {
      this.#up = true;
      this.world.log?.(`${this.plan.id} has a link`);
      if (this.#meetsImpostor && this.plan.key) {
        throw new Violation(`${this.plan.id} takes an impostor for its server`);
      }
      this.#keepPosition(core);
      this.#settle(core);
      this.#refuse(core);
    }
    if (event !== Event.none) return true;
    const socket = this.#socket;
    if (!socket) return false;
    const again = socket.flush();
    return this.#moveInput(core, socket) || again;
  }

  /** The application is done with what it has, and wants the next message. */
  #ask(core: Core): void {
    const processed = this.#handout.asked(core.position);
    if (!processed) return;
    this.keep(processed);
    this.#handed = undefined;
  }

  /** A message is on offer. @returns whether it is processed */
  #receive(core: Core): boolean {
    const isNew = !this.plan.asks || this.handsOut(core);
    if (isNew) this.#see(core);
    return !this.plan.asks || !isNew;
  }

  /** Whether the application does not have this message yet. */
  handsOut(core: Core): boolean {
    return !this.#handout.offered(core.position, decoder.decode(core.piece));
  }

  /** Keeps how far it has got where that survives a reset. */
  keep(kept: Kept): void {
    this.#memory = kept;
  }

  /** A change of the core's position. */
  #keepPosition(core: Core): void {
    const { position } = core;
    const { epoch, next } = this.#memory?.position ?? { epoch: 0, next: 0 };
    if (this.dialect !== 2 || (epoch === position.epoch && next === position.next)) return;
    this.keep({ position, processed: 0n });
  }

  /** An honest server is never accused. */
  #judge(core: Core): void {
    const { reason } = core;
    if (this.#meetsImpostor || !ACCUSATIONS.has(reason)) return;
    const refusal = reason === "REFUSED" ? ` with code ${core.refusal}` : "";
    throw new Violation(`${this.plan.id} accuses the server: ${reason}${refusal}`);
  }

  #see(core: Core): void {
    if (this.#meetsImpostor && !this.plan.key) return; // nobody can promise anything
    const text = decoder.decode(core.piece);
    if (this.dies === "before acting") return this.#die("death before the application acts");
    this.world.log?.(`${this.plan.id} sees ${JSON.stringify(text)}`);
    this.books.seenByDevice(text, this.dialect);
    const message = this.books.toDevice.find(text)!;
    this.world.messages++;
    this.busyUntil = this.world.clock.now + this.world.random.below(this.talk.busy + 1);
    if (this.dies === "after acting") {
      if (message.qos) message.repeats = 1;
      return this.#die("death before the position is kept");
    }
    if (this.plan.asks) this.#handed = message;
    if (this.talk.echoes && !text.startsWith("e") && this.#echoes.length < 20) {
      this.#echoes.push(`e${text}`);
    }
  }

  #die(kind: string): void {
    this.world.count(kind);
    const keepsMemory = this.world.random.chance(0.7);
    this.die({ keepsMemory, closes: false, off: 10, dialect: this.dialect });
  }

  /** The application learns what has arrived. */
  #settle(core: Core): void {
    for (; this.#settled !== core.done; this.#settled = (this.#settled + 1) >>> 0) {
      this.books.deviceTold(this.#accepted[(this.#settled - this.#first) >>> 0]!);
    }
  }

  /** The application learns what the server has become too small for. */
  #refuse(core: Core): void {
    if (this.#meetsImpostor) return; // without a key it may say anything
    for (const message of this.#accepted.slice((this.#settled - this.#first) >>> 0)) {
      if (byteLength(message.text) > core.longest) {
        this.books.deviceFailed(message, this.#leastLine);
      }
    }
  }

  /** The application learns what has arrived, and writes what it has to. */
  #exchange(core: Core): void {
    this.#settle(core);
    const { clock } = this.world;
    const line = Math.min(this.plan.size.line, this.world.lineBytes);
    for (let echo; (echo = this.#echoes[0]) !== undefined;) {
      if (!this.books.fromDevice.has(echo) && byteLength(echo) <= line) {
        if (!this.#write(core, echo, true, false)) break;
      }
      this.#echoes.shift();
    }
    while (this.toWrite > 0 && clock.now >= this.#nextWrite) {
      const next = this.#next ??= this.#draft();
      const { text, qos, waits } = next;
      const fits = text !== undefined && byteLength(text) <= this.world.lineBytes;
      if (fits && !this.#write(core, text, qos, waits) && qos) break;
      this.#next = undefined;
      this.toWrite--;
      this.#nextWrite = clock.now + this.world.random.below(this.talk.pause + 1);
    }
  }

  #draft(): Draft {
    const { random, lineBytes } = this.world;
    const { qosOff, waits, long, logs } = this.talk;
    const line = Math.min(this.plan.size.line, lineBytes);
    const mark = this.dialect === 2 && random.chance(logs) ? LOGGED : "";
    const { fromDevice, writtenByDevice } = this.books;
    let text = newText(fromDevice, random, line - mark.length, long, writtenByDevice);
    if (text !== undefined) text = mark + text;
    return { text, qos: !random.chance(qosOff), waits: random.chance(waits) };
  }

  #write(core: Core, text: string, qos: boolean, waits: boolean): boolean {
    if (this.dialect === 1 && waits && core.queued !== core.done) return false;
    if (!core.write(encoder.encode(text), qos)) return false;
    const message = this.books.deviceWrote(
      text,
      this.boot,
      qos,
      waits,
      this.dialect === 2 && text.startsWith(LOGGED),
    );
    this.world.log?.(`${this.plan.id} writes ${JSON.stringify(text)}${qos ? "" : " without qos"}`);
    this.#accepted.push(message);
    return true;
  }

  #connect(): void {
    this.world.log?.(`${this.plan.id} connects`);
    this.#meetsImpostor = this.impostor !== undefined;
    this.#leastLine = this.world.lineBytes;
    const listener = this.impostor ?? this.world.server;
    this.#socket = new DeviceSocket(this.path, listener, this.life, this.plan.collects, {
      opened: () => {
        this.#core!.opened(this.#now);
        this.pump();
      },
      wake: this.pump,
      ended: () => this.#ended("reset"),
      sends: (socket, bytes) => this.world.overhear(socket, bytes),
    });
  }

  #ended(reason: string): void {
    this.#core!.closed(this.#now);
    this.#drop(reason);
    this.pump();
  }

  #drop(reason: string): void {
    this.world.log?.(`${this.plan.id} has no link: ${reason}`);
    this.#socket?.close();
    this.#socket = undefined;
    this.#up = false;
  }

  /** Moves what has arrived into the core. */
  #moveInput(core: Core, socket: DeviceSocket): boolean {
    if (socket.moveInput(core, this.#now)) return true;
    if (!socket.isAtEnd) return false;
    core.closed(this.#now);
    this.#drop("closed by the server");
    return true;
  }

  #setTimer(): void {
    const { clock } = this.world;
    let due = clock.now + Math.max(0, this.#core!.wait);
    if (this.busyUntil > clock.now) due = Math.min(due, this.busyUntil);
    if (this.toWrite > 0 && this.#nextWrite > clock.now) due = Math.min(due, this.#nextWrite);
    if (this.#wakesAt <= due) return; // it looks again then
    this.#wakesAt = due;
    this.life.after(due - clock.now, () => {
      if (this.#wakesAt !== due) return;
      this.#wakesAt = Infinity;
      this.pump();
    });
  }

  /** @throws {Violation} if the core has written where it must not */
  checkMemory(): void {
    const memory = this.#core?.exports.memory.buffer;
    if (!memory) return;
    const beyond = new Float64Array(memory, Math.ceil(this.#end / 8) * 8);
    for (let i = 0; i < beyond.length; i++) {
      if (beyond[i] === 0) continue;
      throw new Violation(`${this.plan.id}: the core has written beyond its memory`);
    }
  }
}

function setFirstNumber(core: Core, number: number): void {
  const { memory, registers } = core.exports;
  const view = new DataView(memory.buffer, registers());
  for (const register of [TX_FIRST, TX_NEXT]) view.setUint32(register, number, true);
}
