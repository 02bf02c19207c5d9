/**
 * A bare server that does what none may, so that a test can see whether it is noticed.
 *
 *     deno run -A tests/bench/herd_stub.ts --port N --keepalive MS [--close N] [--mute N] [--garble N]
 *
 * The first devices' connections it closes, to the next ones it says nothing more, and the next ones get an ack of
 * something else, each after they were greeted. All others it treats well.
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import { parseArgs } from "node:util";
import { KEEPALIVE, Lines } from "./bare_lines.ts";
import { Wheel } from "./wheel.ts";

/** How long a connection is treated well in any case, in ms. */
const FIRST_MS = 100;

/** What a device says starts with it. */
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
  let at = -1; // which of those that have sent a hello
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
    // As our server's log says that it gave up somebody, and refused three.
    console.log(JSON.stringify({ event: "disconnected", code: "SILENT" }));
    console.log(JSON.stringify({ event: "refused", code: "NO_HELLO", unsaid: 2 }));
    console.log(JSON.stringify({ event: "disconnected", code: "LOST" }));
  }, FIRST_MS);
});
