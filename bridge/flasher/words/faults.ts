/** Words for failures: what failed, where, and what to try. */
import { DENO } from "../plan/commands.ts";
import { type FlashCode, FlashError, hex } from "../chip/errors.ts";

export interface Fault {
  /** What failed, as a heading. */
  title: string;
  /** The exact reason, with the address if there is one. */
  text: string;
  /** What to try, most likely first. */
  tries: string[];
  /** Whether the pictures in the help are useful. */
  help: boolean;
  /** For a bug report. */
  details: string;
}

const CABLE =
  "Try another USB cable, a short one that carries data, and a port of the computer itself.";
const BOOT_MODE =
  "Put the board into boot mode by hand: hold GPIO0 (the button FLASH, if there is one) at GND, press " +
  "RESET, let go of RESET, then of GPIO0.";
const SLOW = "Choose the slow speed.";
const AGAIN = "Press “Try again”: all of it is written again, and nothing needs cleaning up.";
const POWER = "Give the board a better supply: 300 mA at 3.3 V, without other loads on it.";

interface Words {
  title: string;
  /** A sentence to show behind the reason. */
  more?: string;
  tries: string[];
  help?: boolean;
}

const WORDS: Record<FlashCode, Words> = {
  PORT_BUSY: {
    title: "The port could not be opened",
    tries: [
      "Close other programs and browser tabs that use the port: a serial monitor, an IDE.",
      "On Linux, you need permission for the port: the help below shows how.",
      "Unplug the board, plug it in again, and choose its port again.",
    ],
    help: true,
  },
  LOST: {
    title: "The board was unplugged, or its connection broke",
    more:
      "What was being written is incomplete, so the board may not start. Nothing is broken for good.",
    tries: ["Plug the board in again.", AGAIN, CABLE],
  },
  NO_SYNC: {
    title: "The board is not in boot mode",
    more: "It says something, but its loader does not answer: it is running its program.",
    tries: [BOOT_MODE, "Then press “Try again”.", "Close other programs that use the port.", CABLE],
    help: true,
  },
  SILENT: {
    title: "The board does not answer",
    more: "Nothing at all was heard on this port.",
    tries: [
      "Is it the right port? Unplug the board and look which one leaves the list.",
      BOOT_MODE,
      CABLE,
      "On a bare module: are TX and RX crossed, GND connected, EN (CH_PD) at 3.3 V and GPIO15 at GND?",
    ],
    help: true,
  },
  WRONG_CHIP: {
    title: "This is not an ESP8266",
    more:
      "Holdfast’s firmware runs on the ESP8266 and ESP8285 only. Nothing was changed on this board.",
    tries: ["Choose the port of another board."],
  },
  NO_STUB: {
    title: "The flashing program does not start on the chip",
    more: "Nothing was changed in its flash.",
    tries: ["Press “Try again”.", SLOW, CABLE, POWER],
  },
  FLASH_SILENT: {
    title: "The chip answers, but its flash memory does not",
    more: "Nothing was changed.",
    tries: [
      "Disconnect whatever is wired to GPIO6 to GPIO11: these pins belong to the flash.",
      POWER,
      "Press “Try again”. If it stays so, the module is damaged.",
    ],
  },
  WRITE_FAILED: {
    title: "Writing failed",
    more:
      "It was tried three times, the last time slowly. The board may not start until it is flashed.",
    tries: [AGAIN, CABLE, POWER],
  },
  VERIFY_FAILED: {
    title: "The flash does not hold what was written",
    more: "The board must not be used like this.",
    tries: [
      AGAIN,
      "Tick “First erase the whole flash”.",
      POWER,
      "If it fails at the same address again, the flash memory is worn out or smaller than it says.",
    ],
  },
  READ_FAILED: {
    title: "Reading failed",
    more: "Nothing was changed on the board.",
    tries: ["Press “Try again”.", SLOW, CABLE],
  },
  ERASE_FAILED: {
    title: "The flash could not be erased",
    tries: [
      "Press “Try again”.",
      POWER,
      "Go on without erasing: what is written is erased before anyway.",
    ],
  },
  STOPPED: {
    title: "Stopped",
    more: "What was being written is incomplete, so the board may not start until it is flashed.",
    tries: [AGAIN],
  },
  NO_IMPROV: {
    title: "The board does not answer",
    more: "It may run another program, or wait in boot mode.",
    tries: [
      "Press RESET on the board, with GPIO0 not at GND, and try again.",
      "It must run Holdfast’s firmware, or another that speaks Improv-Serial. If not, flash it first.",
    ],
  },
  WIFI_REFUSED: {
    title: "The board refused",
    tries: [
      "Check the network’s name and password.",
      "Does it have 2.4 GHz? The chip knows no other.",
      "If nothing helps, flash its settings again.",
    ],
  },
  BAD_IMAGE: {
    title: "This file cannot be flashed",
    more: "Nothing was changed on the board.",
    tries: ["Choose another file, or build it again."],
  },
  BAD_PLAN: {
    title: "This does not fit into the flash",
    more: "Nothing was changed on the board.",
    tries: ["Correct the address, choose another file, or untick what does not go with it."],
  },
  NOT_CHOSEN: {
    title: "A file is missing",
    more: "Nothing was changed on the board.",
    tries: ["Choose the file, or choose something that needs none."],
  },
  NO_FILE: {
    title: "A file could not be loaded",
    more: "Nothing was changed on the board.",
    tries: [
      "Is this computer online? Reload the page, and try again.",
      "If it stays so, a file is missing where this page is published: tell its publisher.",
      "Or choose files on this computer.",
    ],
  },
};

