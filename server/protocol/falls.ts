/** Why a firmware goes back to the application before. Runs in a browser, too. */

/** Why an application was not kept, and the same for people. */
export const FALLS = {
  trap: "it trapped",
  hang: "it hung",
  crash: "it crashed the firmware",
  heap: "it took too much memory",
  link: "its link did not come up in time",
  refused: "its own check (onTrial) refused it",
  load: "it could not be compiled",
} as const;
