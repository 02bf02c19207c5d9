/**
 * Two servers that share a PostgreSQL database, and a client at the first one.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { Client } from "../../bridge/host/mod.ts";
import { type LocalError, PostgresStore, type ServerOptions } from "../../server/mod.ts";
import { Scene } from "./scene.ts";
import { until } from "./wait.ts";

export class TwoServers implements AsyncDisposable {
  client!: Client;

  private constructor(
    readonly near: Scene,
    readonly far: Scene,
    readonly stores: readonly PostgresStore[],
  ) {}

  /** @param url URL of a schema for these servers alone. */
  static async start(url: string, options: ServerOptions = {}): Promise<TwoServers> {
    const stores = [0, 1].map(() => new PostgresStore(url, { lease: 2000 }));
    const [near, far] = await Promise.all(
      stores.map((store) => Scene.start({ store, timeout: 4000, ...options })),
    );
    return new TwoServers(near!, far!, stores);
  }

  /** Connects device "1" to the first server, and waits until the other one knows that. */
  async begin(): Promise<void> {
    this.client = new Client({ id: "1", port: this.near.server.port });
    await this.client.ready();
    await this.sees("1");
  }

  /** Waits until the second server knows that a device has a link. */
  async sees(id: string): Promise<void> {
    await until(() => this.far.server.known(id)?.connected, { what: "the other to see it" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client?.close();
    for (const scene of [this.far, this.near]) await scene[Symbol.asyncDispose]();
    for (const store of this.stores) await store.close();
  }
}

/** The code of what a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return (await assertRejects(() => promise) as LocalError).code;
}
