/** The applications that devices run, and their deploys, as the API shows them. */
import type { Device } from "../device.ts";
import type { DeployView } from "../device_view.ts";
import type { Deploy, Rollout } from "../firmware/deploy.ts";
import type { RunningApp } from "../protocol/firmware_lines.ts";

/** The application that a device runs, and its last deploy. */
export interface AppView {
  readonly device: string;
  readonly connected: boolean;
  readonly runs?: RunningApp;
  readonly deploy?: DeployView;
}

/** A rollout, as the API shows it: times in ISO 8601. */
export type RolloutView = Omit<Rollout, "begun" | "devices"> & {
  readonly begun: string;
  readonly devices: readonly AppView[];
};

/** @param devices The devices of the group, in its order. */
export function rolloutView({ begun, ...rollout }: Rollout, devices: AppView[]): RolloutView {
  return { ...rollout, begun: begun.toISOString(), devices };
}

/** What a device runs, and its last deploy, as far as they are known. */
export function appsOf({ runs, deployment }: Device): Pick<AppView, "runs" | "deploy"> {
  return { ...(runs && { runs }), ...(deployment && { deploy: viewOf(deployment) }) };
}

function viewOf({ begun, since, ...deploy }: Deploy): DeployView {
  return { ...deploy, begun: begun.toISOString(), since: since.toISOString() };
}
