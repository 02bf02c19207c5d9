/** Streams the server's events to programs. */
import type { Device } from "../device.ts";
import type { ServerEvent } from "../observe/events.ts";
import { nodePlatform } from "../transport/node.ts";
import type { Clock } from "../transport/platform.ts";
import type { Watched } from "./fleet.ts";
import { Places } from "./stream_places.ts";
import { type Route, route } from "./routes.ts";
import { PATIENCE, QUIET } from "./stream.ts";

/** Most events that wait for one reader; further ones are dropped and counted. */
const MOST_WAITING = 1000;

const encoder = new TextEncoder();

/** A message from a device, or to it, once it is safe. */
export interface MessageEvent {
  readonly event: "message";
  readonly device: string;
  /** "in": from the device; "out": to it. */
  readonly way: "in" | "out";
  readonly text: string;
}

/**
 * An element of a stream: an event with its time, in ISO 8601; or how many were dropped because the reader was too
 * slow.
 */
export type LogEvent =
  | ((ServerEvent | MessageEvent) & { time: string })
  | { time: string; event: "missed"; count: number };

/** The events that a reader wants. */
interface Wanted {
  device(id: string | undefined): boolean;
  event(name: string): boolean;
  /** Whether to include messages. */
  readonly messages: boolean;
}

/** @param signal ends all streams */
export function logRoutes(server: Watched, signal: AbortSignal): Route[] {
  const places = new Places();
  return [
    route("GET", "/api/log", "look", ({ query, address }) => {
      const wanted = wantedOf(query);
      return places.take(address, (ended) => {
        const body = stream(server, wanted, { signal, ended });
        return new Response(body, {
          headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
        });
      });
    }),
  ];
}

/** The devices and events that a query names; by default all devices, and all events but messages. */
function wantedOf(query: URLSearchParams): Wanted {
  const [ids, names] = [new Set(query.getAll("device")), new Set(query.getAll("event"))];
  return {
    device: (id) => ids.size === 0 || (id !== undefined && ids.has(id)),
    event: (name) => names.size === 0 || names.has(name),
    messages: query.has("messages") || names.has("message"),
  };
}

/** @param ended Called once, at the end of the stream. */
export function stream(
  server: Watched,
  wanted: Wanted,
  { signal, ended, clock = nodePlatform }: {
    signal: AbortSignal;
    ended: () => void;
    clock?: Pick<Clock, "after" | "date">;
  },
): ReadableStream<Uint8Array> {
  const waiting: string[] = [":\n\n"]; // sent at once, so that the reader knows that it began
  let missed = 0;
  let unread = 0; // for how many ms the reader has not read
  let end = () => {};
  /** Set while the reader waits for data. */
  let hungry: (() => void) | undefined;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      let cancel = () => {};
      const beat = () => {
        if (waiting.length === 0) say(":\n\n"); // so that both ends notice when the other one is gone
        else if ((unread += QUIET) >= PATIENCE) return close();
        plan();
      };
      const plan = () => {
        cancel();
        cancel = clock.after(QUIET, beat);
      };
      const say = (text: string) => {
        waiting.push(text);
        hungry?.();
      };
      const tell = (event: ServerEvent | MessageEvent) => {
        if (waiting.length >= MOST_WAITING) return void missed++;
        const time = new Date(clock.date()).toISOString();
        const all: LogEvent[] = [{ time, ...event }];
        if (missed > 0) all.unshift({ time, event: "missed", count: missed });
        missed = 0;
        say(all.map((one) => `data: ${JSON.stringify(one)}\n\n`).join(""));
      };
      const ends = [
        server.events.subscribe((event) => {
          const device = "device" in event ? event.device : undefined;
          if (wanted.event(event.event) && wanted.device(device)) tell(event);
        }),
        ...wanted.messages ? [watchMessages(server, wanted, tell)] : [],
      ];
      const close = () => {
        end();
        controller.close();
        hungry?.();
      };
      end = () => {
        for (const end of ends) end();
        cancel();
        signal.removeEventListener("abort", close);
        ended();
      };
      signal.addEventListener("abort", close);
      plan();
    },
    async pull(controller) {
      unread = 0;
      if (waiting.length === 0) await new Promise<void>((resolve) => hungry = resolve);
      hungry = undefined;
      if (waiting.length > 0) controller.enqueue(encoder.encode(waiting.splice(0).join("")));
    },
    cancel: () => end(),
  }, { highWaterMark: 0 });
}

/** Reports the messages of all wanted devices, including those that the server comes to know later. */
export function watchMessages(
  server: Watched,
  wanted: Wanted,
  tell: (message: MessageEvent) => void,
): () => void {
  const watched = new Map<string, { device: Device; end: () => void }>();
  const watch = (device: Device | undefined) => {
    if (!device || !wanted.device(device.id) || watched.get(device.id)?.device === device) return;
    const end = device.watch((way, text) => {
      if (way !== "done") tell({ event: "message", device: device.id, way, text });
    });
    watched.set(device.id, { device, end });
  };
  server.devices.forEach(watch);
  const unsubscribe = server.events.subscribe((event) => {
    if (!("device" in event) || event.device === undefined) return;
    if (event.event === "forgotten") watched.delete(event.device);
    else watch(server.known(event.device));
  });
  return () => {
    unsubscribe();
    for (const { end } of watched.values()) end();
  };
}
