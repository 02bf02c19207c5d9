/** The faults of the demo, and when they happen. */
import { until } from "../support/wait.ts";
import type { Conversation } from "./conversation.ts";
import type { Scene } from "./scene.ts";
import type { View } from "./view.ts";

/** Ms between two faults: a link that fails sooner reconnects after longer pauses. */
const CALM = 2200;

/** Longer than the silence which either end takes for an outage (2 s). In ms. */
const HOLE = 3500;

interface Fault {
  /** What is done to a device, in words. */
  begins: (name: string) => string;
  begin: (talk: Conversation, scene: Scene) => void | Promise<void>;
  /** The server's faults concern all devices. */
  everybody?: true;
  /** Its length in ms; without: it is over at once, and only its consequences matter. */
  lasts?: number;
  ends?: (name: string) => string;
  end?: (talk: Conversation, scene: Scene) => void | Promise<void>;
}

const FAULTS: Fault[] = [
  {
    begins: (name) => `reset the connection of ${name}`,
    begin: ({ cable }) => cable.reset(),
  },
  {
    begins: (name) => `cut the cable of ${name} (black hole)`,
    begin: ({ cable }) => cable.blackhole(),
    lasts: HOLE,
    ends: (name) => `mended the cable of ${name}`,
    end: ({ cable }) => cable.restore(),
  },
  {
    begins: () => "closed the server",
    begin: (_, scene) => scene.stopServer(),
    everybody: true,
    lasts: 1000,
    ends: () => "started the server again on its store on disk",
    end: (_, scene) => scene.startServer(),
  },
  {
    begins: (name) => `cut off ${name} behind the server's back (half-open)`,
    begin: ({ cable }) => cable.halfOpen(),
  },
  {
    begins: (name) => `made ${name} deaf: it can send, but hears nothing`,
    begin: ({ cable }) => cable.blackhole("down"),
    lasts: HOLE,
    ends: (name) => `${name} can hear again`,
    end: ({ cable }) => cable.restore(),
  },
  {
    begins: (name) => `made ${name} mute: it can hear, but nothing it sends arrives`,
    begin: ({ cable }) => cable.blackhole("up"),
    lasts: HOLE,
    ends: (name) => `${name} can send again`,
    end: ({ cable }) => cable.restore(),
  },
];

/** Causes one fault after the other until the signal, repairs everything, and returns the number of faults. */
export async function injectFaults(scene: Scene, view: View, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (;; count++) {
    await pause(CALM, signal);
    if (signal.aborted) return count;
    const fault = FAULTS[count % FAULTS.length]!;
    const talk = scene.conversations[count % scene.conversations.length]!;
    const concerned = fault.everybody ? scene.conversations : [talk];

    view.note(fault.begins(talk.name), "fault");
    for (const each of concerned) each.breaks();
    await fault.begin(talk, scene);
    if (fault.lasts) await pause(fault.lasts, signal);
    await fault.end?.(talk, scene);
    if (fault.ends) view.note(fault.ends(talk.name), "repair");
    for (const each of concerned) each.mended();

    const recovered = () => signal.aborted || concerned.every((talk) => talk.recovered);
    await until(recovered, { what: "the devices to be back" }).catch(() => {});
  }
}

/** Resolves after `ms`, or at once when the signal comes. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
