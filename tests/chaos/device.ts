/**
 * A device behind the bad network: writes numbered messages without end, and gets an answer to each.
 *
 * @module
 */
import { Client, LocalError } from "../../bridge/host/mod.ts";
import { Account, numbered } from "./account.ts";

/** Reasons that an outage or a kill explains; anything else is an error of the link. */
const HARMLESS = new Set<string>(["LOST", "NO_ANSWER", "NO_GREETING", "SILENT", "STALLED"]);

/** Messages that wait for their answer, at most: twice the window, so that some wait for credit too. */
const MOST_OPEN = 128;

export class ChaosDevice {
  readonly answers: Account;
  /** Messages written. */
  written = 0;
  /** Messages that the server has acknowledged. */
  acknowledged = 0;
  /** Reasons for losing the link that no outage explains. */
  readonly complaints: string[] = [];
  #client: Client;
  #writing: Promise<void>;
  #reading: Promise<void>;
  #stopping = false;
  #wake = () => {};

  /** @param at The server's port on this machine, or several addresses. */
  constructor(
    readonly id: string,
    at: number | readonly string[],
    timeout: number,
    key?: string,
  ) {
    this.answers = new Account(`to ${id}`, (n) => `re ${numbered(id, n)}`);
    this.#client = new Client({
      id,
      ...(typeof at === "number" ? { port: at } : { host: at }),
      timeout,
      ...(key === undefined ? {} : { key }),
      onState: (_, reason) => {
        if (!reason || HARMLESS.has(reason.code)) return;
        this.complaints.push(`${id}: ${reason.code}: ${reason.message}`);
      },
    });
    this.#writing = this.#write();
    this.#reading = this.#read();
  }

  get connects(): number {
    return this.#client.connects;
  }

  /** Whether all written messages were acknowledged and answered. */
  get settled(): boolean {
    return this.acknowledged === this.written && this.answers.arrived >= this.written;
  }

  async #write(): Promise<void> {
    while (!this.#stopping) {
      if (this.written - this.answers.arrived >= MOST_OPEN) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      const line = numbered(this.id, this.written++);
      this.#client.write(line).then(() => this.acknowledged++, exceptClosed);
      // In bursts: several go out together, and then others have their turn in the event loop.
      if (this.written % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 4));
    }
  }

  async #read(): Promise<void> {
    for await (const line of this.#client) {
      this.answers.receive(line);
      this.#wake();
    }
  }

  /** Stops writing. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#writing;
  }

  async close(): Promise<void> {
    await this.stop();
    await this.#client.close();
    await this.#reading;
  }
}

function exceptClosed(error: unknown): void {
  if (!(error instanceof LocalError && error.code === "CLOSED")) throw error;
}
