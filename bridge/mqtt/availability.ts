/** Whether devices are available, as it is published: short outages are left out. */
import type { Server, ServerEvent } from "../../server/mod.ts";
import { type Clock, LONGEST_TIMER } from "../../server/transport/platform.ts";

/** Sleeping: it has said so, and should be back in time. */
export type AvailabilityState = "online" | "offline" | "sleeping";

/** What was told of a device last. */
export interface LastTold {
  readonly state: AvailabilityState;
  /** For how long it may sleep, in ms. */
  readonly sleep: number;
}

/** Something in ms: for all devices, by their ids, or as a function of them; undefined: nothing is said. */
export type PerDevice =
  | number
  | Readonly<Record<string, number>>
  | ((id: string) => number | undefined);

/** When devices count as gone. */
export interface AvailabilityOptions {
  /** For how long one without a connection is online still, in ms. Default 30,000. */
  readonly offlineAfter?: PerDevice | undefined;
  /** For how long one may sleep, in ms. Default: what it says in its metadata (`sleep=` seconds), or else not at all. */
  readonly sleeping?: PerDevice | undefined;
  /** What was told of it last, also by an earlier process. */
  last?(id: string): LastTold | undefined;
}

/** @param sleep For how long the device may sleep, in ms. */
type AvailabilityListener = (id: string, state: AvailabilityState, sleep: number) => void;

/** In ms. */
const OFFLINE_AFTER = 30_000;

export class Availability {
  readonly #server: Pick<Server, "devices" | "events" | "known">;
  readonly #clock: Clock;
  readonly #options: AvailabilityOptions;
  readonly #tell: AvailabilityListener;
  readonly #states = new Map<string, AvailabilityState>();
  readonly #announced = new Map<string, number>(); // by those who have connected, in ms
  readonly #leaving = new Map<string, () => void>();
  readonly #unsubscribe: () => void;

  /** @param tell Told of each change; and of each device once, when it is known for certain, unless it is gone still. */
  constructor(
    server: Pick<Server, "devices" | "events" | "known">,
    clock: Clock,
    options: AvailabilityOptions,
    tell: AvailabilityListener,
  ) {
    this.#server = server;
    this.#clock = clock;
    this.#options = options;
    this.#tell = tell;
    this.#unsubscribe = server.events.subscribe((event) => this.#take(event));
    for (const { id, connected, metadata, asleepUntil } of server.devices) {
      if (connected) this.#comes(id, metadata);
      else if (asleepUntil) this.#sleeps(id, asleepUntil);
      // An earlier process has told that it is gone, and nobody has seen it since: it does not sleep once more.
      else if (options.last?.(id)?.state === "offline") this.#states.set(id, "offline");
      else this.#leaves(id);
    }
  }

  /** What was told of a device. */
  get(id: string): AvailabilityState | undefined {
    return this.#states.get(id);
  }

  close(): void {
    this.#unsubscribe();
    for (const id of [...this.#leaving.keys()]) this.#stays(id);
  }

  #take(event: ServerEvent): void {
    if (event.event === "connected") {
      this.#comes(event.device, event.metadata);
    } else if (event.event === "disconnected") this.#leaves(event.device);
    else if (event.event === "asleep") this.#sleeps(event.device, event.until);
    else if (event.event === "overdue") this.#is(event.device, "offline");
    else if (event.event === "moved") this.#moves(event.device);
    else if (event.event === "elsewhere") {
      this.#states.delete(event.device);
      this.#announced.delete(event.device); // it says so again when it comes
      if (!this.#server.known(event.device)) this.#stays(event.device); // it was forgotten there
    } else if (event.event === "forgotten") {
      this.#stays(event.device);
      this.#states.delete(event.device); // its topics are taken back
      this.#announced.delete(event.device);
    }
  }

  /** For how long a device may sleep, as was said last, in ms. */
  sleep(id: string): number {
    const { sleeping, last } = this.#options;
    return per(sleeping, id) ?? this.#announced.get(id) ?? last?.(id)?.sleep ?? 0;
  }

  /** For how long a device without a connection is online still, in ms. */
  patience(id: string): number {
    return per(this.#options.offlineAfter, id) ?? OFFLINE_AFTER;
  }

  #comes(id: string, metadata = ""): void {
    this.#stays(id);
    this.#announced.set(id, sleepIn(metadata) ?? 0);
    this.#is(id, "online");
  }

  /** It has said so itself: the server says when it is missed. */
  #sleeps(id: string, until: Date): void {
    this.#stays(id);
    this.#announced.set(id, Math.max(0, until.getTime() - this.#clock.date()));
    this.#is(id, "sleeping");
  }

  #leaves(id: string): void {
    const patience = this.patience(id);
    const sleep = this.sleep(id);
    this.#after(id, patience, () => {
      this.#is(id, sleep > 0 ? "sleeping" : "offline");
      if (sleep > 0) this.#after(id, sleep, () => this.#is(id, "offline"));
    });
  }

  /** Another server has it, and tells of it as soon as it is met there: perhaps it never is. */
  #moves(id: string): void {
    const isGone = this.#states.get(id) === "offline";
    this.#states.delete(id);
    if (!isGone && !this.#leaving.has(id)) this.#leaves(id);
  }

  #after(id: string, ms: number, run: () => void): void {
    this.#stays(id);
    const forget = this.#clock.after(Math.min(ms, LONGEST_TIMER), () => {
      this.#leaving.delete(id);
      run();
    });
    this.#leaving.set(id, forget);
  }

  #stays(id: string): void {
    this.#leaving.get(id)?.();
    this.#leaving.delete(id);
  }

  #is(id: string, state: AvailabilityState): void {
    if (this.#states.get(id) === state) return;
    this.#states.set(id, state);
    this.#tell(id, state, this.sleep(id));
  }
}

function per(of: PerDevice | undefined, id: string): number | undefined {
  if (typeof of === "function") return of(id);
  return typeof of === "object" ? Object.hasOwn(of, id) ? of[id] : undefined : of;
}

/** Those that can be checked before they are used. */
export function timesIn(of: PerDevice | undefined): number[] {
  if (of === undefined || typeof of === "function") return [];
  return typeof of === "object" ? Object.values(of) : [of];
}

/** What a device says in its metadata: for how many seconds it may sleep. In ms; undefined: nothing. */
export function sleepIn(metadata: string): number | undefined {
  const seconds = /(?:^| )sleep=(\d{1,9})(?: |$)/.exec(metadata)?.[1];
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1000, LONGEST_TIMER);
}
