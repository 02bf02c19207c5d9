/** Which applications handle which channels of a device: one application, or several independent ones. */
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
  /** Set if it takes plain lines and knows no channels. */
  // deno-lint-ignore no-explicit-any -- of whichever server it is
  readonly plain?: AppOf<any>;
}

/** One application's handlers for a channel. */
export interface Holder {
  readonly app: string;
  readonly channel: Channel;
}

/** All applications' handlers for a channel. */
export interface Holding {
  readonly holders: readonly Holder[];
  readonly local: LocalRule;
}

/** The parts of applications that can share a device. */
const PARTS = new WeakMap<object, readonly Part[]>();

/** Records the parts of an application. */
export function declareParts<App extends object>(app: App, parts: readonly Part[]): App {
  PARTS.set(app, parts);
  return app;
}

/** Whether an application reads all lines of its device itself, so that it cannot share the device. */
export function isPlain(app: object): boolean {
  return !PARTS.has(app);
}

/** An application's descriptions of channels. */
export function descriptionsOf(app: object): Description[] {
  return descriptionsIn(PARTS.get(app) ?? []);
}

function descriptionsIn(parts: readonly Part[]): Description[] {
  return parts.flatMap(({ options: { description } }) => description ?? []);
}

/** The parts of an application, under its name among others. */
export function partsOf<Server>(name: string, app: AppOf<Server>): readonly Part[] {
  const parts = PARTS.get(app) ?? [{ name: "", channels: new Map(), options: {}, plain: app }];
  return parts.map((part) => ({
    ...part,
    name: [name, part.name].filter((word) => word !== "").join("/"),
  }));
}

export class Table {
  /** All parts. */
  readonly parts: readonly Part[];
  /** The part that takes plain lines. */
  readonly plain: Part | undefined;
  /** Their descriptions of channels. */
  readonly descriptions: readonly Description[];
  readonly #byName = new Map<string, Holding>();
  readonly #others: Holding | undefined;

  /** @throws {LocalError} BAD_ARGUMENT: two parts conflict */
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

  /** The handlers for a channel; undefined: none. */
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
