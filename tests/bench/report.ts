/**
 * The results of a benchmark, and how they are shown.
 *
 * @module
 */

/** What a column of a table shows. */
export interface Column {
  key: string;
  title: string;
  /** Digits after the decimal point. Default 0. */
  digits?: number;
}

/** A budget, and whether it is met. */
export interface Aim {
  what: string;
  aim: string;
  measured: string;
  met: boolean;
}

/** One table. */
export interface Section {
  title: string;
  columns: Column[];
  /** By the columns' keys; undefined: not measured. */
  rows: Record<string, string | number | undefined>[];
  aims: Aim[];
}

/** All sections as text. */
export function asText(sections: Section[]): string {
  const aims = sections.flatMap((section) => section.aims);
  const tables = sections.map(({ title, columns, rows }) => {
    const cells = rows.map((row) => columns.map(({ key, digits }) => format(row[key], digits)));
    return `${title}\n\n${table([columns.map((column) => column.title), ...cells])}`;
  });
  const verdicts = aims.map(({ what, aim, measured, met }) => [
    what,
    aim,
    measured,
    met ? "met" : "MISSED",
  ]);
  if (aims.length > 0) tables.push(table([["budget", "aim", "measured", ""], ...verdicts]));
  return tables.join("\n\n");
}

function format(value: string | number | undefined, digits = 0): string {
  if (value === undefined || Number.isNaN(value)) return "-";
  if (typeof value === "string") return value;
  return value.toLocaleString("en", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** In Markdown, its columns aligned; numbers to the right. */
function table(rows: string[][]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, at) => Math.max(...rows.map((row) => row[at]!.length), 3));
  const isNumber = head.map((_, at) => body.every((row) => /^[-\d]/.test(row[at]!)));
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const pad = (cell: string, at: number) =>
    isNumber[at] ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!);
  const rule = widths.map((width, at) => "-".repeat(width - 1) + (isNumber[at] ? ":" : "-"));
  return [line(head.map(pad)), line(rule), ...body.map((row) => line(row.map(pad)))].join("\n");
}

/** The median; NaN if there are no values. */
export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** The value below which this `share` lies; NaN if there are no values. */
export function quantile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? NaN;
}

/** Prints progress on stderr. */
export function progress(text: string): void {
  console.error(`bench: ${text}`);
}