/** Other advice for a page that is served from the folder of Holdfast. */
const SERVED_HERE: Partial<Record<FlashCode, string[]>> = {
  NO_FILE: [
    "Does the program that serves this page still run? Start it again, in the folder of Holdfast: " +
    `\`${DENO} task flasher\``,
    "If firmware is missing, build it again, as Holdfast’s README says.",
    "Or choose files on this computer.",
  ],
};

/**
 * Puts an error into words. Anything but a FlashError is reported as a bug of the page.
 *
 * @param servedHere whether the page is served from the folder of Holdfast; otherwise it is published
 */
export function explain(error: unknown, servedHere = false): Fault {
  const details = error instanceof Error ? describe(error) : String(error);
  if (!(error instanceof FlashError)) {
    return {
      title: "Something unexpected happened",
      text: `This is a fault of this page: ${error instanceof Error ? error.message : error}.`,
      tries: ["Reload the page, and try again.", "Report it, with the technical details."],
      help: false,
      details,
    };
  }
  const { title, help = false } = WORDS[error.code];
  const tries = servedHere && SERVED_HERE[error.code] || WORDS[error.code].tries;
  // If the board is lost without an address, nothing was being written.
  const idle = error.code === "LOST" && error.address === undefined;
  const more = idle ? undefined : WORDS[error.code].more;
  const where = error.address === undefined || error.message.includes(hex(error.address))
    ? ""
    : `, at ${hex(error.address)}`;
  const reason = sentence(`${error.message}${where}`);
  return { title, text: more ? `${reason} ${more}` : reason, tries, help, details };
}

/** A file's name stays as it is; a browser's own words may have their full stop already. */
function sentence(text: string): string {
  const isName = /^\S+\.\w/.test(text);
  return `${isName ? text : text.charAt(0).toUpperCase() + text.slice(1)}.`.replace(/\.\.$/, ".");
}

/** The error and its causes, a line each. */
function describe(error: Error): string {
  const code = error instanceof FlashError ? ` ${error.code}` : "";
  const line = `${error.name}${code}: ${error.message}`;
  return error.cause instanceof Error ? `${line}\ncaused by ${describe(error.cause)}` : line;
}
