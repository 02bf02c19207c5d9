import type { Events } from "../observe/events.ts";
import type { DeviceDriver } from "../runtime/device_driver.ts";
import { Links } from "./links.ts";
import { ThingDriver, type ThingHost } from "./thing_driver.ts";

/** The things of a server. */
export class Things implements ThingHost {
  readonly links: Links;

  /** @param find A device that the server knows. */
  constructor(readonly events: Events, find: (id: string) => DeviceDriver | undefined) {
    this.links = new Links(events, (id) => {
      const device = find(id);
      return device && this.of(device);
    });
  }

  /** The thing that a device is. */
  of(device: DeviceDriver): ThingDriver {
    const { above } = device;
    return above instanceof ThingDriver ? above : device.above = new ThingDriver(device, this);
  }

  /** A device is here. */
  met(device: DeviceDriver): void {
    const { memos } = device.session.record;
    this.links.met(device.id, memos);
    if (memos.size > 0 || this.links.concern(device.id)) this.of(device); // settings may be due
  }

  /** A device is here no longer. */
  lost(device: DeviceDriver): void {
    this.links.met(device.id);
  }
}
