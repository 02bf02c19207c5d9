/** Faults between two machines. All of them end; their effects stay. */
import { DOWN, type Path, UP } from "./network.ts";

/** The kinds, as tests and traces name them. "The device" is the machine that connects, "the server" the one that
 * listens. */
export const PATH_FAULTS = [
  "cut",
  "half-open, the server is told",
  "half-open, the device is told",
  "half-open, nobody is told",
  "black hole to the server",
  "black hole to the device",
  "black hole both ways",
  "slow network",
  "congestion",
  "connects refused",
  "connects hang",
] as const;

/** A kind of fault between two machines. */
export type PathFault = typeof PATH_FAULTS[number];

/** Causes a fault. @param time How long it lasts, in ms, unless it happens at once. */
export function strikePath(path: Path, kind: PathFault, time: number): void {
  const { random, clock } = path;
  const until = (undo: () => void) => clock.after(time, undo);
  const sever = (tellClient: boolean, tellServer: boolean) => {
    if (path.connections.length === 0) return;
    random.pick(path.connections).sever(tellClient, tellServer);
  };
  switch (kind) {
    case "cut":
      return sever(true, true);
    case "half-open, the server is told":
      return sever(false, true);
    case "half-open, the device is told":
      return sever(true, false);
    case "half-open, nobody is told":
      return sever(false, false);
    case "black hole to the server":
      path.unplug(UP);
      return until(() => path.plug(UP));
    case "black hole to the device":
      path.unplug(DOWN);
      return until(() => path.plug(DOWN));
    case "black hole both ways":
      path.unplug(UP);
      path.unplug(DOWN);
      return until(() => {
        path.plug(UP);
        path.plug(DOWN);
      });
    case "slow network":
      path.slowness += time;
      return until(() => path.slowness -= time);
    case "congestion":
      path.congestion = random.skewed(1, 100);
      return until(() => path.congestion = Infinity);
    case "connects refused":
      path.connecting = "refused";
      return until(() => path.connecting = "normal");
    case "connects hang":
      path.connecting = "hanging";
      return until(() => path.connecting = "normal");
  }
}
