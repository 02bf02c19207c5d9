/** Why a board has no link with its server, and what to try. Text in backquotes can be run as it is. */
import { keysLine, serverLine } from "../plan/commands.ts";

/** What the commands for the server must name. */
export interface Place {
  /** The device's id. */
  id: string;
  /** Whether the board has a key. */
  key: boolean;
  port: number;
  /** The server's `--app`, if known. */
  app: string | undefined;
}

export interface Reason {
  why: string;
  tries: (place: Place) => string[];
}

const FOLDER = "On the server’s computer, in a terminal in the folder of Holdfast";

/** The server must reload its file of keys. */
function restarted({ app, port }: Place, open = false): string {
  return "Then stop the server (Ctrl+C), and start it so that it reads its keys: `" +
    serverLine({ keys: true, open, app, port }) + "`";
}

const NEW_KEY =
  "Or make the board another key: choose “Make one” in step 3, flash, and do what the page then shows.";
const SAME_VERSION = () => [
  "Wait: the board tries again.",
  "Are the firmware and the server of the same version? Update the older one.",
];

function otherKey(place: Place): string[] {
  return [
    `If you still have this board’s key, give it to the server. ${FOLDER}, run this, and paste the key when ` +
    `it asks for it: \`${keysLine(place.id, "replace")}\``,
    restarted(place),
    NEW_KEY,
  ];
}

/** Twice as many as a server takes by default. */
const MORE = "--limit devices=20000";

/** The meaning of a server's refusal codes (PROTOCOL.md, "Refusals"). */
export const REFUSALS: Record<string, Reason> = {
  "01": {
    why: "it lets in boards with a key only, and this board has none",
    tries: ({ app, port }) => [
      "Choose “Make one” in step 3, flash, and do what the page then shows.",
      "Or let in boards without a key: stop the server (Ctrl+C), and start it like this: `" +
      serverLine({ keys: true, open: true, app, port }) + "`",
      "Is the device id spelt as it is at the server?",
    ],
  },
  "02": { why: "the key is not the one that it has for this device", tries: otherKey },
  "03": {
    why: "it has a key for this device, and the board has none",
    tries: (place) => [
      "Choose “I have one” in step 3, enter the key that the server has, and flash.",
      NEW_KEY,
      `Or take the key away from the server. ${FOLDER}: \`${keysLine(place.id, "remove")}\``,
      restarted(place, true),
    ],
  },
  "04": {
    why: "it does not know this board’s key",
    tries: (place) => [
      `If you still have the key, give it to the server. ${FOLDER}, run this, and paste the key when it asks ` +
      `for it: \`${keysLine(place.id, "replace")}\``,
      restarted(place),
      NEW_KEY,
      "Or do without a key, if the server was started with --open: choose “None” in step 3, and flash.",
    ],
  },
  "05": {
    why: "it does not understand the board’s greeting",
    tries: () => ["Are the firmware and the server of the same version? Update the older one."],
  },
  "06": {
    why: "it has no room for another device without a key",
    tries: () => [
      "Give the board a key, for which there is always room: choose “Make one” in step 3, flash, and do what " +
      "the page then shows.",
      "Or let the server take more devices: stop it (Ctrl+C), and start it with the same line as before and " +
      `this at its end: \`${MORE}\``,
    ],
  },
  "08": {
    why: "its key for this device is for sealed links, and the board’s firmware does not seal",
    tries: (place) => [
      "Flash the newest firmware: it seals.",
      `Or let the board in as it is, without encryption. ${FOLDER}, run this, and paste the key when it asks for ` +
      `it: \`${keysLine(place.id, "unsealed")}\``,
      restarted(place),
    ],
  },
  "09": {
    why:
      "its key for this device is for links with forward secrecy (suite 04), and the board speaks another suite",
    tries: (place) => [
      "Flash the newest firmware, and tick “Forward secrecy” in “More settings” of step 3.",
      `Or let the board in as it is, encrypted without forward secrecy. ${FOLDER}, run this, and paste the key ` +
      `when it asks for it: \`${keysLine(place.id, "replace")}\``,
      restarted(place),
    ],
  },
};

/** Reasons for which a board has no link to its server. */
export const LINKS: Record<string, Reason> = {
  NO_ANSWER: {
    why: "nothing answers there",
    tries: ({ key, app, port }) => [
      `Is the server running? ${FOLDER}: \`${serverLine({ keys: key, open: !key, app, port })}\``,
      "Is the address right? The server says it when it starts, in the line “reachable”.",
      "Does a firewall on that computer keep the port closed?",
      "Are board and server in the same network? Guest WiFi often keeps devices apart.",
    ],
  },
  NO_ADDRESS: {
    why: "no address is known for this name",
    tries: () => [
      "Is the name right? A board cannot look up names that end in .local.",
      "Flash the board’s settings again, with the server’s IPv4 address in place of its name.",
    ],
  },
  NO_GREETING: {
    why: "something answers there, but it does not speak as a Holdfast server does",
    tries: () => [
      "Is the port right?",
      "Is “Dialect” in “More settings” right? Holdfast’s server wants 2.",
    ],
  },
  BAD_PROOF: {
    why: "the server’s key for this device is another one than the board’s",
    tries: otherKey,
  },
  BAD_SEAL: {
    why: "what arrived was changed on its way, or belongs to another connection",
    tries: () => [
      "Wait: the board tries again. Nothing of it was acted on, and nothing is lost.",
      "If it happens again and again, somebody or something between board and server changes what passes.",
    ],
  },
  SILENT: {
    why: "nothing was heard from it any more",
    tries: () => [
      "Is the WiFi weak where the board is?",
      "Is the timeout in “More settings” the same as the server’s (--timeout, by default 2000)?",
    ],
  },
  LOST: { why: "the connection was closed", tries: () => ["Is the server still running?"] },
  STALLED: {
    why: "it no longer reads what the board sends",
    tries: () => ["Wait: the board tries again."],
  },
  LINE_TOO_LONG: { why: "it sent more than the board has room for", tries: SAME_VERSION },
  BAD_LINE: { why: "it sent something that is not of this protocol", tries: SAME_VERSION },
  GAP: { why: "a message from it is missing", tries: SAME_VERSION },
  BAD_POSITION: { why: "it counts the messages differently from the board", tries: SAME_VERSION },
  BAD_GREETING: { why: "the board does not understand its greeting", tries: SAME_VERSION },
};
