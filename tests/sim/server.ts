/**
 * The simulated server's process: the real admission, sessions and records, driven as `server/server.ts`,
 * `turn.ts`, `device.ts` and `connection.ts` drive them, but by the world's clock. What comes in changes
 * the records; a commit makes the changes safe; only then acks and messages go out. It can be killed at
 * any time, and during the commit.
 */
import { Access } from "../../server/admission/access.ts";
import type { Host } from "../../server/admission/admission.ts";
import { LocalError, PeerError } from "../../server/protocol/errors.ts";
import type { Limits } from "../../server/link/limits.ts";
import { Life } from "./clock.ts";
import type { Listener, Socket } from "./network.ts";
import { ServerConnection } from "./server_connection.ts";
import { ServerDevice } from "./server_device.ts";
import { Disk, SimStore } from "./store.ts";
import type { World } from "./world.ts";

/** Between two attempts to commit to a store that fails, in ms. */
const RETRY = 250;

/** What a kill during a commit leaves. */
export type Torn = "no commit" | "before" | "after";

export class SimServer implements Listener {
  readonly life: Life;
  readonly limits: Limits;
  readonly devices = new Map<string, ServerDevice>();
  disk = new Disk();
  listens = false;
  /** The store cannot take anything at present. */
  failing = false;
  host!: Host;
  store!: SimStore;
  #results = new Set<(safe: boolean) => void>();
  #scheduled = false;
  #connections = new Set<ServerConnection>();
  #clockAhead = 0;

  constructor(readonly world: World) {
    this.life = new Life(world.clock);
    this.limits = world.scenario.limits;
  }

  /** The process's own clock, in ms. */
  readonly now = (): number => this.world.clock.now + this.#clockAhead;

  start(): void {
    const { world, limits } = this;
    const { devices, stock, open } = world.scenario;
    this.#clockAhead = world.random.below(1000) - world.clock.now;
    const keys = devices.flatMap(({ id, key }): [string, Uint8Array][] => key ? [[id, key]] : []);
    const first = (id: string) => world.firstPositions(id);
    const store = this.store = new SimStore(this.disk, world, first, this.#clockAhead);
    this.host = {
      access: new Access({ keys, open, stock }),
      limits,
      now: this.now,
      record: (id) => {
        const known = store.get(id);
        if (!known && store.size >= limits.devices) {
          throw new PeerError("TOO_MANY_DEVICES", "too many devices");
        }
        // Whose numbers are far on has been known for long. A new device's record is made when it is admitted.
        return known ?? (first(id).txNext ? store.create(id) : undefined);
      },
    };
    this.listens = true;
    world.log?.("the server starts");
    for (const id of store.ids) if (store.get(id)!.safe > 0) this.meet(id).pump();
  }

  /** @param disk What it finds instead of its own when it is started again. */
  kill(torn: Torn, disk: Disk | undefined, closes: boolean): void {
    const { world } = this;
    world.log?.(`the server is killed: ${torn}${disk ? ", its store is another one" : ""}`);
    if (torn === "after" && !this.disk.full) this.store.commit();
    this.life.end();
    this.listens = this.failing = this.#scheduled = false;
    for (const connection of this.#connections) connection.die(closes);
    this.#connections.clear();
    this.#results.clear();
    for (const device of this.devices.values()) device.die();
    this.devices.clear();
    if (disk) this.disk = disk;
    world.serverDied(disk);
  }

  accept(socket: Socket): void {
    if (this.#connections.size >= this.limits.connections) return socket.close();
    const connection = new ServerConnection(this, socket);
    this.#connections.add(connection);
  }

  forget(connection: ServerConnection): void {
    this.#connections.delete(connection);
  }

  /** The device's session; a new one if it was not here since the start. */
  meet(id: string): ServerDevice {
    let device = this.devices.get(id);
    if (!device) this.devices.set(id, device = new ServerDevice(this, id));
    return device;
  }

  /** Something has changed: `result(true)` is called after the commit. */
  touch(result: (safe: boolean) => void): void {
    this.#results.add(result);
    if (this.failing) return result(false);
    if (this.#scheduled) return;
    this.#scheduled = true;
    const { gather } = this.world.scenario;
    this.life.after(this.world.random.below(gather + 1), this.#endTurn);
  }

  readonly #endTurn = (): void => {
    this.#scheduled = false;
    const { world } = this;
    const life = this.life.number;
    world.clock.onStep?.();
    if (this.life.number !== life) return; // killed
    const torn = world.tornCommit();
    if (torn) return world.killServer(torn);
    try {
      this.store.commit();
    } catch (error) {
      if (!(error instanceof LocalError)) throw error;
      this.failing = true;
      this.life.after(RETRY, this.#endTurn);
      for (const result of this.#results) result(false);
      return;
    }
    this.failing = false;
    const results = this.#results;
    this.#results = new Set();
    for (const result of results) result(true);
  };
}
