/**
 * Connects a core with a socket and the clock: carries out what the core asks for. The driver's owner
 * decides what to send, and handles the messages that arrive.
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

/** What a driver needs from its owner, who may call `pump` in any of these. */
export interface DriverOwner {
  /** Called before every poll, to write to the core and to see which messages are done. */
  exchange(core: Core): void;
  /** Whether a message can be taken now. */
  canReceive(): boolean;
  /**
   * Offers a message, which is valid until this returns.
   *
   * @returns whether it is processed, and may be acknowledged. If not, it is offered again as soon as one
   * can be received
   * @throws {PeerError} if the connection must end
   */
  receive(message: Uint8Array): boolean;
  /**
   * Like `receive`, for the server's messages to a firmware. Without it these are dropped: no application sees them.
   */
  told?(message: Uint8Array): boolean;
  /** The core's position has changed: it must be stored before this returns. */
  positionChanged(position: Position): void;
  /** The same as `ConnectionOptions.onState`. */
  stateChanged(connected: boolean, reason?: PeerError | LocalError): void;
  /** The device's ms, for its hellos. Without it they have none. */
  clock?(): number;
  /** For an owner with a memory: whether something must be made safe before anything is sent. */
  isDirty?(): boolean;
  /** Makes it safe. @throws {LocalError} if that fails: then nothing is sent, and it is tried again */
  commit?(): void;
}

/** Pause before a failed commit is tried again, as a part of the timeout. */
const COMMIT_PAUSE = 1 / 8;

/** Drives a core. Does nothing before the first `pump`, and then runs until it is closed. */
export class ClientDriver {
  readonly core: Core;
  readonly #owner: DriverOwner;
  readonly #size: CoreSize;
  readonly #platform: Platform;
  #addresses: Addresses;
  #timeout: number;
  #dialect: number;
  /** ms after which the core may give a connection up; not before. Once the link is up, silence may last for the
   * timeout. */
  #patience: number;
  #position: Position;
  /** The core's clock is stopped while it wants to connect but no address is known: since when, and for how long in
   * all, less the pauses that were skipped. */
  #standsSince: number | undefined;
  #stood = 0;
  /** While the clock is stopped: cancels the timer for the case that this takes too long. */
  #cancelPatience: (() => void) | undefined;
  #socket: CoreSocket | undefined;
  /** Whether the socket was connected. */
  #wasOpened = false;
  /** When the core last heard something that counts. */
  #heard = 0;
  /** When the core last sent something. */
  #sent = 0;
  /** When the core was last polled. */
  #polled = 0;
  #up = false;
  #upAt = 0;
  /** Servers that have sent this device away since a link last stayed for the timeout. */
  #sentAway = 0;
  /** Whether the core should skip the pause before its next attempt. */
  #hurries = false;
  #pumping = false;
  #again = false;
  /** Whether `#lookFirst` is under way. */
  #looking = false;
  /** Whether `#flush` is planned. */
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
   * Drops the connection, boots the core again, and continues with a new identity or server from the
   * next `pump` on. The owner is not told about the connection that this ends.
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

