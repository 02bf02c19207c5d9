/**
 * A simulated device: boots, dies and boots again, as a chip or as a program on a host. It runs the real driver of the
 * core, or the real `Client`.
 */
import type { Asleep } from "../../bridge/host/sleep.ts";
import type { Progress } from "../../bridge/host/handout.ts";
import { LocalError, type PeerError } from "../../server/protocol/errors.ts";
import { byteLength, LOGGED } from "../../server/protocol/lines.ts";
import type { ConnectOptions, SocketEvents } from "../../server/transport/platform.ts";
import { Answering } from "./answering.ts";
import type { Books } from "./books.ts";
import { ChannelDevice } from "./channel_device.ts";
import { Chip, LOOKS } from "./chip.ts";
import { Hellos } from "./hellos.ts";
import { HostProgram } from "./host.ts";
import { NOBODY, SERVER } from "./addresses.ts";
import { Circuit, DOWN, type Host, type Path, UP } from "../../bridge/testing/network.ts";
import { OpenedTap } from "./opened.ts";
import type { Draft, Program } from "./program.ts";
import { SimMemory } from "./memory.ts";
import { Naps } from "./naps.ts";
import { SimPlatform, type Wiring } from "../../bridge/testing/platform.ts";
import { Process } from "../../bridge/testing/process.ts";
import { SimFirmware } from "./firmware.ts";
import { type Message } from "./promises.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { DevicePlan, DeviceTalk } from "./scenario.ts";
import { judgeEnd, watchSocket } from "./silence.ts";
import { SimSocket } from "../../bridge/testing/socket.ts";
import type { Torn } from "./store.ts";
import { newText } from "./text.ts";
import type { World } from "./world.ts";

/** How a device ends. */
export interface Death {
  /** It still has its position when it boots again. */
  keepsMemory: boolean;
  /** The operating system closes its connections. */
  closes: boolean;
  /** ms until it boots again. */
  off: number;
  /** The wire it speaks from then on. */
  dialect: 1 | 2;
}

/** The state that a chip keeps over a sleep. */
interface Night {
  readonly asleep: Asleep;
  /** The waiting messages in the books; undefined: a message of the firmware. */
  readonly waiting: (Message | undefined)[];
}

/** Errors that a device must never report about an honest server. */
const ACCUSATIONS: ReadonlySet<string> = new Set([
  "BAD_GREETING",
  "BAD_LINE",
  "BAD_POSITION",
  "BAD_PROOF",
  "BAD_UTF8",
  "GAP",
  "LINE_TOO_LONG",
  "REFUSED",
]);

export class SimDevice implements Wiring {
  readonly process: Process;
  readonly talk: DeviceTalk;
  dialect: 1 | 2;
  /** Boots so far: the epoch of its messages in the books. */
  boot = 0;
  clockAhead: number;
  dateAhead = 0;
  /** Somebody has set its date. */
  isDateSet = false;
  /** Dies at its application's next message: before or after the application acts, in either case before its position
   * is saved; or soon after. */
  dies: "before acting" | "after acting" | "soon" | undefined;
  /** How it dies when it has seen a message that may expire, and the server has no ack for it. */
  atDeadline: (() => void) | undefined;
  readonly answering = new Answering();
  readonly hellos: Hellos;
  /** The application takes no messages until then. */
  busyUntil = 0;
  /** Until when it need not notice that the other end is gone, because its clock was set back. */
  deafUntil = 0;
  /** Answers in the server's place. */
  impostor: Host | undefined;
  /** RTC memory, which outlives a reset of a chip. */
  memory: Progress | undefined;
  /** The state with which it wakes. */
  night: Night | undefined;
  readonly naps: Naps;
  /** How long it really sleeps next, in ms, whatever it has announced. */
  #sleepsFor = 0;
  /** The memory that outlives a program on a host. */
  disk: SimMemory;
  /** It dies in its next commit to the disk. */
  tears: Torn | undefined;
  program: Program | undefined;
  /** Its channels, in a world that has them. */
  readonly channels: ChannelDevice | undefined;
  /** Its firmware, in a world of deploys. */
  readonly firmware: SimFirmware | undefined;
  /** The connection is one to an impostor. */
  meetsImpostor = false;
  /** Shortest `line` that a server may have sent on this connection, and on the previous one. */
  #least = Infinity;
  #leastBefore = Infinity;
  #platform: SimPlatform | undefined;
  #socket: SimSocket | undefined;

