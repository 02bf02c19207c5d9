/**
 * A client in dialect 2 whose server is a test.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Client, type ClientOptions, type LocalError } from "../../bridge/host/mod.ts";
import type { ClientDisk } from "../sim/client_disk.ts";
import { States } from "./clients.ts";
import { helloLine } from "./greeting.ts";
import { ClientMachine, TIMEOUT } from "./manual_client.ts";

/** How long to let pass before the next look whether the client connects again, in ms. */
const STEP = 5;

/** The client, on a machine of its own. */
export class ClientRig implements AsyncDisposable {
  readonly states = new States();
  readonly client: Client;
  /** What was sent on the last connection. */
  #sent = "";

  constructor(
    readonly disk?: ClientDisk,
    options: Partial<ClientOptions> = {},
    readonly machine = new ClientMachine(),
  ) {
    const { onState } = this.states;
    const memory = disk && { memory: disk.open() };
    const all = { id: "1", timeout: TIMEOUT, ...memory, onState, ...options };
    this.client = new Client(all, this.machine);
  }

  /** The server answers that hello. @param txEpoch The epoch of its stream */
  async answer([epoch, first]: number[], rxNext = first!, line = 500, txEpoch = 9): Promise<void> {
    const said = { txEpoch, rxEpoch: epoch!, rxNext, line, bytes: 64_000, id: "" };
    this.says(`\x02${helloLine(said).slice(1)}\n`);
    await this.machine.turn();
  }

  /**
   * Opens the connection, after the client's pause, part of which is random.
   *
   * @returns the hello's words: txEpoch, txFirst, rxEpoch, rxNext
   */
  async hello(): Promise<number[]> {
    await this.machine.turn();
    for (let waited = 0; this.machine.socket.closed; waited += STEP) {
      assert(waited < TIMEOUT, "the client does not connect again");
      this.machine.passes(STEP);
      await this.machine.turn();
    }
    const { socket } = this.machine;
    const write = socket.write.bind(socket);
    this.#sent = "";
    socket.write = (bytes) => {
      this.#sent += new TextDecoder().decode(bytes);
      return write(bytes);
    };
    socket.events.opened();
    await this.machine.turn();
    const words = this.#sent.slice(3, 35).match(/.{8}/g) ?? [];
    return words.map((word) => parseInt(word, 16));
  }

  /** The server welcomes it. @param rxNext The number that it expects next; default: the client's first */
  async welcome(rxNext?: number, line = 500): Promise<void> {
    await this.answer(await this.hello(), rxNext, line);
    assertEquals(this.states.seen.at(-1), "up");
  }

  says(text: string): void {
    this.machine.socket.gives(text);
  }

  /** Lines sent since the greeting, without keepalives. */
  get lines(): string[] {
    return this.#sent.split("\n").slice(1).filter((line) => line !== "");
  }

  /** Kills its process: what was not committed is lost. */
  kill(): void {
    this.machine.socket.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    assertEquals(this.machine.timers, 0, "a timer is left");
  }
}

/** The outcome of a write: "true", or the code of its error. */
export function fate(write: Promise<boolean>): Promise<string> {
  return write.then(String, (error: LocalError) => error.code);
}
