/**
 * What commands have a server do. The server that has the store is told through its socket; if there is none, the
 * command runs one itself for as long as that takes. So it is the same code that does it.
 */
import type { ChannelLink, LinkOptions } from "../channels/links.ts";
import { formatPlace, parsePlace } from "../channels/links.ts";
import type { RequestOptions } from "../protocol/requests.ts";
import type { Thing } from "../channels/thing.ts";
import { printable } from "../observe/log.ts";
import { textOf, type Value } from "../protocol/channel_lines.ts";
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
  thing(id: string): Promise<Thing>;
  readonly links: readonly ChannelLink[];
  connect(from: string, to: string, options?: LinkOptions): Promise<void>;
  disconnect(from: string, to: string): Promise<void>;
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
  | { command: "revive" | "discard"; device: string; number: number }
  | { command: "links"; json: boolean }
  | { command: "connect"; from: string; to: string; map?: Record<string, unknown> }
  | { command: "disconnect"; from: string; to: string }
  | { command: "state"; device?: string; json: boolean }
  | { command: "set"; /** `ID/CHANNEL`. */ place: string; value: unknown }
  | { command: "request"; place: string; value?: unknown; deadline?: number };

/** @throws {LocalError} BAD_ARGUMENT: it is none */
export function parseOrder(value: unknown): Order {
  const { command, path, device, number, from, to, map, json, place, deadline, ...rest } = Object(
    value,
  );
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
      break;
    case "links":
      return { command, json: json === true };
    case "connect":
    case "disconnect":
      if (typeof from !== "string" || typeof to !== "string") break;
      if (command === "disconnect") return { command, from, to };
      return { command, from, to, ...(map !== undefined && { map }) };
    case "state":
      if (device === undefined || isOfDevice) return { command, device, json: json === true };
      break;
    case "set":
      if (typeof place === "string") return { command, place, value: rest.value };
      break;
    case "request": {
      if (typeof place !== "string" || !["number", "undefined"].includes(typeof deadline)) break;
      const options = deadline === undefined ? {} : { deadline };
      return { command, place, value: rest.value, ...options };
    }
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
    case "links":
      for (const link of server.links) {
        yield printable(order.json ? JSON.stringify(link) : told(link));
      }
      return;
    case "connect":
      return await server.connect(order.from, order.to, order.map && { map: order.map });
    case "disconnect":
      return await server.disconnect(order.from, order.to);
    case "state":
      return yield* tellState(server, order);
    case "set": {
      const { device, channel } = parsePlace(order.place);
      const thing = await server.thing(find(server, device).id);
      return await thing.set(channel, order.value, { by: "command" });
    }
    case "request": {
      const { device, channel } = parsePlace(order.place);
      const thing = await server.thing(find(server, device).id);
      const options: RequestOptions = order.deadline === undefined
        ? {}
        : { deadline: order.deadline };
      const answer = await thing.request(channel, order.value, options);
      if (answer !== undefined) yield printable(textOf(answer));
    }
  }
}

/** Says what the channels of one device are, or of all. */
async function* tellState(
  server: Orderly,
  { device, json }: { device?: string; json: boolean },
): AsyncGenerator<string> {
  const devices = device === undefined ? server.devices : [find(server, device)];
  for (const { id } of devices) {
    const thing = await server.thing(id);
    for (const channel of thing.channels.sort()) {
      const line = { device: id, channel, ...stateOf(thing, channel) };
      yield printable(json ? JSON.stringify(line) : asText(line));
    }
  }
}

/** A channel as it is printed. */
interface State {
  reported?: Value;
  reportedAt?: Date | null;
  desired?: Value;
  by?: string;
  desiredAt?: Date;
  met?: boolean;
  fault?: string;
}

function stateOf(thing: Thing, channel: string): State {
  const [reported, desired] = [thing.reported(channel), thing.desired(channel)];
  return {
    ...(reported && { reported: reported.value, reportedAt: reported.at ?? null }),
    ...(desired && { desired: desired.value, by: desired.by, desiredAt: desired.at }),
    ...(desired && { met: desired.isMet }),
    ...(desired?.fault !== undefined && { fault: desired.fault }),
  };
}

function asText(line: State & { device: string; channel: string }): string {
  const { reported, reportedAt, desired, by, desiredAt, met, fault } = line;
  const words = [formatPlace(line)];
  if (reported !== undefined) {
    words.push(
      `is ${textOf(reported)}`,
      `(${reportedAt?.toISOString() ?? "nobody knows since when"})`,
    );
  }
  if (desired !== undefined) {
    const how = met ? "met" : fault ?? "not met yet";
    words.push(`should be ${textOf(desired)}`, `(${by}, ${desiredAt!.toISOString()}, ${how})`);
  }
  return words.join(" ");
}

function told({ from, to, map }: ChannelLink): string {
  return `${from} -> ${to}${map ? ` ${JSON.stringify(map)}` : ""}`;
}

function find(server: Orderly, id: string): OrderlyDevice {
  const device = server.devices.find((device) => device.id === id);
  if (!device) throw unknownDevice(id);
  return device;
}

function noServer(store: string): LocalError {
  const message = `no server runs on ${store}: a device can be asked only while one does`;
  return new LocalError("CLOSED", message);
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
    if (order.command === "request") throw noServer(store);
    // No server has it, or one without a socket, which the store says.
    await withStoppedServer(store, order.command, start, async (server) => {
      for await (const line of carryOut(server, order)) print(line);
    });
  };
}
