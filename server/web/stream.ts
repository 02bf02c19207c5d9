/** The one stream of changes to a page: server-sent events. A page that reads slowly gets fewer of them, and no older ones. */

/** Between two events, in ms: a device that changes faster is seen as it is then. */
const INTERVAL = 250;

/** After so many ms without anything a comment is sent: so both ends learn that the other one is gone. */
const QUIET = 15_000;

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
export function streamOf(begin: (changed: () => void) => Shown, signal: AbortSignal): Response {
  let shown: Shown;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let end = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (text: string) => controller.enqueue(encoder.encode(text));
      const look = () => {
        if ((controller.desiredSize ?? 0) <= 0) return plan(INTERVAL); // it has not read the last one
        const changes = shown.changes();
        send(
          changes === undefined ? ":\n\n" : `event: changes\ndata: ${JSON.stringify(changes)}\n\n`,
        );
        plan(QUIET);
      };
      const plan = (ms: number) => {
        clearTimeout(timer);
        timer = setTimeout(look, ms);
      };
      shown = begin(() => plan(INTERVAL));
      end = () => {
        clearTimeout(timer);
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
