/** The demo's verdict: what was sent, and what arrived. */
import type { Conversation } from "./conversation.ts";
import type { Sequence } from "./sequence.ts";

/** Counts of right and wrong messages between two applications. */
export type Counts = Pick<Sequence, "sent" | "received" | "duplicates" | "lost" | "outOfOrder">;

export interface Row extends Counts {
  toServer: Counts;
  toDevice: Counts;
  outages: number;
  /** Ms; null: there was no outage. */
  longestRecovery: number | null;
}

export interface Table {
  devices: (Row & { id: string })[];
  total: Row;
}

/** Counts of a conversation. */
export type Counted = Pick<Conversation, "id" | "outages" | "longestRecovery"> & {
  toServer: Counts;
  toDevice: Counts;
};

export function toTable(conversations: Counted[]): Table {
  const devices = conversations.map(({ id, outages, longestRecovery = null, ...talk }) => {
    const [toServer, toDevice] = [sum(talk.toServer), sum(talk.toDevice)];
    return { id, ...sum(toServer, toDevice), toServer, toDevice, outages, longestRecovery };
  });
  const recoveries = devices.map((row) => row.longestRecovery).filter((ms) => ms !== null);
  const total = {
    ...sum(...devices),
    toServer: sum(...devices.map((row) => row.toServer)),
    toDevice: sum(...devices.map((row) => row.toDevice)),
    outages: devices.reduce((total, row) => total + row.outages, 0),
    longestRecovery: recoveries.length > 0 ? Math.max(...recoveries) : null,
  };
  return { devices, total };
}

function sum(...all: Counts[]): Counts {
  const total = { sent: 0, received: 0, duplicates: 0, lost: 0, outOfOrder: 0 };
  for (const counts of all) {
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key];
  }
  return total;
}

/** Whether every message arrived once and in order. */
export function isFaultless({ duplicates, lost, outOfOrder }: Counts): boolean {
  return duplicates === 0 && lost === 0 && outOfOrder === 0;
}

/** The table as lines of text, less than 80 columns wide. */
export function format({ devices, total }: Table): string[] {
  const head = [
    ["", "to the server ", "to the device ", "dupli-", "", "out of", "", "longest"],
    ["device", "sent received", "sent received", "cates", "lost", "order", "outages", "recovery"],
  ];
  const rows = [...devices.map((row) => toCells(row.id, row)), toCells("total", total)];
  const widths = head[0]!.map((_, column) =>
    Math.max(...[...head, ...rows].map((row) => row[column]!.length))
  );
  return [...head, ...rows].map((row) =>
    row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)
    ).join("  ").trimEnd()
  );
}

function toCells(name: string, row: Row): string[] {
  const both = ({ sent, received }: Counts) => `${sent} ${String(received).padStart(8)}`;
  return [
    name,
    both(row.toServer),
    both(row.toDevice),
    String(row.duplicates),
    String(row.lost),
    String(row.outOfOrder),
    String(row.outages),
    row.longestRecovery === null ? "-" : `${row.longestRecovery} ms`,
  ];
}
