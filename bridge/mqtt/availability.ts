/** The published availability of devices: short outages are left out. */
import type { Server, ServerEvent } from "../../server/mod.ts";
import { type Clock, LONGEST_TIMER } from "../../server/transport/platform.ts";

/** Sleeping: it has announced that, and should be back in time. */
export type AvailabilityState = "online" | "offline" | "sleeping";

/** The last announcement of a device. */
export interface LastAnnouncement {
  readonly state: AvailabilityState;
  /** How long it may sleep, in ms. */
  readonly sleep: number;
}

/** A time in ms: for all devices, by id, or as a function of the id; undefined: not given. */
export type PerDevice =
  | number
  | Readonly<Record<string, number>>
  | ((id: string) => number | undefined);

/** When devices count as gone. */
export interface AvailabilityOptions {
  /** How long a device without a connection still counts as online, in ms. Default 30,000. */
  readonly offlineAfter?: PerDevice | undefined;
  /** How long a device may sleep, in ms. Default: `sleep=` seconds in its metadata, otherwise not at all. */
  readonly sleeping?: PerDevice | undefined;
  /** The last announcement of a device, also by an earlier process. */
  last?(id: string): LastAnnouncement | undefined;
}

/** @param sleep How long the device may sleep, in ms. */
type AvailabilityListener = (id: string, state: AvailabilityState, sleep: number) => void;

/** Default of `offlineAfter`, in ms. */
const OFFLINE_AFTER = 30_000;

export class Availability {
  readonly #server: Pick<Server, "devices" | "events" | "known">;
  readonly #clock: Clock;
  readonly #options: AvailabilityOptions;
  readonly #tell: AvailabilityListener;
  readonly #states = new Map<string, AvailabilityState>();
  readonly #announced = new Map<string, number>(); // by devices that have connected, in ms
  readonly #leaving = new Map<string, () => void>();
  readonly #unsubscribe: () => void;

  /**
   * @param tell Called at each change; and once for each device, when its state is certain, unless it is still gone.
   */
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
      // An earlier process has announced it as gone, and it has not come since: it does not count as sleeping again.
      else if (options.last?.(id)?.state === "offline") this.#states.set(id, "offline");
      else this.#leaves(id);
    }
  }

  /** The announced state of a device. */
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
      this.#states.delete(event.device); // its topics are removed
      this.#announced.delete(event.device);
    }
  }

  /** How long a device may sleep, as last announced, in ms. */
  sleep(id: string): number {
    const { sleeping, last } = this.#options;
    return per(sleeping, id) ?? this.#announced.get(id) ?? last?.(id)?.sleep ?? 0;
  }

  /** How long a device without a connection still counts as online, in ms. */
  patience(id: string): number {
    return per(this.#options.offlineAfter, id) ?? OFFLINE_AFTER;
  }

  #comes(id: string, metadata = ""): void {
    this.#stays(id);
    this.#announced.set(id, sleepIn(metadata) ?? 0);
    this.#is(id, "online");
  }

  /** It has announced its sleep itself: the server reports when it is overdue. */
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

  /** Another server has it, and announces it as soon as it comes there, which may never happen. */
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

/** The times that can be checked in advance. */
export function timesIn(of: PerDevice | undefined): number[] {
  if (of === undefined || typeof of === "function") return [];
  return typeof of === "object" ? Object.values(of) : [of];
}

/** How long a device may sleep according to its metadata (in s), in ms; undefined: not given. */
export function sleepIn(metadata: string): number | undefined {
  const seconds = /(?:^| )sleep=(\d{1,9})(?: |$)/.exec(metadata)?.[1];
  return seconds === undefined ? undefined : Math.min(Number(seconds) * 1000, LONGEST_TIMER);
}