  constructor(
    readonly world: World,
    readonly plan: DevicePlan,
    readonly path: Path,
    readonly books: Books,
  ) {
    this.process = new Process(world);
    this.talk = plan.talk;
    this.dialect = plan.dialect;
    this.naps = new Naps(this);
    this.hellos = new Hellos(plan.id);
    this.clockAhead = plan.clockAhead;
    this.disk = new SimMemory(this, world.folder, plan.firstNumber);
    const things = world.channels?.things.get(plan.id);
    const deploys = world.deploys?.devices.get(plan.id);
    if (deploys) this.firmware = new SimFirmware(this, deploys.plan.apps, deploys);
    if (things) this.channels = things.device = new ChannelDevice(this, things);
  }

  get id(): string {
    return this.plan.id;
  }

  get gather(): number {
    return 0;
  }

  /** Its milliseconds: on a chip they restart at each boot, and soon wrap around. */
  get ms(): number {
    if (this.plan.kind !== "chip") return Math.floor(this.#platform!.date()) % 2 ** 32;
    return (Math.floor(this.world.clock.now) + (this.boot + 1) * (2 ** 32 - 3000)) % 2 ** 32;
  }

  /** What it says about itself in dialect 2. */
  get metadata(): string {
    return this.firmware?.metadata ?? this.plan.metadata;
  }

  get isUp(): boolean {
    return this.program?.isUp ?? false;
  }

  /** It will die soon. */
  get isCursed(): boolean {
    return [this.dies, this.tears, this.answering.strike].some((fate) => fate !== undefined);
  }

  get isIdle(): boolean {
    const isIdle = this.firmware?.isIdle ?? true;
    return isIdle && this.talk.messages === 0 && (this.program?.isIdle ?? false);
  }

  /** How often the link came up since the boot. */
  get connects(): number {
    return this.program?.connects ?? 0;
  }

  /** Shortest `line` that a server may have sent and that writers or the client's memory may still apply. */
  get leastLine(): number {
    return Math.min(this.#least, this.#leastBefore);
  }

  /** From now on the server sends another limit; the previous one may still be on its way. */
  lineChanges(lineBytes: number): void {
    this.#least = Math.min(this.#least, lineBytes);
  }

  start(): void {
    this.world.log?.(`${this.id} boots, dialect ${this.dialect}`);
    const platform = this.#platform = new SimPlatform(this.process, this);
    if (this.night) this.channels?.wake();
    else this.channels?.start();
    this.firmware?.boot(this.night !== undefined);
    this.process.enter(() => {
      this.program = this.plan.kind === "chip"
        ? new Chip(this, platform)
        : new HostProgram(this, platform);
    });
    this.night = undefined;
  }

  /** Looks up the server's name, which fails now and then. */
  resolve(): readonly string[] | undefined {
    return this.world.random.chance(0.2) ? undefined : [SERVER];
  }

  connect(
    _platform: SimPlatform,
    { addresses, hostname }: ConnectOptions,
    events: SocketEvents & { opened(): void },
  ): SimSocket {
    const { world } = this;
    world.log?.(`${this.id} connects to ${hostname}`);
    const isThere = addresses?.[0] !== NOBODY;
    this.meetsImpostor = isThere && this.impostor !== undefined;
    this.books.aging.connects(this.#isStored);
    this.naps.connects();
    this.#leastBefore = this.#least;
    this.#least = world.lineBytes;
    const { client } = new Circuit(
      this.path,
      isThere
        ? this.impostor ?? world.hostAt(addresses?.[0] ?? hostname, this)
        : { listens: false, accept() {} },
    );
    const opened = () => {
      this.hellos.begins(client.connection, this.ms);
      events.opened();
    };
    const socket = new SimSocket(this.process, client, `${SERVER}:8123`, { ...events, opened });
    this.#socket = socket;
    this.answering.connects();
    const lines = {
      read: (bytes: Uint8Array) => this.answering.read(bytes),
      wrote: (bytes: Uint8Array) => this.#wrote(bytes),
    };
    socket.tap = new OpenedTap(lines, this.plan, UP, world.clock, (bytes) => {
      world.overhear(socket, bytes);
    });
    watchSocket(world, socket, world.devicePatience(this), this.id);
    return socket;
  }

  get #isStored(): boolean {
    return this.world.server.disk.devices.has(this.id);
  }

  #wrote(bytes: Uint8Array): void {
    const { clock, scenario: { timeout } } = this.world;
    if (this.meetsImpostor) return;
    if (this.dialect === 2) this.answering.writes(this.#socket!.end);
    this.naps.wrote(bytes);
    // Its socket may take nothing for the timeout. A chip's application only checks now and then, so it may notice
    // later what expires while it is frozen.
    const pause = this.plan.kind === "chip" ? timeout / LOOKS : 0;
    const since = Math.max(clock.now - timeout * 1.25 - 5, this.process.frozenUntil - pause);
    this.books.aging.sent(bytes, this.boot, clock.now - since);
  }

  /** The link came up, or was lost. */
  stateChanged(connected: boolean, reason?: PeerError | LocalError): void {
    if (connected) {
      this.#socket?.serves();
      this.world.log?.(`${this.id} has a link`);
      if (this.meetsImpostor && this.plan.key) {
        throw new Violation(`${this.id} takes an impostor for its server`);
      }
      this.books.linkUp(this.#socket!.end.connection, this.#isStored);
      this.channels?.books.readings.linkUp(this.world.clock.now - this.#socket!.madeAt);
      return;
    }
    this.world.log?.(`${this.id} has no link: ${reason}`);
    if (reason instanceof LocalError) return; // of its memory
    if (this.#socket && this.deafUntil < this.#socket.madeAt) {
      judgeEnd(this.world, this.#socket, reason!.code, `the link of ${this.id}`);
    }
    if (reason!.code === "REFUSED" && this.world.mayRefuse) return;
    // A device must not accuse an honest server.
    if (this.meetsImpostor || !ACCUSATIONS.has(reason!.code)) return;
    throw new Violation(`${this.id} accuses the server: ${reason}`);
  }

  /** Its clock jumps. */
  jump(ms: number): void {
    this.clockAhead += ms;
    const { clock, scenario: { timeout } } = this.world;
    this.books.aging.jumps(ms, clock.now + timeout / LOOKS);
    // Work that was due at a certain time, such as a keepalive, comes later: if the clock is set back again before
    // that, by the sum of both.
    this.deafUntil = Math.max(this.deafUntil, clock.now + timeout / 4) + Math.max(0, -ms);
  }

  /** The next message of its application; undefined: no text was found that fits. */
  draft(): Draft | undefined {
    if (this.channels) return this.channels.draft();
    const { random, lineBytes } = this.world;
    const { qosOff, waits, long, logs, expiring } = this.talk;
    const { fromDevice, log } = this.books;
    const line = Math.min(this.plan.size.line, lineBytes);
    const isLog = this.plan.kind === "chip" && this.dialect === 2 && random.chance(logs);
    const most = line - (isLog ? LOGGED.length : 0);
    const text = newText(fromDevice, random, most, long, fromDevice.size + log.size);
    if (text === undefined) return undefined;
    const qos = !random.chance(qosOff);
    const ages = qos && !isLog && random.chance(expiring);
    return {
      text: isLog ? LOGGED + text : text,
      qos,
      wait: random.chance(waits),
      expires: ages ? 1 + random.skewed(0, 2 * this.world.scenario.timeout) : Infinity,
    };
  }

  fits({ text }: Draft): boolean {
    return byteLength(text) <= this.world.lineBytes;
  }

  /**
   * Its application gets a message.
   *
   * @returns false if the device dies at it
   */
  see(text: string): boolean {
    if (this.meetsImpostor && !this.plan.key) return true; // nothing is promised
    const { world, books } = this;
    if (this.dies === "before acting") {
      // A client that acknowledges what it hands out may miss the message.
      if (this.program!.mayMiss) books.toDevice.find(text)!.excused = true;
      this.dieOf("death before the application acts");
      return false;
    }
    world.log?.(`${this.id} sees ${JSON.stringify(text)}`);
    const message = books.seenByDevice(text, this.dialect);
    this.channels?.take(text);
    world.messages++;
    const busy = world.random.below(this.talk.busy + 1);
    this.busyUntil = Math.max(this.busyUntil, world.clock.now + busy);
    if (this.dies === "after acting") {
      if (message.qos) message.repeats = 1;
      this.dieOf("death before the position is kept");
      return false;
    }
    if (this.atDeadline && message.expires < Infinity) {
      const strike = this.atDeadline;
      this.atDeadline = undefined;
      if (message.qos) message.repeats = 1;
      strike();
      return false;
    }
    if (this.dies === "soon") this.#dieSoon();
    if (this.talk.answers > 0) {
      this.talk.answers--;
      this.talk.messages++;
    }
    return true;
  }

  /** Whether it keeps its position, unless its memory is lost. */
  get remembers(): boolean {
    return this.dialect === 2 && this.plan.kind !== "host";
  }

  /** Whether its client has a memory. */
  get hasDisk(): boolean {
    return this.dialect === 2 && this.plan.kind === "host with memory";
  }

  /** Dies when the position is saved, and the ack is on its way. */
  #dieSoon(): void {
    const { boot, world, plan: { conditions: { latency } } } = this;
    world.clock.after(world.random.below(2 * latency + 5), () => {
      if (this.boot !== boot) return;
      world.count("device boots, an ack on its way");
      this.die({ keepsMemory: true, closes: false, off: 10, dialect: this.dialect });
    });
  }

  /** Whether it can sleep: a chip that is awake, with a stream that goes on. */
  get canSleep(): boolean {
    return this.dialect === 2 && !this.firmware?.isOld && this.program?.sleepSoon !== undefined;
  }

  /** Makes it sleep. @param ms The announced time. @param off The real time. */
  sleepSoon(ms: number, off: number): void {
    this.process.enter(() => {
      if (!this.program?.sleepSoon?.(ms)) return;
      this.#sleepsFor = off;
      this.naps.wanted();
    });
  }

  /** Sleeps, and wakes with the waiting messages. */
  sleeps(asleep: Asleep, waiting: Night["waiting"]): void {
    const { world, naps } = this;
    const off = this.#sleepsFor;
    world.log?.(`${this.id} sleeps for ${off} ms, and ${waiting.length} messages wait`);
    if (this.channels) world.count("device with channels sleeps");
    if (this.firmware) world.count("device that is given applications sleeps");
    naps.begins(asleep.ms, off, asleep.isTold);
    this.night = { asleep, waiting };
    this.program = undefined;
    this.process.end();
    this.#platform?.die(world.random.chance(0.5));
    this.#platform = undefined;
    this.busyUntil = 0;
    this.dies = undefined;
    this.path.unplug(DOWN);
    world.disturb(world.clock.now + off);
    world.clock.after(off, () => {
      this.path.plug(DOWN);
      naps.ends();
      if (world.random.chance(0.2)) this.#wakesWithoutMemory();
      this.start();
    });
  }

  /** It wakes as after a loss of power, such as a battery that was empty for a moment. */
  #wakesWithoutMemory(): void {
    this.world.count("device loses its memory in a sleep");
    this.night = this.memory = undefined;
    this.books.deviceDied(false);
    this.boot++;
  }

  /** Dies from a planned fault. */
  dieOf(kind: string, keepsMemory = this.world.random.chance(0.7)): void {
    this.world.count(kind);
    this.die({ keepsMemory, closes: false, off: 10, dialect: this.dialect });
  }

  /** Dies, and boots again. */
  die({ keepsMemory, closes, off, dialect }: Death): void {
    if (!this.program) return; // it is off
    const memory = keepsMemory ? "keeps" : "loses";
    this.world.log?.(`${this.id} dies, ${memory} its memory, off for ${off} ms`);
    this.program.died(closes);
    this.firmware?.died();
    this.program = undefined;
    this.process.end();
    this.#platform?.die(closes);
    this.#platform = undefined;
    this.busyUntil = 0;
    this.dies = this.tears = undefined;
    this.disk.die();
    // Dialect 1 does not use the disk: a device that returns to dialect 2 starts afresh.
    if (!keepsMemory || dialect === 1) this.disk = new SimMemory(this, this.world.folder, 0);
    if (!keepsMemory) this.memory = undefined;
    this.books.deviceDied(keepsMemory && this.remembers && dialect === 2);
    this.boot++;
    this.dialect = dialect;
    this.path.unplug(DOWN);
    this.world.disturb(this.world.clock.now + off);
    this.world.clock.after(off, () => {
      this.path.plug(DOWN);
      this.start();
    });
  }
}
