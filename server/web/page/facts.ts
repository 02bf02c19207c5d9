/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
/** What is known of a device beside its channels. */
import { byId, make } from "../parts/dom.ts";
import type { LinkTime } from "../history.ts";
import type { SeenDevice } from "../seen.ts";
import type { ThingView } from "../device_stream.ts";
import { outagesIn, type Range, spansOf, startsIn } from "./lanes.ts";
import { clock, counted, lasting, shown } from "./words.ts";

/** What an application's state means. */
const APPS: Readonly<Record<string, string>> = {
  none: "none",
  running: "runs",
  waiting: "has failed, and is begun again soon",
  ended: "has ended",
};

/** Terms, and what they are now; undefined: nothing is known. */
export function showFacts(
  device: SeenDevice,
  thing: ThingView | undefined,
  links: readonly LinkTime[],
  served: readonly LinkTime[],
  range: Range,
): void {
  const { counts, inbox, outbox, deadLetters, app, metadata } = device;
  const number = (value: number) => value.toLocaleString("en");
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
    ["From it", `${number(counts.received)} received, ${number(counts.processed)} processed`],
    ["To it", `${number(counts.written)} written, ${number(counts.delivered)} delivered`],
    ["Waiting", `${number(inbox)} from it, ${number(outbox)} to it`],
    ["Given up", deadLetters === 0 ? undefined : counted(deadLetters, "message")],
    ["Expired", counts.expired === 0 ? undefined : counted(counts.expired, "message")],
    [
      "On it runs",
      thing?.application && shown(`${thing.application.name} ${thing.application.version}`),
    ],
    ["For it runs", app === "none" ? undefined : APPS[app] ?? app],
    ["It says", metadata === "" ? undefined : shown(metadata)],
  ];
  for (const [term, what] of facts) {
    const { row, words } = rowOf(term);
    row.hidden = what === undefined;
    if (words.textContent !== what) words.textContent = what ?? "";
  }
}

/** Made once, and changed from then on: somebody may be reading it. */
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
