import type { Events } from "../observe/events.ts";
import type { DeviceRecord } from "../link/record.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import type { Clock } from "../transport/platform.ts";
import type { Observer } from "./channel.ts";
import { renumbered, Timekeeper } from "./clock.ts";
import { Links } from "./links.ts";
import { Descriptions, type DescriptionsByName } from "./descriptions.ts";
import { hasChannels } from "./states.ts";
import { descriptionsOf } from "./table.ts";
import { ThingDriver, type ThingHost } from "./thing_driver.ts";
import { ThingRecord } from "./thing_record.ts";

/** Options for all things of a server. */
export interface ThingsOptions {
  descriptions?: DescriptionsByName | undefined;
  observe?: Observer | undefined;
}

/** The things of a server. */
export class Things implements ThingHost {
  readonly links: Links;
  readonly timekeeper: Timekeeper;
  readonly descriptions: Descriptions;
  readonly observer: Observer | undefined;

  /**
   * @param find A device that the server knows.
   * @throws {LocalError} BAD_ARGUMENT: a description is wrong
   */
  constructor(
    readonly events: Events,
    clock: Pick<Clock, "now" | "date">,
    find: (id: string) => DeviceDriver | undefined,
    { descriptions, observe }: ThingsOptions = {},
  ) {
    this.descriptions = new Descriptions(descriptions);
    this.observer = observe;
    this.timekeeper = new Timekeeper(clock);
    this.links = new Links(events, (id) => {
      const device = find(id);
      return device && this.of(device);
    });
  }

  /** The thing of a device. */
  of(device: DeviceDriver): ThingDriver {
    const { above } = device;
    return above instanceof ThingDriver ? above : device.above = new ThingDriver(device, this);
  }

  /** Reads the thing of another server's device from its record. @param app This server's application, if any. */
  read(record: DeviceRecord, app: object | undefined): ThingRecord {
    const its = new ThingRecord(record, this.descriptions);
    for (const description of app ? descriptionsOf(app) : []) its.described.add(description);
    return its;
  }

  /** Whether a device's channels are needed even if there is no application. */
  concern({ id }: DeviceDriver): boolean {
    return this.observer !== undefined || this.links.concern(id);
  }

  /** A device has come into memory. */
  met(device: DeviceDriver): void {
    const { record } = device.session;
    this.links.met(device.id, record.memos);
    if (hasChannels(record) || this.links.concern(device.id)) this.of(device); // settings may be due
  }

  /** A device has left memory. */
  lost(device: DeviceDriver): void {
    this.links.met(device.id);
  }

  /** A device has connected. @param ago How long ago it greeted, in ms. */
  connected({ id, metadata, session: { record } }: DeviceDriver, ago: number): void {
    const message = this.timekeeper.note(record, metadata, ago);
    if (message === undefined) return;
    this.events.emit({ event: "warning", device: id, code: "BAD_METADATA", message });
  }

  /** A dead letter of a device has become its newest message. @param number Its old number. */
  revived({ session: { record } }: DeviceDriver, number: number): void {
    renumbered(record, number);
  }
}
