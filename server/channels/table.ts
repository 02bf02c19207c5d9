/** Which applications take which channels of a device: one, or several that do not know of each other. */
import type { Device } from "../device.ts";
import { LocalError } from "../protocol/errors.ts";
import type { Channel, ChannelsOptions } from "./channel.ts";
import type { Description } from "./description.ts";
import type { LocalRule } from "./states.ts";

/** An application as it is run for a device. */
export type AppOf<Server> = (device: Device, server: Server) => Promise<void>;

/** One of the applications on a device. */
export interface Part {
  /** "" if it is the only one. */
  readonly name: string;
  readonly channels: ReadonlyMap<string, Channel>;
  readonly options: ChannelsOptions;
  /** It takes plain lines, and knows of no channels. */
  // deno-lint-ignore no-explicit-any -- of whichever server it is
  readonly plain?: AppOf<any>;
}

/** What one application makes of a channel. */
export interface Holder {
  readonly app: string;
  readonly channel: Channel;
}

/** What all of them make of it. */
export interface Holding {
  readonly holders: readonly Holder[];
  readonly local: LocalRule;
}

/** Of what the applications are made that can share a device. */
const PARTS = new WeakMap<object, readonly Part[]>();

/** From now on this application is known to be made of these. */
export function declareParts<App extends object>(app: App, parts: readonly Part[]): App {
  PARTS.set(app, parts);
  return app;
}

/** Whether an application takes all lines of its device itself: nobody knows how to share that. */
export function isPlain(app: object): boolean {
  return !PARTS.has(app);
}

/** What an application says that channels are. */
export function descriptionsOf(app: object): Description[] {
  return descriptionsIn(PARTS.get(app) ?? []);
}

function descriptionsIn(parts: readonly Part[]): Description[] {
  return parts.flatMap(({ options: { description } }) => description ?? []);
}

/** What an application is made of, under its name among others. */
export function partsOf<Server>(name: string, app: AppOf<Server>): readonly Part[] {
  const parts = PARTS.get(app) ?? [{ name: "", channels: new Map(), options: {}, plain: app }];
  return parts.map((part) => ({
    ...part,
    name: [name, part.name].filter((word) => word !== "").join("/"),
  }));
}

export class Table {
  /** All of them. */
  readonly parts: readonly Part[];
  /** The one of plain lines. */
  readonly plain: Part | undefined;
  /** What they say that channels are. */
  readonly descriptions: readonly Description[];
  readonly #byName = new Map<string, Holding>();
  readonly #others: Holding | undefined;

  /** @throws {LocalError} BAD_ARGUMENT: what two of them cannot both have */
  constructor(parts: readonly Part[]) {
    this.parts = parts;
    const [plain, another] = parts.filter(({ plain }) => plain);
    if (another) throw bad(`${plain!.name} and ${another.name} both take all plain lines`);
    this.plain = plain;
    const names = new Set(parts.flatMap(({ channels }) => [...channels.keys()]));
    for (const name of names) {
      const holders = parts.flatMap(({ name: app, channels }) => {
        const channel = channels.get(name);
        return channel ? [{ app, channel }] : [];
      });
      this.#byName.set(name, hold(name, holders));
    }
    const others = parts.flatMap(({ name: app, options: { others: channel } }) =>
      channel ? [{ app, channel }] : []
    );
    this.descriptions = descriptionsIn(parts);
    if (others.length > 0) this.#others = hold("others", others);
  }

  /** Who takes a channel; undefined: nobody. */
  find(channel: string): Holding | undefined {
    return this.#byName.get(channel) ?? this.#others;
  }
}

function hold(name: string, holders: readonly Holder[]): Holding {
  const both = (those: readonly Holder[], what: string) => {
    const [one, other] = those.map(({ app }) => app);
    return bad(`${one} and ${other} ${what}: channel ${name}`);
  };
  const askers = holders.filter(({ channel }) => channel.ask);
  if (askers.length > 1) throw both(askers, "both answer a request");
  const rules = holders.filter(({ channel }) => channel.local);
  const local = rules[0]?.channel.local ?? "wins";
  const against = rules.find(({ channel }) => channel.local !== local);
  if (against) throw both([rules[0]!, against], "have different rules for changes at the device");
  return { holders, local };
}

function bad(message: string): LocalError {
  return new LocalError("BAD_ARGUMENT", message);
}
