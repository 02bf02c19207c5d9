/** The picture that `top` shows, made from the last snapshot. Pure. */
import { printable } from "../observe/log.ts";
import type { DeviceView } from "../device_view.ts";

/** Size of a picture, in characters; Infinity: no limit. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What the user has scrolled to. */
export interface Looking {
  /** Rows of devices scrolled off the top. */
  readonly above: number;
  readonly colors: boolean;
}

/** Lines other than devices: totals, column names, keys. */
const FIXED = 3;

interface Column {
  readonly name: string;
  /** Numbers are right-aligned. */
  readonly isNumber?: boolean;
  of(view: DeviceView, now: number): string;
}

const COLUMNS: readonly Column[] = [
  { name: "DEVICE", of: ({ id }) => printable(id) },
  { name: "LINK", of: (view) => view.connected ? "up" : isAsleep(view) ? "asleep" : "down" },
  { name: "FOR", isNumber: true, of: ({ since }, now) => span(now - Date.parse(since)) },
  number("CONNECTS", ({ connects }) => connects),
  number("RECEIVED", ({ counts }) => counts.received),
  number("DELIVERED", ({ counts }) => counts.delivered),
  number("INBOX", ({ inbox }) => inbox),
  number("OUTBOX", ({ outbox }) => outbox),
  number("DEAD", ({ deadLetters }) => deadLetters),
  { name: "APP", of: ({ app }) => app },
];

/** Shown if several servers share a store. */
const SERVER: Column = { name: "SERVER", of: ({ server = "-" }) => printable(server) };

/** Columns to leave out if not all fit, in this order. */
const DROPPED = [
  "SERVER",
  "APP",
  "DEAD",
  "CONNECTS",
  "DELIVERED",
  "RECEIVED",
  "OUTBOX",
  "INBOX",
  "FOR",
  "LINK",
];

/** Characters of the name column; other columns are left out to make room for it. */
const NAME = 20;

function number(name: string, of: (view: DeviceView) => number): Column {
  return { name, isNumber: true, of: (view) => String(of(view)) };
}

function isAsleep({ asleepUntil }: DeviceView): boolean {
  return asleepUntil !== undefined;
}

/** Whether the device needs no attention. */
function isWell(view: DeviceView): boolean {
  return view.connected || isAsleep(view);
}

/** Devices in display order: those without a link first, as users look for these. */
export function ordered(views: Iterable<DeviceView>): DeviceView[] {
  return [...views].sort((a, b) =>
    Number(isWell(a)) - Number(isWell(b)) || (a.id < b.id ? -1 : Number(a.id > b.id))
  );
}

/** The lines of a picture. @param now ms since 1970 */
export function picture(
  views: readonly DeviceView[],
  now: number,
  { columns, rows }: Size,
  { above, colors }: Looking,
): string[] {
  const room = Math.max(0, rows - FIXED);
  const first = Math.max(0, Math.min(above, views.length - room));
  const shown = views.slice(first, first + Math.min(room, views.length));
  const lines = table(shown, now, columns);
  const style = (code: number, text: string) => colors ? `\x1b[${code}m${text}\x1b[0m` : text;
  const [names, ...body] = lines.map((line) => cut(line.trimEnd(), columns));
  return [
    style(1, cut(sums(views), columns)),
    style(7, names!),
    ...body.map((line, at) => isWell(shown[at]!) ? line : style(31, line)),
  ];
}

/** The columns that fit: their names and cells. */
function table(shown: readonly DeviceView[], now: number, columns: number): string[] {
  const isFleet = shown.some(({ server }) => server !== undefined);
  const columnsOfAll = isFleet ? [...COLUMNS, SERVER] : COLUMNS;
  const all = columnsOfAll.map(({ name, of, ...column }) => {
    const cells = [name, ...shown.map((view) => of(view, now))];
    return { ...column, name, cells, width: Math.max(...cells.map(length)) };
  });
  const [names, ...others] = all;
  let left = columns - Math.min(names!.width, NAME);
  const wanted = DROPPED.toReversed().flatMap((name) => others.filter((one) => one.name === name));
  const fitting = new Set(wanted.filter(({ width }) => (left -= width + 2) >= 0));
  const rest = others.filter((one) => fitting.has(one));
  const taken = rest.reduce((sum, { width }) => sum + width + 2, 0);
  // A long name leaves the others their width.
  const first = { ...names!, width: Math.min(names!.width, Math.max(0, columns - taken)) };
  return first.cells.map((_, row) =>
    [first, ...rest].map(({ cells, width, isNumber }) => pad(cells[row]!, width, isNumber)).join(
      "  ",
    )
  );
}

/** The line below the picture on a terminal. */
export function footer(views: number, { rows }: Size, { above }: Looking): string {
  const room = Math.max(0, rows - FIXED);
  const first = Math.max(0, Math.min(above, views - room));
  const where = views > room ? `${first + 1}-${first + room} of ${views}; arrows move; ` : "";
  return `${where}q quits`;
}

function sums(views: readonly DeviceView[]): string {
  const sum = (of: (view: DeviceView) => number) => views.reduce((sum, view) => sum + of(view), 0);
  const up = sum(({ connected }) => +connected);
  const asleep = sum((view) => +isAsleep(view));
  return [
    `${views.length} devices`,
    `${up} up`,
    ...asleep > 0 ? [`${asleep} asleep`] : [],
    `${views.length - up - asleep} down`,
    `inbox ${sum(({ inbox }) => inbox)}`,
    `outbox ${sum(({ outbox }) => outbox)}`,
    `dead letters ${sum(({ deadLetters }) => deadLetters)}`,
  ].join(", ");
}

/** Formats a duration. @param ms In ms. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Code points, as most are one column wide. */
function length(text: string): number {
  return [...text].length;
}

function cut(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  return characters.slice(0, Math.max(0, width - 1)).join("") + (width > 0 ? "…" : "");
}

function pad(text: string, width: number, isNumber = false): string {
  const space = " ".repeat(Math.max(0, width - length(text)));
  return isNumber ? space + text : cut(text, width) + space;
}
