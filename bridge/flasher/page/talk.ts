/// <reference lib="dom" />
/** Asks the board's program, over the console's port, which networks it receives, and to take settings. */
import { FlashError } from "../chip/errors.ts";
import { ImprovClient, type Network } from "../console/improv_client.ts";
import { hearFrames, isUnderstood, openConsole } from "./console_view.ts";
import { openedConsole } from "./port.ts";
import { say } from "./dom.ts";

/**
 * The client to ask. If the console is open already, the board stays as it is; otherwise it is restarted.
 *
 * @throws {FlashError} NO_IMPROV, LOST
 */
export async function talk(): Promise<ImprovClient> {
  const client: ImprovClient = new ImprovClient((bytes) => {
    const console = openedConsole();
    if (!console) throw new FlashError("LOST", "the connection to the board was lost");
    return console.send(bytes);
  });
  // Opening a port resets some boards and not others: this way all behave the same.
  if (!openedConsole() || !isUnderstood()) await openConsole();
  hearFrames((frame) => client.receive(frame));
  say("Asking the board …");
  try {
    await client.info();
  } catch (error) {
    // A board that was just restarted needs a moment until it listens.
    if (!(error instanceof FlashError && error.code === "NO_IMPROV")) throw error;
    await client.info();
  }
  return client;
}

/** The networks that the board receives; none if it cannot scan. @throws {FlashError} LOST */
export async function networksOf(client: ImprovClient): Promise<Network[]> {
  say("The board looks for networks …");
  try {
    const networks = await client.networks();
    const many = networks.length === 1 ? "1 network" : `${networks.length} networks`;
    say(`The board hears ${many}.`);
    return networks;
  } catch (error) {
    if (!(error instanceof FlashError && error.code !== "LOST")) throw error;
    say("The board cannot look for networks now. Type the name of yours.");
    return [];
  }
}

/** A network's name in a list. The limits for its signal come from experience. */
export function describe({ ssid, strength, secure }: Network): string {
  const signal = strength >= -60 ? "strong" : strength >= -75 ? "good" : "weak";
  return `${ssid} (${signal} signal${secure ? "" : ", without a password"})`;
}
