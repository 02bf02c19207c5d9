/**
 * A worker with a server of dialect 1 that acknowledges everything and sends a keepalive every 20 ms, whatever the
 * test's thread does. Reports its port.
 */
declare const self: { postMessage(port: number): void };

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
self.postMessage(listener.addr.port);
for await (const conn of listener) void serve(conn);

async function serve(conn: Deno.TcpConn): Promise<void> {
  const writer = conn.writable.getWriter();
  const say = (text: string) => writer.write(new TextEncoder().encode(text)).catch(() => {});
  const keepalive = setInterval(() => say("\n"), 20);
  let rest = "";
  try {
    for await (const text of conn.readable.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (/^[0-9a-f]{2}./.test(line)) void say(`${line.slice(0, 2)}\n`);
    }
  } catch {
    // The client was closed.
  } finally {
    clearInterval(keepalive);
  }
}
