/**
 * A core, a socket and the clock: carries out what the core asks for. What to send, and what becomes of
 * the messages that arrive, is for whoever owns the driver.
 */
import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import { FIRMWARE } from "../../server/protocol/lines.ts";
import { nodePlatform } from "../../server/transport/node.ts";
import type { Platform } from "../../server/transport/platform.ts";
import { Can, CONNECTING, Core, Event, type Position, UP } from "./core.ts";
import { type CoreSize } from "./core_size.ts";
import { addressesOf, type BootOptions, coreOptions } from "./options.ts";
import { Addresses } from "./addresses.ts";
import { isSentAway, reasonOf } from "./reasons.ts";
import { CoreSocket } from "./socket.ts";

/** What a driver needs of its owner, who may call `pump` in any of these. */
export interface DriverOwner {
  /** The time to write to the core, and to see what it is done with: before every poll. */
  exchange(core: Core): void;
  /** Whether a message can be taken now. */
  canReceive(): boolean;
  /**
   * Is offered a message, valid until it returns.
   *
   * @returns whether it is processed, and may be acknowledged. If not, it will be offered again as soon as
   * one can be received
   * @throws {PeerError} if the connection must end
   */
  receive(message: Uint8Array): boolean;
  /** As `receive`, of what the server says to a firmware. Without it that is passed over: no application sees it. */
  told?(message: Uint8Array): boolean;
  /** The core's position has changed: to be kept before this returns. */
  positionChanged(position: Position): void;
  /** The same as `ConnectionOptions.onState`. */
  stateChanged(connected: boolean, reason?: PeerError | LocalError): void;
  /** The device's ms, for its hellos. Without it they say none. */
  clock?(): number;
  /** Of an owner with a memory: whether there is something that must be safe before anything goes out. */
  isDirty?(): boolean;
  /** Makes it safe. @throws {LocalError} if that is not possible: nothing goes out, and it is tried again */
  commit?(): void;
}

/** Of the timeout: the pause before another attempt to make safe what could not be. */
const COMMIT_PAUSE = 1 / 8;

/** Does nothing before the first `pump`, and then goes on until it is closed. */
export class ClientDriver {
  readonly core: Core;
  readonly #owner: DriverOwner;
  readonly #size: CoreSize;
  readonly #platform: Platform;
  #addresses: Addresses;
  #timeout: number;
  #dialect: number;
  /** ms after which the core may give a connection up; not before. */
  #patience: number;
  #position: Position;
  /** The core's clock stands while it wants to connect and nobody knows whereto: since when, and how long it has, less
   * the pauses that it has leapt over. */
  #standsSince: number | undefined;
  #stood = 0;
  /** While it stands: what comes of it when that takes too long. */
  #cancelPatience: (() => void) | undefined;
  #socket: CoreSocket | undefined;
  /** It has been connected. */
  #wasOpened = false;
  /** When the core heard something last, so far as it counts. */
  #heard = 0;
  /** When the core sent something last. */
  #sent = 0;
  /** When the core was polled last. */
  #polled = 0;
  #up = false;
  #upAt = 0;
  /** Servers that have sent this device away since a link last stayed for the timeout. */
  #sentAway = 0;
  /** The core is not to wait before its next attempt. */
  #hurries = false;
  #pumping = false;
  #again = false;
  /** Whether `#lookFirst` is under way. */
  #looking = false;
  /** Whether `#flush` is to come. */
  #flushing = false;
  #cancelRetry: (() => void) | undefined;
  #closed = false;
  #cancelTimer: (() => void) | undefined;
  #timerDue = 0;

