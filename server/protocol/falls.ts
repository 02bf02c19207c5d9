/** Why a firmware falls back to the previous application. Runs in a browser, too. */

/** Reasons why an application was not kept, with texts for people. */
export const FALLS = {
  trap: "it trapped",
  hang: "it hung",
  crash: "it crashed the firmware",
  heap: "it took too much memory",
  link: "its link did not come up in time",
  refused: "its own check (onTrial) refused it",
  load: "it could not be compiled",
} as const;
