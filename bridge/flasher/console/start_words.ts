/** Why a board does not start its program, or starts again and again, and what to try. */

export interface Words {
  headline: string;
  tries: string[];
}

const POWER =
  "Is its power good? Take a short USB cable and a port of the computer itself, and disconnect what the board feeds.";
/**
 * For a chip that reports a wrong checksum or no program, or prints nothing: with a mode that its flash does not
 * support, it reads rubbish.
 */
export const OTHER_MODE =
  "Have you chosen another mode than DOUT in step 2? Choose DOUT, and flash again.";
const FLASH_ALL = "Flash it again, with “First erase the whole flash”.";
const OTHER_APPLICATION =
  "Choose another application in step 2, and flash. “main” needs no wiring.";
const DISCONNECT = "Disconnect what is wired to the board’s pins, and press RESET.";

const LOOPS: Record<string, { why: string; tries: string[] }> = {
  exception: {
    why: "its program crashes",
    tries: [
      OTHER_APPLICATION,
      FLASH_ALL,
      DISCONNECT,
      POWER,
      "If none of this helps, the firmware has a fault. Its builder needs the line “holdfast: crash …”, " +
      "if there is one in the console.",
    ],
  },
  watchdog: {
    why: "its program hangs, and the chip’s watchdog restarts it",
    tries: [OTHER_APPLICATION, DISCONNECT, POWER, FLASH_ALL],
  },
  "power-on": {
    why: "its power fails",
    tries: [POWER, "The chip needs up to 300 mA at 3.3 V, most of it when it uses its radio."],
  },
  external: {
    why: "it is reset from outside, or its power dips",
    tries: [
      "If you have pressed RESET, wait: the board then starts once.",
      POWER,
      "Is something connected to the pin RST or EN? Disconnect it.",
    ],
  },
  software: {
    why: "its program restarts it",
    tries: [OTHER_APPLICATION, FLASH_ALL],
  },
  unknown: {
    why: "its program crashes before it says anything, or its power fails",
    tries: [POWER, FLASH_ALL, OTHER_APPLICATION, DISCONNECT],
  },
};

/** What a program did, by the processor's exception number. */
const EXCEPTIONS: Record<number, string> = {
  0: "the program ran into something that is no instruction",
  3: "the program read or wrote single bytes where the chip only allows whole words",
  9: "the program read or wrote at an address where no number can begin",
  20: "the program jumped to where no program is",
  28: "the program read from where no memory is",
  29: "the program wrote to where no memory is",
};

/** Words for an exception. @param address where the program read or wrote, as the firmware prints it */
export function crashWords(number: number, at?: string, address?: string): string {
  const place = [at && `at ${at}`, address && `address ${address}`].filter(Boolean).join(", ");
  const what = EXCEPTIONS[number] ?? "the program did something that the chip does not allow";
  return `${what} (exception ${number}${place && ", " + place})`;
}

/** Words for a board that restarts again and again. @param exception the number of the last one, if known */
export function loopWords(reason: string, exception: number | undefined): Words {
  const { why, tries } = LOOPS[reason] ??
    { why: `the reason is not known (${reason})`, tries: [POWER, OTHER_APPLICATION, FLASH_ALL] };
  const number = reason === "exception" && exception !== undefined ? `${exception}` : "";
  const detail = LOOPS[reason] && reason !== "unknown"
    ? ` (${[reason, number].filter(Boolean).join(" ")})`
    : "";
  return { headline: `The board restarts again and again: ${why}${detail}.`, tries };
}

/** Words for a chip whose pins prevent it from starting the program in its flash; undefined: they do not. */
export function pinWords(mode: number): Words | undefined {
  if (mode === 3) return undefined;
  const [why, mend] = (mode & 4) !== 0
    ? ["GPIO15 is not connected with GND", "Connect GPIO15 with GND."]
    : (mode & 2) === 0
    ? [
      "GPIO0 is connected with GND, so it waits to be flashed",
      "Let go of the button FLASH (BOOT), or take the wire or jumper off GPIO0.",
    ]
    : ["GPIO2 is connected with GND", "Take off what is connected to GPIO2."];
  return {
    headline: `The board does not start its program: ${why}.`,
    tries: [mend, "Then press RESET on the board."],
  };
}

/** Words for a chip that finds no program that it can start, or only a part of it. */
export const IMAGE_WORDS = {
  checksum: {
    headline: "The board does not start: the program in its flash is damaged (wrong checksum).",
    tries: [
      FLASH_ALL,
      "If it stays so, choose the slow speed in step 1, and flash again.",
      OTHER_MODE,
      POWER,
    ],
  },
  nothing: {
    headline: "The board does not start: there is no program in its flash.",
    tries: ["Choose firmware and application in step 2, and flash.", OTHER_MODE],
  },
  calibration: {
    headline: "The board does not start: the settings of its radio are missing in the flash.",
    tries: [
      "Choose a Holdfast firmware in step 2, not files of your own, and flash: it brings them.",
      FLASH_ALL,
    ],
  },
  silent: {
    headline: "The board loads a program, and then says nothing more.",
    tries: [
      "Flash firmware and application, not the settings alone: a part of the program may be missing.",
      FLASH_ALL,
      OTHER_MODE,
    ],
  },
} as const satisfies Record<string, Words>;
