/** Deploys in words, and as errors. */
import { LocalError } from "../protocol/errors.ts";
import { FALLS } from "../protocol/falls.ts";
import { type RunningApp, shortHash } from "../protocol/firmware_lines.ts";
import type { Deploy } from "./deploy.ts";

/** As it is said in a hello. */
export function nameOf(app: Pick<RunningApp, "name" | "version" | "hash"> | undefined): string {
  if (!app) return "an application whose name makes no sense";
  return `${app.name}/${app.version}/${shortHash(app.hash)}`;
}

/** Why a device does not take an application, for people. */
const REASONS: Readonly<Record<string, string>> = {
  older: "it is older than the one that runs",
  failed: "the same bytes fell back before",
  size: "it does not fit",
  mac: "the device has another key",
  hash: "what arrived has another hash",
  module: "it is not an application for this firmware",
  import: "it needs something that this firmware does not have",
  flash: "the flash cannot be written",
  gap: "pieces came out of place again and again",
  offer: "the device lost its place again and again",
  ...FALLS,
  unknown: "the device could not say why",
};

/** Why a device has not taken it; "": nothing is known against it. */
export function whyNot(
  { phase, reason, detail }: Pick<Deploy, "phase" | "reason" | "detail">,
): string {
  if (phase === "unsupported") return NO_DEPLOYS;
  if (phase === "stopped") return `it was not begun, as of ${detail}`;
  if (reason === undefined) return "";
  return `${REASONS[reason] ?? reason}${detail === undefined ? "" : ` (${detail})`}`;
}

/** What is deployed, how large it is, and why it is not taken. */
export function wordsOf(deploy: Deploy): string {
  const [what, why] = [`${nameOf(deploy)}, ${deploy.size} bytes`, whyNot(deploy)];
  return why === "" ? what : `${what}: ${why}`;
}

/** Of a device that knows nothing of deploys. */
const NO_DEPLOYS = "it does not take applications over the link: its hello has no app=";

/** @param id Of a device that knows nothing of deploys. */
export function unsupported(id: string): LocalError {
  return new LocalError("UNSUPPORTED", `${JSON.stringify(id)}: ${NO_DEPLOYS}`);
}

/** The error for those who wait; undefined: the device has it. */
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