  /** Lets the core do everything that can be done now. Call it when there is something new for it. */
  pump = (): void => {
    if (this.#pumping) this.#again = true; // called by the owner, from within
    else if (!this.#closed && !this.#looking) {
      const now = this.#now();
      if (this.#mayGiveUp(now)) this.#lookFirst(now);
      else this.#run(now);
    }
  };

  /** Whether the core, given this time, might end the connection because something has not happened. */
  #mayGiveUp(now: number, heard = this.#heard): boolean {
    if (!this.#socket) return false;
    return now - heard >= (this.#up ? this.#timeout : this.#patience) ||
      (now - this.#sent >= this.#patience && !this.#socket.canSend);
  }

  /**
   * Gives this time to the core only when everything that had arrived by then was read. In a program that
   * was busy, timers are due before sockets were read: they must not come first.
   */
  #lookFirst(before: number): void {
    this.#looking = true;
    this.#platform.caughtUp(1, () => {
      this.#looking = false;
      const now = this.#now();
      const heard = this.#socket?.hasInput ? now : this.#heard;
      // The core may only give up by the earlier time, because more may have arrived since. Otherwise it gets the present
      // one: its timeouts for what it hears and sends now count from the time that it gets.
      const time = this.#mayGiveUp(now, heard) ? before : now;
      this.#feed(time);
      this.#run(time);
    });
  }

  /** Gives received bytes to the core before it learns that time has passed. */
  #feed(now: number): void {
    if (!this.#socket?.hasInput) return;
    this.core.poll(this.#polled, 0); // to learn how much room it has
    this.#moveInput(now);
  }

  #moveInput(now: number): boolean {
    if (!this.#socket?.moveInput(this.core, now)) return false;
    if (this.core.state === UP) this.#heard = now; // parts of a greeting do not count
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

  /** Carries out what the core asks for; false once it asks for nothing. */
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
      // One commit for all that this turn brings, as commits are expensive.
      if (this.#owner.commit) this.#platform.endOfTurn(this.#flush);
      else this.#platform.soon(this.#flush);
    }
    return this.#moveInput(now);
  }

  /** Flushes the collected output, once for everything that was written before. */
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
      this.pump(); // what is now safe can be sent
    } else if (this.#socket?.flush()) this.pump();
  };

  /** The commit has failed: nothing that was collected may be sent. */
  #commitFailed(error: LocalError): void {
    this.#flushing = true;
    this.#cancelRetry = this.#platform.after(this.#timeout * COMMIT_PAUSE, this.#flush);
    this.core.closed(this.#now());
    this.#drop(error);
    this.pump();
  }

  /** Stores the position before the core may send it to the other end. */
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

  /** No address is known yet: the core waits, and its clock is stopped. */
  #stand(): void {
    this.#standsSince = this.#platform.now();
    this.#lookUp();
    this.#cancelPatience = this.#platform.after(this.#timeout, () => {
      const reason = stillLookedUp(this.#addresses.current.hostname, this.#timeout);
      if (this.#addresses.count > 1) this.#giveUp(reason);
      else this.#owner.stateChanged(false, reason);
    });
  }

  /** Looks up the server's name in the background. */
  #lookUp(): void {
    this.#addresses.lookUp((failure) => {
      if (this.#standsSince === undefined) return; // it is for the next attempt
      if (failure) return this.#giveUp(failure);
      this.#goOn();
      if (this.core.state === CONNECTING) this.#connect(this.#now()); // it was not closed meanwhile
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

  /** Starts the core's clock again. */
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
    if (socket !== this.#socket) return; // the core has given it up
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

  /** Ends the connection, if there is one, for the owner's reason. Another one follows. */
  end(reason: PeerError): void {
    this.core.closed(this.#now());
    this.#drop(reason);
    this.pump();
  }

  /** @param isAway Whether the server said that it is about to stop. */
  #drop(reason: PeerError | LocalError, isAway = false): void {
    // The server may have moved. Meanwhile its old address is tried.
    if (this.#socket && !this.#wasOpened) this.#lookUp();
    if (this.#up && this.#now() - this.#upAt >= this.#timeout) this.#sentAway = 0;
    // If all servers send it away, one after the other, it waits as after any refusal.
    if (isAway && ++this.#sentAway < this.#addresses.count) this.#hurries = true;
    // Only after an attempt without a link; after a lost link the same address is tried first.
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
    // The set timer will do; but one that should have run already, because the clock has jumped ahead, is late.
    const isSet = this.#cancelTimer && this.#timerDue > now && this.#timerDue <= due;
    if (isSet && !this.#hurries) return;
    if (this.#hurries) this.#stood -= this.core.wait; // without a connection its clock may jump
    this.#hurries = false;
    this.#cancelTimer?.();
    this.#timerDue = due;
    this.#cancelTimer = this.#platform.after(Math.max(0, due - this.#now()), () => {
      this.#cancelTimer = undefined;
      this.pump();
    });
  }

  /** Ends the link at once, without telling its owner. @throws {LocalError} from its `commit` */
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

  /** The clock of the core, in whole ms. The time of a lookup does not count for an attempt. */
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
 * The shortest time after which the core gives anything up: 3/8 of the timeout, for an attempt to connect. Less two
 * ms, as each of two times may have been rounded.
 */
function patienceOf({ timeout }: { timeout: number }): number {
  return (timeout * 3 >> 3) - 2;
}
