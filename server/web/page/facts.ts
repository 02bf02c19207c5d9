/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** Facts about a device besides its channels. */
import { byId, make } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { SeenDevice } from "../seen.ts";
import type { ThingView } from "../device_stream.ts";
import { outagesIn, type Range, spansOf, startsIn } from "./lanes.ts";
import { clock, counted, lasting, number, quick, shown, worded } from "./words.ts";

/** Words for an application's states. */
const APPS: Readonly<Record<string, string>> = {
  none: "none",
  running: "runs",
  waiting: "has failed and will be restarted soon",
  ended: "has ended",
};

/** Diagnostics of a device, shown apart from its application's channels. */
const DIAGNOSTICS = ["Signal", "Free heap", "Uptime"];

/** Shows terms and their present values; undefined: nothing is known. */
export function showFacts(
  device: SeenDevice,
  thing: ThingView | undefined,
  links: readonly LinkTime[],
  served: readonly LinkTime[],
  range: Range,
): void {
  const { counts, inbox, outbox, deadLetters, app, metadata, roundTrip } = device;
  const { count, ms } = outagesIn(spansOf(links, served, range));
  const starts = startsIn(links, range);
  const last = links.findLast(({ boot }) => boot !== undefined);
  const facts: [string, string | undefined][] = [
    ["Outages", count === 0 ? "none in this time" : `${number(count)}, ${lasting(ms)} in all`],
    [
      "Starts",
      starts.length === 0 && !last ? undefined : `${number(starts.length)} in this time` +
        (last ? `; the last at ${clock(last.from, range.to)}${why(last.boot!)}` : ""),
    ],
    // Messages from before the server's start are delivered after it, so counts that need not match are not shown side
    // by side.
    [
      "Messages",
      `${number(counts.received)} from it and ${
        number(counts.delivered)
      } to it, since the server's start`,
    ],
    ["Waiting", `${number(inbox)} from it, ${number(outbox)} to it`],
    [
      "Round trip",
      roundTrip === undefined
        ? undefined
        : `${quick(roundTrip)} from the last message's sending to its ack`,
    ],
    ["Given up", deadLetters === 0 ? undefined : counted(deadLetters, "message")],
    ["Expired", counts.expired === 0 ? undefined : counted(counts.expired, "message")],
    [
      "Application on it",
      thing?.application && shown(`${thing.application.name} ${thing.application.version}`),
    ],
    ["Application here", app === "none" ? undefined : APPS[app] ?? app],
    ["It says", metadata === "" ? undefined : shown(metadata)],
    ...DIAGNOSTICS.map((name): [string, string | undefined] => {
      const told = thing?.diagnostics.find((one) => one.name === name);
      if (!told) return [name, undefined];
      const { value, unit, at } = told;
      const words = typeof value === "number" ? number(value) : worded(value);
      return [name, words + (unit === undefined ? "" : ` ${shown(unit)}`) + whence(at, range.to)];
    }),
  ];
  for (const [term, what] of facts) {
    const { row, words } = rowOf(term);
    row.hidden = what === undefined;
    if (words.textContent !== what) words.textContent = what ?? "";
  }
}

/** Made once and then updated in place: the user may be reading it. */
const rows = new Map<string, { row: HTMLElement; words: HTMLElement }>();

function rowOf(term: string): { row: HTMLElement; words: HTMLElement } {
  let known = rows.get(term);
  if (!known) {
    const words = make("dd");
    known = { row: make("div", {}, make("dt", { textContent: term }), words), words };
    rows.set(term, known);
    byId("facts").append(known.row);
  }
  return known;
}

function why(boot: string): string {
  return boot === "" ? "" : ` (${shown(boot)})`;
}

/** When a device reported a diagnostic. @param at ISO 8601; undefined: when it connected; null: unknown */
function whence(at: string | null | undefined, now: number): string {
  if (at === undefined) return ", as it said when it connected";
  return at === null ? "" : `, at ${clock(Date.parse(at), now)}`;
}
