/**
 * Tests of the examples with channels, on a PC and on a chip: what each must do with a server, through an outage and a
 * reset.
 *
 * @module
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type App,
  channels,
  FaultError,
  LocalError,
  Server,
  type Thing,
} from "../../server/mod.ts";
import { parseMarked } from "../../server/protocol/channel_lines.ts";
import { until } from "./wait.ts";

/** A board that runs an example, behind a network that can fail. */
export interface Part {
  pin(pin: number): number;
  setPin(pin: number, level: number): void;
  setAnalogue(value: number): void;
  /** Starts an outage, and waits until it is noticed. */
  cut(): Promise<void>;
  /** Ends the outage, and waits until the link is back. */
  mend(): Promise<void>;
  /** Resets the board; what it keeps over a reset stays. */
  reset(): Promise<void>;
}

/** Starts a board with its server at this port; `timeout` in ms. */
export type PlugIn = (port: number, timeout: number) => Promise<Part & AsyncDisposable>;

const TIMEOUT = 1000;
const ID = "1";
/** The examples' pins for the heater and the lock, and for the door's contact. */
const OUTPUT = 5;
const CONTACT = 4;

function listen(app: App): Promise<Server> {
  return Server.listen({ port: 0, hostname: "127.0.0.1", timeout: TIMEOUT, open: true, app });
}

function told(thing: Thing, channel: string, value: unknown): Promise<unknown> {
  return until(() => thing.reported(channel)?.value === value, {
    what: () => `${channel} to be ${value}, not ${thing.reported(channel)?.value}`,
  });
}

async function met(thing: Thing, channel: string, value: unknown): Promise<void> {
  await thing.set(channel, value);
  await until(() => thing.desired(channel)?.isMet, {
    what: () => `${channel} ${value} to be met: ${JSON.stringify(thing.desired(channel))}`,
  });
}

/** The heater must follow the target and the temperature, with a link, without one, and after a reset. */
export async function thermostat(plugIn: PlugIn): Promise<void> {
  await using server = await listen(channels({ heater: {}, temp: {}, target: {} }));
  await using part = await plugIn(server.port, TIMEOUT);
  const heats = (level: number) =>
    until(() => part.pin(OUTPUT) === level, { what: `the heater to be ${level}` });
  part.setAnalogue(600);
  const thing = await server.thing(ID);
  await told(thing, "heater", 0);
  await told(thing, "temp", 600);
  assertEquals(thing.application, { name: "thermostat", version: "1" });
  await met(thing, "target", 700);
  await told(thing, "heater", 1);
  await heats(1);
  await thing.set("target", "warm");
  await until(() => thing.desired("target")?.fault !== undefined, { what: "a fault" });
  assertEquals(thing.desired("target")?.fault, "bad_value");
  await assertRejects(() => thing.request("target"), FaultError, "target: unknown");

  await part.cut();
  part.setAnalogue(800);
  await heats(0);
  for (const target of [200, 300, 900]) await thing.set("target", target);
  await part.mend();
  await told(thing, "temp", 800);
  await until(() => thing.desired("target")?.isMet, { what: "the target" });
  await told(thing, "heater", 1);

  const { value } = thing.reported("target")!;
  assertEquals(value, 900);
  await part.cut();
  await part.reset(); // nobody can send it the target now
  part.setAnalogue(901);
  await heats(0);
  part.setAnalogue(899);
  await heats(1);
  await part.mend();
  await told(thing, "temp", 899);
}

/** The lock must open once, then be busy, and close by itself; the contact must be reported. */
export async function door(plugIn: PlugIn): Promise<void> {
  const events: unknown[] = [];
  await using server = await listen(
    channels({ door: { event: (value) => void events.push(value) } }),
  );
  await using part = await plugIn(server.port, TIMEOUT);
  const thing = await server.thing(ID);
  const contact = async (level: number, event: string) => {
    part.setPin(CONTACT, level);
    await until(() => events.at(-1) === event, { what: () => `${event} after ${events}` });
  };
  await contact(1, "opened");
  await contact(0, "closed");
  const open = () => thing.request("door", "open", { deadline: 60_000 });
  const [first, second] = await Promise.allSettled([open(), open()]);
  assertEquals([first!.status, second!.status], ["fulfilled", "rejected"]);
  assertEquals((first as PromiseFulfilledResult<unknown>).value, "open");
  assertEquals(((second as PromiseRejectedResult).reason as FaultError).fault, "busy");
  await until(() => part.pin(OUTPUT) === 0, { what: "the lock" });
  const shut = await assertRejects(() => thing.request("door", "shut"), FaultError);
  assertEquals(shut.fault, "bad_value");

  await part.cut();
  const asked = performance.now();
  // Whether it was delivered is known only when the link is back.
  const late = assertRejects(() => thing.request("door", "open", { deadline: 50 }), LocalError);
  await until(() => performance.now() > asked + 100, { what: "its deadline to pass" });
  part.setPin(CONTACT, 1);
  await part.mend();
  assertEquals((await late).code, "EXPIRED");
  await until(() => events.at(-1) === "opened", {
    what: "the opening in the outage to be reported",
  });
  assertEquals(part.pin(OUTPUT), 0);
}

/** Each reading must be reported once, in order, with its time; those of an outage when the link is back. */
export async function logger(plugIn: PlugIn): Promise<void> {
  const lines: string[] = [];
  await using server = await listen(async (device) => {
    for await (const line of device) lines.push(line);
  });
  await using part = await plugIn(server.port, TIMEOUT);
  part.setAnalogue(512);
  const device = await server.device(ID);
  const ms = () => Number(device.metadata.match(/ms=(\d{10})$/)![1]);
  const stamps = () =>
    lines.map(parseMarked).flatMap((marked) => marked?.mark === "set" ? marked.stamp! : []);
  const readings = (least: number) =>
    until(() => stamps().length >= least, { what: () => `reading ${least}:\n${lines.join("\n")}` });
  await readings(3);
  assertEquals(lines[0], "@logger 1");
  const first = ms();
  assert(stamps().every((stamp) => stamp >= first - 1000), `${first}: ${stamps()}`); // the first precedes the link
  await device.write("=adc.1 5");
  await until(() => lines.includes("~adc.1 unknown"), { what: "the answer" });

  await part.cut();
  const before = stamps();
  await part.mend();
  const inOutage = () => stamps().filter((stamp) => stamp > before.at(-1)! && stamp < ms());
  await until(() => inOutage().length >= 2, { what: "readings of the outage" });
  await readings(before.length + 5);
  const all = stamps();
  assert(all.every((stamp, i) => i === 0 || stamp > all[i - 1]!), `${all}`);
  assert(lines.some((line) => line.endsWith(" 512")));
}
