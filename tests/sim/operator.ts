/** The operator: tells a running server to forget a device, or to drop the messages that wait for one. */
import { LocalError } from "../../server/protocol/errors.ts";
import { Violation } from "../../bridge/testing/violation.ts";
import type { World } from "./world.ts";

/** Whether a device is lost to this server: another one has it, or the operator had it forgotten. */
export function isLost(error: unknown): boolean {
  return error instanceof LocalError && (error.code === "FENCED" || error.code === "FORGOTTEN");
}

/** Codes with which an order may fail while the server is being closed. */
const ENDS: ReadonlySet<string> = new Set(["CLOSED", "STORE_FAILED"]);

export class Operator {
  /** Devices that the current server was told to forget; one entry for each order. */
  #forgets: string[] = [];
  #clears = 0;

  constructor(readonly world: World) {}

  /** Whether no order is left to carry out. */
  get isIdle(): boolean {
    return this.#forgets.length + this.#clears === 0;
  }

  /** Whether the server has an order to forget this device. */
  forgets(id: string): boolean {
    return this.#forgets.includes(id);
  }

  /** The server has died, and its orders are lost. */
  serverDied(): void {
    this.#forgets = [];
    this.#clears = 0;
  }

  /** A commit is done. The store was not told to forget a device that it has never known. */
  committed(): void {
    const { books, channels, server: { disk }, transfers } = this.world;
    for (const id of this.#forgets) {
      if (disk.devices.has(id)) continue;
      transfers.forgiveAll(id, books.get(id)!.toDevice.all());
      channels?.mqtt?.forgets(id);
      for (const one of channels?.things.get(id)?.settings.values() ?? []) one.isForgotten = true;
    }
  }

  forget(id: string): void {
    const { server } = this.world.server;
    if (!server) return;
    const isKnown = server.devices.some((device) => device.id === id);
    this.#forgets.push(id);
    this.#order(`forget ${id}`, () => server.forget(id), (error) => {
      this.#forgets.splice(this.#forgets.indexOf(id), 1);
      if (error?.code === "UNKNOWN_DEVICE" && !isKnown) return true;
      return error?.code === "FENCED";
    });
  }

  clear(id: string): void {
    const device = this.world.server.server?.devices.find((device) => device.id === id);
    if (!device) return;
    const { dropped } = this.world.books.get(id)!;
    const order = {};
    dropped.orders.add(order);
    this.world.channels?.things.get(id)?.dropped();
    this.#clears++;
    this.#order(`clear ${id}`, () => device.clear(), (error) => {
      // A server that is closed may have carried it out without reporting it.
      if (error?.code !== "CLOSED") dropped.orders.delete(order);
      this.#clears--;
      return error?.code === "FENCED" || error?.code === "FORGOTTEN";
    });
  }

  /** @param over Called at the end, with the error if it failed. Returns whether that is allowed. */
  #order(
    what: string,
    run: () => Promise<unknown>,
    over: (error: LocalError | undefined) => boolean,
  ): void {
    const { world, world: { clock, server: { process } } } = this;
    const { life } = process;
    const end = (error: LocalError | undefined) => {
      if (process.life !== life) return;
      world.log?.(`operator: ${what}: ${error ?? "done"}`);
      world.disturb(clock.now);
      if (over(error) || !error || (world.serverIsDown && ENDS.has(error.code))) return;
      throw new Violation(`the operator's ${what} fails: ${error}`);
    };
    world.log?.(`operator: ${what}`);
    process.enter(() => {
      run().then(() => end(undefined), (error) => {
        if (!(error instanceof LocalError)) throw error;
        end(error);
      }).catch((error) => world.failed(error));
    });
  }
}
