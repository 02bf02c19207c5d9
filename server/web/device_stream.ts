/** The stream for the page of one device: its state, its channels, its messages both ways, its log. */
import type { Description } from "../channels/description.ts";
import type { RunningApplication, Thing } from "../channels/thing.ts";
import type { Device } from "../device.ts";
import { LocalError } from "../protocol/errors.ts";
import { find } from "./api.ts";
import { channelsOf, type ChannelView } from "./channel_view.ts";
import { type Diagnostic, diagnosticsOf } from "./diagnostics.ts";
import type { Watched } from "./fleet.ts";
import type { LinkTime } from "./history.ts";
import { entryOf, type RecentLog, type TimedEntry } from "./recent_log.ts";
import { type Right, type Route, route } from "./routes.ts";
import type { Repeatable, Seen, SeenDevice } from "./seen.ts";

/** Most lines that wait for a slow page: the last ones. */
const MOST_LINES = 300;

/** A message, or an entry of the log. */
export type Line =
  | { readonly at: number; readonly way: "in" | "out"; readonly text: string }
  | { readonly at: number; readonly way: "log"; readonly entry: TimedEntry };

/** A device's channels. */
export interface ThingView {
  readonly application?: RunningApplication;
  readonly description?: Description;
  readonly channels: readonly ChannelView[];
  readonly diagnostics: readonly Diagnostic[];
}

/** An event of a device's stream. */
export interface DeviceUpdate {
  /** ms since 1970, by the server's clock. */
  readonly now: number;
  /** What the viewer may do. */
  readonly may: Right;
  /** Undefined: it was forgotten, and no more events follow. */
  readonly device?: SeenDevice;
  readonly served: readonly LinkTime[];
  /** Undefined: unchanged. */
  readonly thing?: ThingView;
  /** New lines; at first, the last lines of the log. */
  readonly lines: readonly Line[];
  /** How many lines before them were left out, because the page read too slowly. */
  readonly missed: number;
}

/** The route of the stream. */
export function deviceStreamRoute(server: Watched, seen: Seen, recent: RecentLog): Route {
  return route("GET", "/api/devices/:id/events", "look", async ({ params, may, address }) => {
    const device = find(server, params.id);
    const thing = await server.thing(device.id);
    return seen.open(
      address,
      (changed) => new DeviceShown({ server, seen, recent, device, thing, may }, changed).shown,
    );
  });
}

interface Surroundings {
  readonly server: Watched;
  readonly seen: Seen;
  readonly recent: RecentLog;
  readonly device: Device;
  readonly thing: Thing;
  readonly may: Right;
}

class DeviceShown {
  readonly shown: Repeatable;
  readonly #around: Surroundings;
  readonly #changed: () => void;
  #lines: Line[] = [];
  #missed = 0;
  #hasChanged = false;
  /** The channels that were sent last, in JSON. */
  #sent = "";
  #isGone = false;
  #looked = 0;

  constructor(around: Surroundings, changed: () => void) {
    const { server, device, recent } = this.#around = around;
    this.#changed = changed;
    const ends = [
      server.events.subscribe((event) => {
        const isOurs = "device" in event && event.device === device.id;
        if (!isOurs && !(event.event === "described" && event.device === undefined)) return;
        if (event.event === "forgotten") this.#isGone = true;
        if (event.event === "seen") return void this.#read();
        const entry = entryOf(event);
        if (entry) this.#add({ way: "log", at: Date.now(), entry: { ...entry, at: Date.now() } });
        else this.#change();
      }),
      device.watch((way, text) => {
        if (way !== "done") this.#add({ way, at: Date.now(), text });
      }),
    ];
    for (const entry of recent.of(device.id)) this.#add({ way: "log", at: entry.at, entry });
    this.shown = {
      all: () => this.#look(),
      changes: () => this.#hasChanged ? this.#look() : undefined,
      again: () => {
        this.#looked = 0;
        this.#change();
      },
      close: () => ends.forEach((end) => end()),
    };
  }

  #add(line: Line): void {
    this.#lines.push(line);
    if (this.#lines.length > MOST_LINES) {
      this.#lines.shift();
      this.#missed++;
    }
    this.#change();
  }

  /** Another server's view has changed: the channels may have changed, too. */
  async #read(): Promise<void> {
    try {
      await this.#around.server.thing(this.#around.device.id);
    } catch (error) {
      if (!(error instanceof LocalError)) throw error; // a failing store is reported elsewhere, and the next change reads again
    }
    this.#change();
  }

  #change(): void {
    if (this.#hasChanged) return;
    this.#hasChanged = true;
    this.#changed();
  }

  #look(): DeviceUpdate {
    const { seen, device, thing, may } = this.#around;
    const view = this.#isGone ? undefined : viewOf(thing, device.metadata);
    const text = JSON.stringify(view);
    const update = {
      may,
      ...(!this.#isGone && { device: seen.of(device, this.#looked) }),
      served: seen.served(this.#looked),
      ...(view && text !== this.#sent && { thing: view }),
      lines: this.#lines,
      missed: this.#missed,
    };
    this.#lines = [];
    this.#missed = 0;
    this.#sent = text;
    this.#hasChanged = false;
    return { now: this.#looked = Date.now(), ...update };
  }
}

function viewOf(thing: Thing, metadata: string): ThingView {
  const { application, description } = thing;
  return {
    ...(application && { application }),
    ...(description && { description }),
    channels: channelsOf(thing),
    diagnostics: diagnosticsOf(thing, metadata),
  };
}
