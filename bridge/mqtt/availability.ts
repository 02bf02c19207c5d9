/** Whether devices are there, as it is told: a short outage is none. */
import type { Server, ServerEvent } from "../../server/mod.ts";
import type { Clock } from "../../server/transport/platform.ts";

export type AvailabilityState = "online" | "offline";

export class Availability {
  readonly #clock: Clock;
  readonly #offlineAfter: number;
  readonly #tell: (id: string, state: AvailabilityState) => void;
  readonly #states = new Map<string, AvailabilityState>();
  readonly #leaving = new Map<string, () => void>();
  readonly #unsubscribe: () => void;

  /** @param tell Told of each change; and of each device once, when it is known for certain. */
  constructor(
    server: Server,
    clock: Clock,
    offlineAfter: number,
    tell: (id: string, state: AvailabilityState) => void,
  ) {
    this.#clock = clock;
    this.#offlineAfter = offlineAfter;
    this.#tell = tell;
    this.#unsubscribe = server.events.subscribe((event) => this.#take(event));
    for (const { id, connected } of server.devices) {
      if (connected) this.#is(id, "online");
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
      this.#stays(event.device);
      this.#is(event.device, "online");
    } else if (event.event === "disconnected") this.#leaves(event.device);
    else if (event.event === "forgotten") {
      this.#stays(event.device);
      this.#states.delete(event.device); // its topics are taken back
    }
  }

  #leaves(id: string): void {
    this.#stays(id);
    const forget = this.#clock.after(this.#offlineAfter, () => {
      this.#leaving.delete(id);
      this.#is(id, "offline");
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
    this.#tell(id, state);
  }
}
