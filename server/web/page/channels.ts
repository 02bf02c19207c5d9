/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** A device's channels: reported and desired values, and since when. */
import { byId, make } from "../parts/dom.ts";
import type { ChannelDescription } from "../../channels/description.ts";
import type { ChannelView } from "../channel_view.ts";
import type { ThingView } from "../device_stream.ts";
import { act, ask } from "./acts.ts";
import { type Control, controlOf } from "./controls.ts";
import { Curve } from "./curve.ts";
import { lasting, worded } from "./words.ts";

class ChannelRow {
  readonly element: HTMLLIElement;
  readonly #value = make("span", { className: "value" });
  readonly #ages = make("span", { className: "since" });
  readonly #control: Control | undefined;
  readonly #path: string;
  readonly #name: string;
  #curve: Curve | undefined;
  readonly #description: ChannelDescription | undefined;
  #channel: ChannelView;

  constructor(path: string, channel: ChannelView, thing: ThingView, mayAct: boolean) {
    this.#channel = channel;
    const { channel: id } = channel;
    this.#description = Object.hasOwn(thing.description?.channels ?? {}, id)
      ? thing.description!.channels[id]
      : undefined;
    const name = this.#name = this.#description?.name ?? id;
    this.#path = path;
    if (mayAct) {
      this.#control = controlOf(name, this.#description, {
        set: (value) =>
          void act(`Set ${name}`, () => ask("POST", `${path}/set`, { channel: id, value })),
        request: (value) =>
          void act(
            `Ask for ${name}`,
            () =>
              ask("POST", `${path}/request`, {
                channel: id,
                ...(value !== undefined && { value }),
              }),
          ),
      });
    }
    const title = make("span", { className: "name" }, make("bdi", { textContent: name }));
    if (name !== id) title.append(" ", make("code", { textContent: id }));
    this.element = make("li", {}, title, this.#value, this.#ages);
    if (this.#control) this.element.append(this.#control.element);
  }

  update(channel: ChannelView): void {
    this.#channel = channel;
    const { reported, reportedAt } = channel;
    const number = typeof reported === "boolean" ? Number(reported) : reported;
    if (typeof number !== "number") return;
    if (!this.#curve) {
      const url = `${this.#path}/values?channel=${encodeURIComponent(channel.channel)}`;
      const isStepped = this.#description?.kind !== "sensor";
      this.#curve = new Curve(this.#name, url, isStepped);
      this.element.append(this.#curve.element);
    }
    if (reportedAt) this.#curve.add(Date.parse(reportedAt), number);
  }

  show(now: number): void {
    const { reported, reportedAt, desired, desiredAt, by, met, fault } = this.#channel;
    const description = this.#description;
    const unit = description && "unit" in description ? ` ${description.unit}` : "";
    const ago = (at: string) => `${lasting(now - Date.parse(at))} ago`;
    this.#value.textContent = reported === undefined ? "–" : worded(reported) + unit;
    const words: string[] = [];
    if (reported !== undefined) {
      words.push(reportedAt ? `reported ${ago(reportedAt)}` : "reported, time unknown");
    }
    if (desired !== undefined) {
      const who = `${by}, ${ago(desiredAt!)}`;
      if (met) words.push(`as it should be (${who})`);
      else {
        const why = fault === undefined ? "" : `: the device says ${worded(fault)}`;
        words.push(`should be ${worded(desired)}${unit} (${who})${why}`);
      }
    }
    this.#ages.textContent = words.join(", ");
    this.element.classList.toggle("due", desired !== undefined && !met);
    this.#control?.show(this.#channel);
  }
}

export class Channels {
  readonly #path: string;
  #rows = new Map<string, ChannelRow>();
  #made = "";

  /** @param path The device's path in the API. */
  constructor(path: string) {
    this.#path = path;
  }

  take(thing: ThingView, mayAct: boolean): void {
    const channels = withDescribed(thing);
    // Rows are rebuilt only if the channels have changed: the user may be typing in one.
    const made = JSON.stringify([
      channels.map(({ channel }) => channel),
      thing.description,
      mayAct,
    ]);
    if (made !== this.#made) {
      this.#made = made;
      this.#rows = new Map(
        channels.map((it) => [it.channel, new ChannelRow(this.#path, it, thing, mayAct)]),
      );
      byId("channels").replaceChildren(...[...this.#rows.values()].map(({ element }) => element));
      byId("channels-part").hidden = channels.length === 0;
    }
    for (const channel of channels) this.#rows.get(channel.channel)!.update(channel);
  }

  show(now: number): void {
    for (const row of this.#rows.values()) row.show(now);
  }
}

/** Described channels that can be set are shown even before they have a value. */
function withDescribed({ channels, description }: ThingView): ChannelView[] {
  const known = new Set(channels.map(({ channel }) => channel));
  const others = Object.keys(description?.channels ?? {}).filter((channel) => !known.has(channel));
  return [...channels, ...others.map((channel) => ({ device: "", channel }))]
    .sort((a, b) => a.channel < b.channel ? -1 : 1);
}
