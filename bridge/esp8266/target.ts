/**
 * A target that the firmware can be built for: the chip, or its emulator. Types that the builder and the targets'
 * own builders share: `targets/NAME/build.ts` exports `build(options: BuildOptions): Promise<Built>`.
 *
 * @module
 */
import type { FlashMode } from "../formats/image.ts";

/** An application to go with the firmware. */
export interface Application {
  name: string;
  wasm: Uint8Array<ArrayBuffer>;
}

/** A target's additions to the firmware. */
export interface Target {
  name: string;
  /** Its folder: all its .c and .S files are compiled. */
  folder: URL;
  /** Compiler flags for these files; paths are relative to the work folder. */
  flags?: string[];
  /** More C files, with their names in the work folder. */
  more?: { name: string; text: string }[];
}

/** What to build. */
export interface BuildOptions {
  /** The output folder, which exists. */
  out: string;
  /** The firmware's version. */
  version: string;
  /** The kind of firmware: "wifi" is the complete one; see README.md for others. */
  flavour: string;
  applications: Application[];
  /** Compiles the first application ahead of time into the firmware; it then takes no other. */
  aot?: boolean;
  /** Whether it is for a release: then a manifest is always written. */
  release?: boolean;
  /** The vendor's SDK, for targets that need one. */
  sdk?: string;
  /** How the chip reads its flash, for targets that have one. Default: the mode that works with every module. */
  flashMode?: FlashMode;
  /** Prints a line of progress. */
  say: (line: string) => void;
}

/** What was built. */
export interface Built {
  /** Paths of the files, by their kinds: "firmware", "manifest", … */
  files: Record<string, string>;
  /** Sizes in bytes to show the user. */
  sizes: Record<string, number>;
}

/** The application to compile into the firmware. Undefined: applications have their own place in flash. */
export function builtIn(
  { flavour, aot, applications }: BuildOptions,
): Application | undefined {
  return aot || flavour === "pyboard" ? applications[0] : undefined;
}

/** `-D` flags for a flavour. */
export function flavourDefines(flavour: string): string[] {
  return flavour === "wifi" ? [] : [`-DFLAVOUR_${flavour.toUpperCase()}`];
}
