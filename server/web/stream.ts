/** A stream of changes to a page, as server-sent events. A slow page gets fewer events, but never stale ones. */

import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";

/** Interval between two events, in ms; of faster changes only the last is seen. */
const INTERVAL = 250;

/** After this many ms of silence a comment is sent, so that both ends notice when the other one is gone. */
export const QUIET = 15_000;

/** A reader that has read nothing for this many ms is disconnected to make room for others. */
export const PATIENCE = 60_000;

const encoder = new TextEncoder();

/** The source of a stream. */
export interface Shown {
  /** Everything, for a new reader. */
  all(): unknown;
  /** What has changed since the last call; undefined: nothing. */
  changes(): unknown;
  close(): void;
}

/**
 * An answer that lasts until its reader or `signal` ends it. @param begin Called with a function that reports changes.
 */
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
        if ((controller.desiredSize ?? 0) <= 0) { // the last event was not read yet
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
