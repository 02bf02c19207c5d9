/** Traces that a real server sends to a collector. */
import { assert, assertEquals } from "@std/assert";
import { MAIN } from "../../tests/support/main_process.ts";
import { listeningPort } from "../../tests/support/listening_port.ts";
import { RawPeer } from "../../tests/support/raw.ts";
import { until } from "../../tests/support/wait.ts";

/** The part of the exported traces that matters here. */
interface Traces {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly {
      readonly scope?: { name: string };
      readonly spans: readonly {
        readonly name: string;
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
        readonly attributes: readonly { key: string; value: { stringValue?: string } }[];
      }[];
    }[];
  }[];
}

Deno.test({
  name: "each message of a device has a span from when it is safe until it is processed",
  ignore: Deno.build.os !== "linux", // the port is found in /proc
  fn: traced,
});

async function traced() {
  const bodies: Traces[] = [];
  const collector = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen() {} },
    async (request) => {
      const body = await request.json();
      if (new URL(request.url).pathname === "/v1/traces") bodies.push(body);
      return Response.json({});
    },
  );
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      MAIN,
      "--open",
      "--host",
      "127.0.0.1",
      "--port",
      "0",
      "--app",
      "echo",
      "--log",
      "json",
    ],
    env: {
      OTEL_DENO: "true",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.addr.port}`,
    },
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const port = await until(() => listeningPort(child.pid), { what: "the server's port" });
    await using peer = await RawPeer.dial(port);
    peer.keepAlive(200);
    await peer.say("lamp\n\n");
    await until(() => peer.heard.startsWith("\n"));
    await peer.say("00one\n01two\n");
    await until(() => peer.heard.includes("echo one"));
    await peer.say("00\n"); // the application waits for this ack, and then takes the next message
    await until(() => peer.heard.includes("echo two"));
    await peer.say("01\n");
    const spans = await until(() => {
      const all = bodies.flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans).filter(({ scope }) => scope?.name === "holdfast")
        .flatMap(({ spans }) => spans);
      return all.length === 2 && all;
    }, { what: () => `two spans in ${JSON.stringify(bodies)}` });
    for (const { name, startTimeUnixNano, endTimeUnixNano, attributes } of spans) {
      assertEquals(name, "process message");
      const { stringValue } = attributes.find(({ key }) => key === "messaging.client.id")!.value;
      assertEquals(stringValue, "lamp");
      assert(BigInt(startTimeUnixNano) <= BigInt(endTimeUnixNano));
    }
  } finally {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has already ended.
    }
    await child.status;
    await collector.shutdown();
  }
}
