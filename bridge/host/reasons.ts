/** Words for the reasons why a client has no link. */
import { type PeerCode, PeerError } from "../../server/protocol/errors.ts";
import { Refusal } from "../../server/protocol/greeting.ts";
import type { Core } from "./core.ts";

const MESSAGES: Partial<Record<PeerCode, string>> = {
  NO_ANSWER: "the server did not accept the connection in time",
  NO_GREETING: "the server accepted the connection, but sent nothing",
  SILENT: "nothing was received from the server within the timeout",
  STALLED: "the server accepted nothing within the timeout",
  BAD_GREETING:
    "the server did not answer in dialect 2: if it is micropython-iot's, set `dialect: 1`",
  BAD_PROOF: "the server does not have this device's key",
  BAD_POSITION: "the server acknowledged what was never sent",
  GAP: "a message from the server is missing",
  LINE_TOO_LONG: "the server sent a line longer than `size.line`",
  BAD_LINE: "the server sent a line that does not start with an id",
};

/** Reasons of the server's refusal, by code. */
const REFUSALS = [
  "for a reason that this version does not know",
  "it has no key for this id, and is not open",
  "the keys differ",
  "it has a key for this id, but this device gave none",
  "it has no key for this id, so it cannot prove itself",
  "the greeting was malformed",
  "it has too many connections or devices",
  "it is about to stop, and sends its devices to their next address",
  "its key for this id is for sealed links, but this device does not seal",
  "its key for this id is for links with forward secrecy (suite 04), but this device uses another suite",
];

/** Why the core has given up its connection. */
export function reasonOf({ reason, refusal }: Pick<Core, "reason" | "refusal">): PeerError {
  if (reason !== "REFUSED") return new PeerError(reason, MESSAGES[reason] ?? reason);
  return new PeerError(
    reason,
    `the server refuses this device: ${REFUSALS[refusal] ?? REFUSALS[0]}`,
  );
}

/** Whether the server said that it is about to stop. */
export function isSentAway({ reason, refusal }: Pick<Core, "reason" | "refusal">): boolean {
  return reason === "REFUSED" && refusal === Refusal.leaving;
}
