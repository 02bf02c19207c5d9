/** What happens at the server, told to programs as it happens. */
import type { ServerEvent } from "../observe/events.ts";
import type { Watched } from "./fleet.ts";
import { Refusal, type Route, route } from "./routes.ts";

/** Streams at once. */
const MOST_STREAMS = 64;

/** Events that wait for one reader; what comes when there are so many is left out, and counted. */
const MOST_WAITING = 1000;

/** After so many ms without an event a comment is sent: so both ends learn that the other one is gone. */
const QUIET = 15_000;

const encoder = new TextEncoder();

/** What a stream tells: an event with its time, in ISO 8601; or how many were left out, as nobody read them. */
export type LogEvent =
  | (ServerEvent & { time: string })
  | { time: string; event: "missed"; count: number };

/** @param signal ends all streams */
export function logRoutes(server: Watched, signal: AbortSignal): Route[] {
  let streams = 0;
  return [
    route("GET", "/api/log", "look", ({ query }) => {
      if (streams >= MOST_STREAMS) {
        throw new Refusal(503, "TOO_MANY_STREAMS", `${MOST_STREAMS} streams are open already`);
      }
      streams++;
      const wanted = filter(query.getAll("device"), query.getAll("event"));
      return new Response(stream(server, wanted, signal, () => streams--), {
        headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
      });
    }),
  ];
}

/** Any of these devices, and any of these events; where none is said, all. */
function filter(devices: string[], events: string[]): (event: ServerEvent) => boolean {
  const [ids, names] = [new Set(devices), new Set(events)];
  return (event) => {
    if (names.size > 0 && !names.has(event.event)) return false;
    if (ids.size === 0) return true;
    return "device" in event && event.device !== undefined && ids.has(event.device);
  };
}

function stream(
  server: Watched,
  isWanted: (event: ServerEvent) => boolean,
  signal: AbortSignal,
  ended: () => void,
): ReadableStream<Uint8Array> {
  let missed = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let end = () => {};
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const say = (text: string) => {
        controller.enqueue(encoder.encode(text));
        clearTimeout(timer);
        timer = setTimeout(beat, QUIET);
      };
      const tell = (event: LogEvent) => say(`data: ${JSON.stringify(event)}\n\n`);
      const beat = () => say(hasRoom() ? ":\n\n" : "");
      const hasRoom = () => (controller.desiredSize ?? 0) > 0;
      const unsubscribe = server.events.subscribe((event) => {
        if (!isWanted(event)) return;
        if (!hasRoom()) return void missed++;
        const time = new Date().toISOString();
        if (missed > 0) tell({ time, event: "missed", count: missed });
        missed = 0;
        tell({ time, ...event });
      });
      const close = () => {
        end();
        controller.close();
      };
      end = () => {
        unsubscribe();
        clearTimeout(timer);
        signal.removeEventListener("abort", close);
        ended();
      };
      signal.addEventListener("abort", close);
      say(":\n\n"); // now it is known that it began
    },
    cancel: () => end(),
  }, { highWaterMark: MOST_WAITING });
}
