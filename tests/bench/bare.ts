/**
 * The ceiling: the rate of Deno's sockets with hardly any work between them. Answers the first
 * line of a connection with a keepalive and every message with its ack: three bytes a line. No
 * duplicates, no inbox, no application, no timeouts, no limits.
 *
 *     deno run -A tests/bench/bare.ts [--port N] [--keepalive MS]
 *
 * Prints `{"port": PORT}` and exits when stdin is closed.
 *
 * @module
 */
import { bareOptions, KEEPALIVE } from "./bare_lines.ts";
import { Wheel } from "./wheel.ts";

/** Size of the read buffer in bytes, as in the server. */
const READ_BYTES = 4096;

async function serve(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay(true);
  const input = new Uint8Array(READ_BYTES);
  const output = new Uint8Array(READ_BYTES * 2);
  let greeted = false;
  let column = 0; // in the current line
  let length = 0; // length of the output
  for (;;) {
    const n = await conn.read(input);
    if (n === null) return;
    for (let i = 0; i < n; i++) {
      const byte = input[i]!;
      if (byte !== 10) {
        if (column < 2 && greeted) output[length + column] = byte;
        column++;
        continue;
      }
      if (!greeted || column > 0) {
        length += greeted ? 3 : 1;
        output[length - 1] = 10;
        greeted = true;
      }
      column = 0;
    }
    for (let at = 0; at < length;) at += await conn.write(output.subarray(at, length));
    output.copyWithin(0, length, length + 2); // the digits of an incomplete line
    length = 0;
  }
}

async function endWithInput(): Promise<void> {
  for await (const _ of Deno.stdin.readable);
  Deno.exit();
}

endWithInput();
const { port, keepalive } = bareOptions();
const idle = keepalive > 0
  ? new Wheel<Deno.TcpConn>(keepalive, (conn) => conn.write(KEEPALIVE).catch(() => {}))
  : undefined;
const listener = Deno.listen({ hostname: "127.0.0.1", port, tcpBacklog: 4096 });
console.log(JSON.stringify({ port: listener.addr.port }));
for (;;) {
  const conn = await listener.accept().catch(() => {}); // it was reset before it was accepted
  if (!conn) continue;
  idle?.add(conn);
  serve(conn).catch(() => {}).finally(() => { // the loader may just hang up
    idle?.delete(conn);
    conn.close();
  });
}
