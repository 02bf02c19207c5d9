/** The part of the command line that looks after the devices in a store's file, while no server has it. */
import { parseArgs } from "node:util";
import { printable } from "../observe/log.ts";
import { LocalError } from "../protocol/errors.ts";
import { Ledger } from "../store/ledger.ts";
import type { SqliteStore } from "../store/sqlite/sqlite.ts";
import { badArgument } from "./arguments.ts";
import { withStoppedStore } from "./stopped_store.ts";

const HELP = `Looks after the devices in a store, while no server has it.

Usage: deno run -A server/main.ts forget ID --store FILE
       deno run -A server/main.ts clear ID --store FILE

  forget ID         the store knows the device no longer: messages that wait and positions are gone. If it
                    comes back it is a new device. Where it has a key, \`keys remove ID\` keeps it away
  clear ID          messages from the device that are not processed, and messages to it that it has not
                    acknowledged, are dropped; both ends go on behind them
  --store FILE      where the server keeps devices
  --help

A server that runs has its store for itself: stop it first, or call \`server.forget(id)\` and \`device.clear()\`
in its application.
`;

/** Whether these arguments are for `runDevicesCommand`. */
export function isDevicesCommand([command]: string[]): boolean {
  return command === "forget" || command === "clear";
}

/**
 * Runs `forget` or `clear` with the arguments behind it.
 *
 * @throws {LocalError} BAD_ARGUMENT, UNKNOWN_DEVICE, STORE_UNUSABLE, STORE_FAILED
 * @throws {TypeError} of `parseArgs`
 */
export async function runDevicesCommand(args: string[]): Promise<void> {
  const { values: { store: path, help }, positionals: [command, ...ids] } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      store: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (help) return console.log(HELP);
  const [id] = ids;
  if (id === undefined || ids.length > 1) throw badArgument("forget", `${command} takes one id`);
  if (path === undefined) throw badArgument("forget", `${command} needs --store FILE`);
  await withStoppedStore(path, "forget", async (store) => {
    const { inbox, outbox } = await drop(store, id, command === "forget");
    const done = command === "forget" ? "forgot" : "cleared";
    console.log(`${done} ${printable(id)}: ${inbox} messages from it and ${outbox} to it dropped`);
  });
}

/** Drops a device's messages, or all of it. @returns how many messages they were */
async function drop(store: SqliteStore, id: string, forgets: boolean) {
  const known = (await store.list()).find((device) => device.id === id);
  if (!known) {
    const message = `the store ${JSON.stringify(store.path)} has no device ${JSON.stringify(id)}`;
    throw new LocalError("UNKNOWN_DEVICE", message);
  }
  const changed = new Set<Ledger>();
  const ledger = new Ledger(id, await store.acquire(id), changed);
  const { record } = ledger;
  while (record.inbox.length > 0) record.process();
  while (record.outbox.length > 0) record.settle();
  if (forgets) ledger.remove();
  await store.commit({ works: [], changes: () => changed });
  return known;
}
