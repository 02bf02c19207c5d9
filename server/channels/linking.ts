/** Makes and removes links, also between devices that have never connected. */
import type { Events } from "../observe/events.ts";
import { LocalError } from "../protocol/errors.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import { Collector, type Transaction } from "../store/transaction.ts";
import { channels, ignore } from "./app.ts";
import { checkMap, type LinkOptions, parsePlace } from "./links.ts";
import { isPlain } from "./table.ts";
import type { Things } from "./things.ts";

/** What `Linking` needs from the server. */
export interface LinkingHost {
  readonly events: Events;
  readonly things: Things;
  /** The application to run for every device, if any. */
  readonly app: object | undefined;
  /**
   * A device; if the server does not know it, it does from now on, though it has never connected. @throws {LocalError}
   */
  know(id: string): Promise<DeviceDriver>;
  /** As `Server.transaction`. */
  transaction(use: (tx: Transaction) => void): Promise<void>;
  /** Runs the application for a device, unless it runs already. */
  begin(device: DeviceDriver): void;
}

/** Serves linked devices if there is no application; any channel is accepted. */
export const LINKED = channels({}, { others: { event: ignore } });

export class Linking {
  readonly #host: LinkingHost;

  constructor(host: LinkingHost) {
    this.#host = host;
  }

  /**
   * To be called once all devices of the store are in memory: adds the targets of links that are not among them.
   *
   * @throws {LocalError} BAD_ARGUMENT
   */
  async start(): Promise<void> {
    const { app, events, things, know } = this.#host;
    if (things.observer && app && isPlain(app)) {
      throw bad(`nothing could be observed: ${TAKES_ALL}`);
    }
    for (const id of [...things.links.targets]) things.of(await know(id));
    const { length } = things.links.all;
    if (length === 0 || !app || !isPlain(app)) return;
    const message = `${length} links do nothing: ${TAKES_ALL}`;
    events.emit({ event: "warning", code: "LINKS_IDLE", message });
  }

  async connect(from: string, to: string, { map: values }: LinkOptions): Promise<void> {
    const { app, things, know, begin } = this.#host;
    const { device, channel } = parsePlace(from);
    const target = parsePlace(to);
    const map = checkMap(values);
    if (from === to) throw bad(`${from} cannot be linked to itself`);
    if (app && isPlain(app)) throw bad(`${from} would not be heard: ${TAKES_ALL}`);
    const link = { channel, to: target, ...(map && { map }) };
    const known = things.links.find(device, link);
    if (known && JSON.stringify(known.map) === JSON.stringify(map)) return;
    const source = things.of(await know(device));
    const other = things.of(await know(target.device));
    await this.#host.transaction((tx) => {
      const collector = tx as Collector;
      collector.add(things.links.connecting(source, link));
      const reported = source.reported(channel);
      if (reported) things.links.lead(source, link, reported.value, collector);
    });
    begin(source.device);
    begin(other.device);
  }

  async disconnect(from: string, to: string): Promise<void> {
    const { things, know, transaction } = this.#host;
    const { device, channel } = parsePlace(from);
    const link = { channel, to: parsePlace(to) };
    if (!things.links.find(device, link)) throw bad(`there is no link from ${from} to ${to}`);
    const source = things.of(await know(device));
    await transaction((tx) => (tx as Collector).add(things.links.disconnecting(source, link)));
  }
}

const TAKES_ALL =
  "the server's application takes all lines itself, as far as the server can tell. Make it with channels({ … }) or share({ … })";

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
