/** Words and errors for deploys. */
import { LocalError } from "../protocol/errors.ts";
import { FALLS } from "../protocol/falls.ts";
import { type RunningApp, shortHash } from "../protocol/firmware_lines.ts";
import type { Deploy } from "./deploy.ts";

/** An application's name, version and hash, as in a hello. */
export function nameOf(app: Pick<RunningApp, "name" | "version" | "hash"> | undefined): string {
  if (!app) return "an application with an invalid name";
  return `${app.name}/${app.version}/${shortHash(app.hash)}`;
}

/** Why a device refuses an application, for people. */
const REASONS: Readonly<Record<string, string>> = {
  older: "its version is lower than the running one's",
  failed: "the same bytes fell back before",
  size: "it does not fit",
  mac: "the device has a different key",
  hash: "what arrived has a different hash",
  module: "it is not an application for this firmware",
  import: "it imports something that this firmware does not have",
  flash: "the flash memory cannot be written",
  gap: "pieces repeatedly came out of order",
  offer: "the device repeatedly lost its place",
  ...FALLS,
  unknown: "the device could not say why",
};

/** Why a deploy has failed; "": it has not. */
export function whyNot(
  { phase, reason, detail }: Pick<Deploy, "phase" | "reason" | "detail">,
): string {
  if (phase === "unsupported") return NO_DEPLOYS;
  if (phase === "stopped") return `it was not started, because of ${detail}`;
  if (reason === undefined) return "";
  return `${REASONS[reason] ?? reason}${detail === undefined ? "" : ` (${detail})`}`;
}

/** What is deployed, its size, and why it failed. */
export function wordsOf(deploy: Deploy): string {
  const [what, why] = [`${nameOf(deploy)}, ${deploy.size} bytes`, whyNot(deploy)];
  return why === "" ? what : `${what}: ${why}`;
}

/** Why a device does not support deploys. */
const NO_DEPLOYS = "it does not support deploys: its hello has no app=";

/** @param id The id of a device that does not support deploys. */
export function unsupported(id: string): LocalError {
  return new LocalError("UNSUPPORTED", `${JSON.stringify(id)}: ${NO_DEPLOYS}`);
}

/** The error for callers that wait; undefined: the device has kept it. */
export function errorOf(id: string, deploy: Deploy): LocalError | undefined {
  const about = `${JSON.stringify(id)}: ${wordsOf(deploy)}`;
  switch (deploy.phase) {
    case "kept":
      return undefined;
    case "unsupported":
      return unsupported(id);
    case "refused":
      return new LocalError("DEPLOY_REFUSED", about);
    case "fell_back":
      return new LocalError("FELL_BACK", about);
    default:
      return new LocalError("GIVEN_UP", `${about}: it was given up`);
  }
}
