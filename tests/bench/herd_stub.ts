/**
 * A bare server that misbehaves, so that a test can check that this is noticed.
 *
 *     deno run -A tests/bench/herd_stub.ts --port N --keepalive MS [--close N] [--mute N] [--garble N]
 *
 * After their greeting, it closes the connections of the first devices, sends nothing more to the next ones, and a
 * wrong ack to the next. It serves all others correctly.
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { KEEPALIVE, Lines } from "./bare_lines.ts";
import { Wheel } from "./wheel.ts";

/** How long every connection is served correctly, in ms. */
const FIRST_MS = 100;

/** First byte of a hello. */
const HELLO = 1;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    port: { type: "string", default: "0" },
    keepalive: { type: "string", default: "500" },
    close: { type: "string", default: "0" },
    mute: { type: "string", default: "0" },
    garble: { type: "string", default: "0" },
  },
});
const { port, keepalive, close, mute, garble } = Object.fromEntries(
  Object.entries(values).map(([name, value]) => [name, Number(value)]),
) as Record<keyof typeof values, number>;

async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

endWithInput();
const wheel = new Wheel<Socket>(keepalive, (socket) => socket.write(KEEPALIVE));
let count = 0;
const server = createServer({ noDelay: true }, (socket) => {
  const lines = new Lines();
  let at = -1; // number of the current device
  let muted = false;
  socket.on("data", (input) => {
    const output = lines.answer(input as Uint8Array);
    if (!muted && output.length > 0) socket.write(output);
    if (at >= 0 || (input as Uint8Array)[0] !== HELLO) return;
    at = count++;
    wheel.add(socket);
    setTimeout(() => {
      if (at < close) socket.destroy();
      else if (at < close + mute) {
        muted = true;
        wheel.delete(socket);
      } else if (at < close + mute + garble) socket.write("7f\n");
    }, FIRST_MS);
  });
  socket.on("error", () => {});
  socket.on("close", () => wheel.delete(socket));
});
server.listen({ host: "127.0.0.1", port, backlog: 4096 }, () => {
  console.log(JSON.stringify({ port }));
  setTimeout(() => {
    // Imitates our server's log entries about a device that was given up, and three that were refused.
    console.log(JSON.stringify({ event: "disconnected", code: "SILENT" }));
    console.log(JSON.stringify({ event: "refused", code: "NO_HELLO", unsaid: 2 }));
    console.log(JSON.stringify({ event: "disconnected", code: "LOST" }));
  }, FIRST_MS);
});
