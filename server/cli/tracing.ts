/**
 * Traces for OpenTelemetry, if OTEL_DENO=true: a span for each message from a device, from when it is safe until its
 * application has processed it. Otherwise none of this is loaded. Messages that a device sends together with its first
 * greeting have no span: the device becomes known after them.
 */
import type { Device } from "../device.ts";
import type { Watched } from "../web/fleet.ts";

/** Most messages of one device that are followed at once; more get no span. */
const MOST = 1000;

/** Whether Deno makes traces. */
export function isTraced(): boolean {
  return ["true", "1"].includes(Deno.env.get("OTEL_DENO") ?? "");
}

/** Starts tracing. @param signal Ends it. */
export async function traceMessages(server: Watched, signal: AbortSignal): Promise<void> {
  const { SpanKind, trace } = await import("@opentelemetry/api");
  const tracer = trace.getTracer("holdfast");
  const span = (device: string, { at, size }: Waiting) => {
    tracer.startSpan("process message", {
      kind: SpanKind.CONSUMER,
      startTime: at,
      attributes: {
        "messaging.system": "holdfast",
        "messaging.operation.type": "process",
        "messaging.client.id": device,
        "messaging.message.body.size": size,
      },
    }).end();
  };
  const followed = new Map<Device, () => void>();
  const follow = (device: Device) => {
    if (!followed.has(device)) followed.set(device, watch(device, span));
  };
  server.devices.forEach(follow);
  const unsubscribe = server.events.subscribe((event) => {
    if (event.event === "connected") {
      server.device(event.device).then(follow).catch(() => {}); // the server was closed
    } else if (event.event === "forgotten") {
      for (const [device, end] of followed) {
        if (device.id !== event.device) continue;
        end();
        followed.delete(device);
      }
    }
  });
  signal.addEventListener("abort", () => {
    unsubscribe();
    for (const end of followed.values()) end();
  });
}

/** A message that is not processed. */
interface Waiting {
  /** When it became safe, in ms since 1970. */
  readonly at: number;
  /** In characters. */
  readonly size: number;
}

function watch(device: Device, span: (device: string, waiting: Waiting) => void): () => void {
  const waiting: (Waiting | undefined)[] = [];
  let followed = 0;
  return device.watch((way, text) => {
    if (way === "in") {
      // Messages that are not followed need a place too; the inbox bounds their number.
      waiting.push(followed < MOST ? { at: Date.now(), size: text.length } : undefined);
      if (waiting.at(-1)) followed++;
    } else if (way === "done") {
      const done = waiting.shift();
      if (!done) return;
      followed--;
      span(device.id, done);
    }
  });
}
