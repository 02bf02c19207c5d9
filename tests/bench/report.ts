/**
 * What a benchmark found out, and how it is shown.
 *
 * @module
 */

/** What a column of a table shows. */
export interface Column {
  key: string;
  title: string;
  /** Digits behind the point of a number. Default 0. */
  digits?: number;
}

/** A budget, and whether it is kept. */
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

/** The value in the middle; NaN of none. */
export function median(values: number[]): number {
  return quantile(values, 0.5);
}

/** The value that `share` of all are below; NaN of none. */
export function quantile(values: number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? NaN;
}

/** Says on stderr what is going on. */
export function progress(text: string): void {
  console.error(`bench: ${text}`);
}
