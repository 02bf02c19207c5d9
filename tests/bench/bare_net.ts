/**
 * The floor: the same as `bare.ts` on Deno's `node:net`, whose sockets cost less memory and processor time
 * when they are many and idle.
 *
 *     deno run -A tests/bench/bare_net.ts [--port N] [--keepalive MS]
 *
 * Prints `{"port": PORT}` and exits when stdin is closed.
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { bareOptions, KEEPALIVE, Lines } from "./bare_lines.ts";
import { Wheel } from "./wheel.ts";

async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

endWithInput();
const { port, keepalive } = bareOptions();
const sockets = keepalive > 0
  ? new Wheel<Socket>(keepalive, (socket) => socket.write(KEEPALIVE))
  : undefined;
const server = createServer({ noDelay: true }, (socket) => {
  const lines = new Lines();
  socket.on("data", (input) => {
    const output = lines.answer(input as Uint8Array);
    if (output.length > 0) socket.write(output);
  });
  socket.on("error", () => {}); // the loader may just hang up
  socket.on("close", () => sockets?.delete(socket));
  sockets?.add(socket);
});
server.listen({ host: "127.0.0.1", port, backlog: 1024 }, () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }));
});
