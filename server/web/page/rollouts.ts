/** Describes rollouts that are under way or stopped. */
import type { SeenDevice } from "../seen.ts";
import { counted, shown } from "./words.ts";

/** The part of a device that is needed here. */
type Part = Pick<SeenDevice, "id" | "deploy">;

const FAILURES: Readonly<Record<string, string>> = {
  refused: "has refused it",
  fell_back: "has fallen back",
  unsupported: "does not support deploys",
};

const ENDS: readonly string[] = ["kept", "given_up", "stopped", ...Object.keys(FAILURES)];

/** A sentence for each group that is not done. */
export function wordsOfRollouts(devices: readonly Part[]): string[] {
  const groups = new Map<number, Part[]>();
  for (const device of devices) {
    const { rollout } = device.deploy ?? {};
    if (rollout === undefined) continue;
    const group = groups.get(rollout);
    if (group) group.push(device);
    else groups.set(rollout, [device]);
  }
  return [...groups].sort(([a], [b]) => a - b).flatMap(([, group]) => wordsOf(group) ?? []);
}

function wordsOf(group: readonly Part[]): string | undefined {
  const has = (phase: string) => group.filter(({ deploy }) => deploy!.phase === phase).length;
  const failed = group.find(({ deploy }) => FAILURES[deploy!.phase]);
  if (!failed && group.every(({ deploy }) => ENDS.includes(deploy!.phase))) return undefined;
  const { name, version } = group[0]!.deploy!;
  const words = `${shown(`${name} ${version}`)}: ${has("kept")} of ${
    counted(group.length, "device")
  } run it`;
  if (!failed) return `${words}, and ${has("queued")} wait for their turn.`;
  const { phase, reason } = failed.deploy!;
  const why = `${shown(failed.id)} ${FAILURES[phase]}${reason ? ` (${shown(reason)})` : ""}`;
  return `${words}. It was stopped because ${why}: ${has("stopped")} were not started.`;
}
