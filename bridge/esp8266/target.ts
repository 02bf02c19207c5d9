/**
 * A target is what the firmware can be built for: the chip, or its emulator. The builder and the targets' own
 * builders owe to each other: `targets/NAME/build.ts` exports `build(options: BuildOptions): Promise<Built>`.
 *
 * @module
 */
import type { FlashMode } from "../formats/image.ts";

/** An application to go with the firmware. */
export interface Application {
  name: string;
  wasm: Uint8Array<ArrayBuffer>;
}

/** What a target adds to the firmware. */
export interface Target {
  name: string;
  /** Its folder: all its .c and .S files are compiled. */
  folder: URL;
  /** For these files, relative to the folder of the work. */
  flags?: string[];
  /** More C files, by the names that they get in the folder of the work. */
  more?: { name: string; text: string }[];
}

/** What to build. */
export interface BuildOptions {
  /** Where files go; it exists. */
  out: string;
  /** The firmware's version. */
  version: string;
  /** Which kind of firmware: "wifi", the whole; see README.md for others. */
  flavour: string;
  applications: Application[];
  /** Translates the first application ahead of time, into the firmware; there is no other one then. */
  aot?: boolean;
  /** Whether it is for a release: then there is a manifest in any case. */
  release?: boolean;
  /** The vendor's SDK, for targets that need one. */
  sdk?: string;
  /** How the chip is to read its flash, for targets that have one. Default: as every module can. */
  flashMode?: FlashMode;
  /** Says a line of progress. */
  say: (line: string) => void;
}

/** What was built. */
export interface Built {
  /** The files, by what they are: "firmware", "manifest", …; paths. */
  files: Record<string, string>;
  /** Sizes in bytes worth knowing. */
  sizes: Record<string, number>;
}

/** The application that is part of the firmware, translated ahead of time. Undefined: all have their place in flash. */
export function builtIn(
  { flavour, aot, applications }: BuildOptions,
): Application | undefined {
  return aot || flavour === "pyboard" ? applications[0] : undefined;
}

/** `-D` flags that make the firmware of a flavour. */
export function flavourDefines(flavour: string): string[] {
  return flavour === "wifi" ? [] : [`-DFLAVOUR_${flavour.toUpperCase()}`];
}
