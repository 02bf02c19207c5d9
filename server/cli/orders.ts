/**
 * What commands have a server do. The server that has the store is told through its socket; if there is none, the
 * command runs one itself for as long as that takes. So it is the same code that does it.
 */
import { printable } from "../observe/log.ts";
import { LocalError } from "../protocol/errors.ts";
import type { DeadLetter } from "../link/record.ts";
import type { Cleared } from "../link/session.ts";
import { unknownDevice } from "../runtime/transactions.ts";
import { order as orderFrom } from "./control.ts";
import { type Start, withStoppedServer } from "./stopped_server.ts";

/** What `Server` can be ordered to do. */
export interface Orderly {
  readonly devices: readonly OrderlyDevice[];
  forget(id: string): Promise<Cleared>;
  backup(path: string): Promise<void>;
}

/** What `Device` can. */
export interface OrderlyDevice {
  readonly id: string;
  readonly deadLetters: readonly DeadLetter[];
  clear(): Promise<Cleared>;
  revive(number: number): Promise<void>;
  discard(number: number): Promise<void>;
}

/** Has an order carried out on a store. */
export type Give = (store: string, order: Order) => Promise<void>;

/** What a command asks for. */
export type Order =
  | { command: "backup"; /** Absolute. */ path: string }
  | { command: "forget" | "clear"; device: string }
  | { command: "list dead letters" }
  | { command: "revive" | "discard"; device: string; number: number };

/** @throws {LocalError} BAD_ARGUMENT: it is none */
export function parseOrder(value: unknown): Order {
  const { command, path, device, number } = Object(value);
  const isOfDevice = typeof device === "string";
  switch (command) {
    case "backup":
      if (typeof path === "string") return { command, path };
      break;
    case "forget":
    case "clear":
      if (isOfDevice) return { command, device };
      break;
    case "list dead letters":
      return { command };
    case "revive":
    case "discard":
      if (isOfDevice && typeof number === "number") return { command, device, number };
  }
  throw new LocalError("BAD_ARGUMENT", "the server does not know this command");
}

/** Carries out an order. Gives the lines that the command prints. @throws {LocalError} why it cannot */
export async function* carryOut(server: Orderly, order: Order): AsyncGenerator<string> {
  switch (order.command) {
    case "backup":
      return await server.backup(order.path);
    case "forget":
      return yield `forgot ${dropped(order.device, await server.forget(order.device))}`;
    case "clear":
      return yield `cleared ${dropped(order.device, await find(server, order.device).clear())}`;
    case "list dead letters":
      for (const { id, deadLetters } of server.devices) {
        for (const { number, text, error, date } of deadLetters) {
          const line = { device: id, number, date: new Date(date).toISOString(), error, text };
          yield printable(JSON.stringify(line));
        }
      }
      return;
    case "revive":
    case "discard":
      return await find(server, order.device)[order.command](order.number);
  }
}

function find(server: Orderly, id: string): OrderlyDevice {
  const device = server.devices.find((device) => device.id === id);
  if (!device) throw unknownDevice(id);
  return device;
}

function dropped(id: string, { inbox, outbox }: Cleared): string {
  return `${printable(id)}: ${inbox} messages from it and ${outbox} to it dropped`;
}

/**
 * Has orders carried out by whichever server there is, and prints what it says.
 *
 * @param start Starts one if there is none.
 */
export function giveOrStart(start: Start<Orderly>): Give {
  const print = (line: string) => console.log(line);
  return async (store, order) => {
    if (await orderFrom(store, order, print)) return;
    // No server has it, or one without a socket, which the store says.
    await withStoppedServer(store, order.command, start, async (server) => {
      for await (const line of carryOut(server, order)) print(line);
    });
  };
}