  /** Boots the core in `module`. @throws {LocalError} BAD_ARGUMENT */
  constructor(
    owner: DriverOwner,
    module: WebAssembly.Module,
    imports: WebAssembly.Imports,
    options: BootOptions,
    size: CoreSize,
    platform: Platform = nodePlatform,
  ) {
    this.#owner = owner;
    this.#size = size;
    this.#platform = platform;
    const settings = coreOptions(options, size, owner.clock);
    this.#addresses = new Addresses(addressesOf(options), platform);
    this.core = new Core(module, imports, settings, this.#now());
    this.#timeout = settings.timeout;
    this.#dialect = settings.dialect;
    this.#patience = patienceOf(settings);
    this.#position = this.core.position;
  }

  /**
   * Drops the connection, boots the core again and goes on as somebody else, or elsewhere, from the next
   * `pump` on. The owner is told of no connection that is lost by that.
   *
   * @throws {LocalError} BAD_ARGUMENT, and nothing is changed
   */
  boot(options: BootOptions): void {
    const settings = coreOptions(options, this.#size, this.#owner.clock);
    const addresses = new Addresses(addressesOf(options), this.#platform);
    this.core.boot(settings, this.#now());
    this.#addresses.forget();
    this.#addresses = addresses;
    this.#goOn();
    this.#timeout = settings.timeout;
    this.#dialect = settings.dialect;
    this.#patience = patienceOf(settings);
    this.#position = this.core.position;
    this.#sentAway = 0;
    this.#hurries = false;
    this.#release();
  }

  /** Whether the link is up at present. */
  get up(): boolean {
    return this.#up;
  }

  /** Lets the core do all that can be done now. To be called when there is something new for it. */
  pump = (): void => {
    if (this.#pumping) this.#again = true; // called by the owner, from below
    else if (!this.#closed && !this.#looking) {
      const now = this.#now();
      if (this.#mayGiveUp(now)) this.#lookFirst(now);
      else this.#run(now);
    }
  };

  /** Whether the core, told this time, might end the connection because of what it has not seen happen. */
  #mayGiveUp(now: number): boolean {
    if (!this.#socket) return false;
    return now - this.#heard >= this.#patience ||
      (now - this.#sent >= this.#patience && !this.#socket.canSend);
  }

  /**
   * Lets the core see this time when all was read that had come by then. A program that was busy finds its
   * timers due before it has looked at its sockets: they must not speak first.
   */
  #lookFirst(now: number): void {
    this.#looking = true;
    this.#platform.caughtUp(1, () => {
      this.#looking = false;
      this.#feed(now);
      this.#run(now);
    });
  }

  /** Gives the core what was read before it is told that time has passed. */
  #feed(now: number): void {
    if (!this.#socket?.hasInput) return;
    this.core.poll(this.#polled, 0); // so that it says how much room it has
    this.#moveInput(now);
  }

  #moveInput(now: number): boolean {
    if (!this.#socket?.moveInput(this.core, now)) return false;
    if (this.#up) this.#heard = now; // parts of a greeting do not count
    return true;
  }

  #run(now: number): void {
    this.#pumping = true;
    try {
      do {
        this.#again = false;
        while (!this.#closed && this.#step(now));
      } while (this.#again && !this.#closed);
    } finally {
      this.#pumping = false;
    }
    if (!this.#closed) this.#setTimer(now);
  }

  /** Carries out what the core asks for; false once that is nothing. */
  #step(now: number): boolean {
    const { core } = this;
    this.#owner.exchange(core);
    if (this.#closed) return false; // by the owner
    const can = (this.#socket?.canSend ? Can.send : 0) |
      (this.#owner.canReceive() ? Can.receive : 0);
    this.#polled = now;
    const event = core.poll(now, can);
    switch (event) {
      case Event.connect:
        if (this.#addresses.current.addresses) this.#connect(now);
        else this.#stand();
        break;
      case Event.close:
        this.#drop(reasonOf(core), isSentAway(core));
        break;
      case Event.send:
        this.#socket!.send(core.piece);
        this.#sent = now;
        break;
      case Event.message:
        this.#receive(now);
        break;
    }
    if (this.#closed) return false; // by the owner, from within
    if (core.state === UP && !this.#up) {
      this.#up = true;
      this.#upAt = now;
      this.#keepPosition();
      this.#owner.stateChanged(true);
    }
    if (event !== Event.none) return true;
    if (!this.#flushing && (this.#socket?.hasOutput || this.#owner.isDirty?.())) {
      this.#flushing = true;
      // What is to be made safe is so at once for all that this turn brings: that costs.
      if (this.#owner.commit) this.#platform.endOfTurn(this.#flush);
      else this.#platform.soon(this.#flush);
    }
    return this.#moveInput(now);
  }

  /** Hands over what was collected: once for all that was written by the code that ran before. */
  #flush = (): void => {
    this.#flushing = false;
    if (this.#closed) return;
    if (this.#owner.isDirty?.()) {
      try {
        this.#owner.commit!();
      } catch (error) {
        if (!(error instanceof LocalError)) throw error;
        return this.#commitFailed(error);
      }
      this.#socket?.flush();
      this.pump(); // what is safe now can be sent
    } else if (this.#socket?.flush()) this.pump();
  };

  /** Nothing of what was collected may go out. */
  #commitFailed(error: LocalError): void {
    this.#flushing = true;
    this.#cancelRetry = this.#platform.after(this.#timeout * COMMIT_PAUSE, this.#flush);
    this.core.closed(this.#now());
    this.#drop(error);
    this.pump();
  }

  /** Before the core may say to the other end that it has got so far. */
  #keepPosition(): void {
    const { epoch, next } = this.core.position;
    if (epoch === this.#position.epoch && next === this.#position.next) return;
    this.#position = { epoch, next };
    this.#owner.positionChanged(this.#position);
  }

  #receive(now: number): void {
    let processed;
    try {
      const { piece } = this.core;
      const isOthers = this.#dialect === 2 && piece[0] === FIRMWARE.charCodeAt(0);
      processed = isOthers ? this.#owner.told?.(piece) ?? true : this.#owner.receive(piece);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.core.closed(now);
      this.#drop(error);
      return;
    }
    if (!processed || this.#closed) return;
    this.core.take();
    this.#keepPosition();
  }

  /** Nobody knows whereto yet: the core waits, and its clock stands. */
  #stand(): void {
    this.#standsSince = this.#platform.now();
    this.#lookUp();
    this.#cancelPatience = this.#platform.after(this.#timeout, () => {
      const reason = stillLookedUp(this.#addresses.current.hostname, this.#timeout);
      if (this.#addresses.count > 1) this.#giveUp(reason);
      else this.#owner.stateChanged(false, reason);
    });
  }

  /** Looks up the server's name, beside whatever else goes on. */
  #lookUp(): void {
    this.#addresses.lookUp((failure) => {
      if (this.#standsSince === undefined) return; // it is for the next attempt
      if (failure) return this.#giveUp(failure);
      this.#goOn();
      if (this.core.state === CONNECTING) this.#connect(this.#now()); // it has not been closed meanwhile
      this.pump();
    });
  }

  /** There is no address, so this attempt is over. */
  #giveUp(reason: PeerError): void {
    this.#goOn();
    this.core.closed(this.#now());
    this.#drop(reason);
    this.pump();
  }

  /** The core's clock goes on. */
  #goOn(): void {
    this.#cancelPatience?.();
    this.#cancelPatience = undefined;
    if (this.#standsSince === undefined) return;
    this.#stood += this.#platform.now() - this.#standsSince;
    this.#standsSince = undefined;
  }

  #connect(now: number): void {
    this.#heard = this.#sent = now;
    this.#wasOpened = false;
    const socket = this.#socket = new CoreSocket(this.#platform, this.#addresses.current, {
      opened: () => {
        this.#wasOpened = true;
        const now = this.#heard = this.#sent = this.#now();
        this.core.opened(now);
        this.pump();
      },
      received: this.pump,
      drained: this.pump,
      ended: (reason) => this.#ended(socket, reason),
    });
  }

  #ended(socket: CoreSocket, reason: PeerError): void {
    if (socket !== this.#socket) return; // the core gave it up before
    const now = this.#now();
    if (socket.hasInput) {
      this.#feed(now);
      this.#run(now);
    }
    if (socket !== this.#socket || this.#closed) return;
    this.core.closed(now);
    this.#drop(reason);
    this.pump();
  }

  /** Ends the connection, if there is one, for a reason of its owner's. Another one follows. */
  end(reason: PeerError): void {
    this.core.closed(this.#now());
    this.#drop(reason);
    this.pump();
  }

  /** @param isAway The server is about to stop, and has said so. */
  #drop(reason: PeerError | LocalError, isAway = false): void {
    // It may have moved. Meanwhile it is tried where it was.
    if (this.#socket && !this.#wasOpened) this.#lookUp();
    if (this.#up && this.#now() - this.#upAt >= this.#timeout) this.#sentAway = 0;
    // If all of them send it away, one after the other, it waits as after any refusal.
    if (isAway && ++this.#sentAway < this.#addresses.count) this.#hurries = true;
    // An attempt that has brought no link; a link that was lost is first sought where it was.
    if (isAway || (!this.#up && reason instanceof PeerError)) this.#addresses.next();
    this.#release();
    this.#owner.stateChanged(false, reason);
  }

  #release(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#up = false;
  }

  #setTimer(now: number): void {
    const due = now + this.core.wait;
    // It looks again then; but a timer that should have run by now, if the clock has jumped ahead, is late.
    const isSet = this.#cancelTimer && this.#timerDue > now && this.#timerDue <= due;
    if (isSet && !this.#hurries) return;
    if (this.#hurries) this.#stood -= this.core.wait; // without a connection its clock may leap
    this.#hurries = false;
    this.#cancelTimer?.();
    this.#timerDue = due;
    this.#cancelTimer = this.#platform.after(Math.max(0, due - this.#now()), () => {
      this.#cancelTimer = undefined;
      this.pump();
    });
  }

  /** Ends the link at once, without a word to its owner. @throws {LocalError} from its `commit` */
  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#cancelRetry?.();
    this.#cancelPatience?.();
    this.#addresses.forget();
    try {
      if (this.#owner.isDirty?.()) this.#owner.commit!();
      this.#socket?.flush();
    } finally {
      this.#release();
    }
  }

  /** The clock of the core, in whole ms. The time that a lookup takes is none of its attempt's. */
  #now(): number {
    return Math.floor((this.#standsSince ?? this.#platform.now()) - this.#stood);
  }
}

function stillLookedUp(hostname: string, ms: number): PeerError {
  const name = JSON.stringify(hostname);
  return new PeerError(
    "NO_ADDRESS",
    `the name ${name} has been looked up for ${ms} ms without an answer`,
  );
}

/**
 * The core gives an attempt to connect up after 3/8 of the timeout, and nothing sooner. Two ms less, as each of two
 * times may have been rounded.
 */
function patienceOf({ timeout }: { timeout: number }): number {
  return (timeout * 3 >> 3) - 2;
}
