/** What devices run, and what was deployed to them, as the API shows it. */
import type { Device } from "../device.ts";
import type { DeployView } from "../device_view.ts";
import type { Deploy, Rollout } from "../firmware/deploy.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";

/** What a device runs, and what was deployed to it last. */
export interface AppView {
  readonly device: string;
  readonly connected: boolean;
  readonly runs?: RunningApp;
  readonly deploy?: DeployView;
}

/** A group that is given an application, as the API shows it: times in ISO 8601. */
export type RolloutView = Omit<Rollout, "begun" | "devices"> & {
  readonly begun: string;
  readonly devices: readonly AppView[];
};

/** @param devices Those of the group, in its order. */
export function rolloutView({ begun, ...rollout }: Rollout, devices: AppView[]): RolloutView {
  return { ...rollout, begun: begun.toISOString(), devices };
}

/** Those of one device that are there. */
export function appsOf({ runs, deployment }: Device): Pick<AppView, "runs" | "deploy"> {
  return { ...(runs && { runs }), ...(deployment && { deploy: viewOf(deployment) }) };
}

function viewOf({ begun, since, ...deploy }: Deploy): DeployView {
  return { ...deploy, begun: begun.toISOString(), since: since.toISOString() };
}
