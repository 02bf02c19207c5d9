/** Formats a deploy: a bar on a terminal, a line elsewhere. */
import type { DeployView } from "../device_view.ts";

/** Width of a bar, in characters. */
const BAR = 30;

/** An application, as a hello names it. */
export function appName({ name, version, hash }: Pick<DeployView, "name" | "version" | "hash">) {
  return `${name}/${version}/${hash}`;
}

/** A progress bar. @param width Width of the column with ids. */
export function barOf(device: string, deploy: DeployView, width: number): string {
  const { phase, size, arrived } = deploy;
  const part = size === 0 ? 0 : arrived / size;
  const bar = "#".repeat(Math.floor(part * BAR)).padEnd(BAR, ".");
  const percent = `${Math.floor(part * 100)} %`.padStart(5);
  return `${device.padEnd(width)}  [${bar}] ${percent}  ${phaseOf(deploy, phase)}`;
}

/** The state of a deploy in one line. */
export function lineOf(device: string, deploy: DeployView): string {
  return `${device} ${phaseOf(deploy, deploy.phase)} ${appName(deploy)}`;
}

function phaseOf({ reason, detail }: DeployView, phase: DeployView["phase"]): string {
  const why = [reason, detail].filter((word) => word !== undefined).join(" ");
  return phase.replace("_", " ") + (why === "" ? "" : ` (${why})`);
}
