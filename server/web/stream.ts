/** The one stream of changes to a page: server-sent events. A page that reads slowly gets fewer of them, and no older ones. */

import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";

/** Between two events, in ms: a device that changes faster is seen as it is then. */
const INTERVAL = 250;

/** After this many ms without anything a comment is sent: so both ends learn that the other one is gone. */
export const QUIET = 15_000;

/** One who has read nothing for this many ms is cut off: its place is for others. */
export const PATIENCE = 60_000;

const encoder = new TextEncoder();

/** What a stream shows. */
export interface Shown {
  /** Everything, for one who has seen nothing. */
  all(): unknown;
  /** What has changed since the last look; undefined: nothing. */
  changes(): unknown;
  close(): void;
}

/** An answer that goes on until its reader, or `signal`, ends it. @param begin called with what tells of changes */
export function streamOf(
  begin: (changed: () => void) => Shown,
  signal: AbortSignal,
  clock: Pick<Clock, "after"> = nodePlatform,
): Response {
  let shown: Shown;
  let cancel = () => {};
  let end = () => {};
  let stalled = 0;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (text: string) => controller.enqueue(encoder.encode(text));
      const look = () => {
        if ((controller.desiredSize ?? 0) <= 0) { // it has not read the last one
          stalled += INTERVAL;
          return stalled < PATIENCE ? plan(INTERVAL) : close();
        }
        stalled = 0;
        const changes = shown.changes();
        send(
          changes === undefined ? ":\n\n" : `event: changes\ndata: ${JSON.stringify(changes)}\n\n`,
        );
        plan(QUIET);
      };
      const plan = (ms: number) => {
        cancel();
        cancel = clock.after(ms, look);
      };
      shown = begin(() => plan(INTERVAL));
      end = () => {
        cancel();
        shown.close();
        signal.removeEventListener("abort", close);
      };
      const close = () => {
        end();
        controller.close();
      };
      signal.addEventListener("abort", close);
      send(`event: all\ndata: ${JSON.stringify(shown.all())}\n\n`);
      plan(QUIET);
    },
    cancel: () => end(),
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  });
}
