/**
 * A worker for `server/transport/node_test.ts`: connects a number of times to a port; then, on each request, sends a
 * byte through each connection. The flag says whose turn it is, so that the test can block its event loop meanwhile.
 */
export {};

declare const self: {
  onmessage: (message: MessageEvent<[port: number, count: number, flag: Int32Array]>) => void;
  postMessage(message: string): void;
  close(): void;
};

/** Values of the flag: whose turn it is, or the end. */
const Turn = { tests: 0, senders: 1, end: 2 };

self.onmessage = async ({ data: [port, count, flag] }) => {
  const conns: Deno.Conn[] = [];
  while (conns.length < count) conns.push(await Deno.connect({ hostname: "127.0.0.1", port }));
  self.postMessage("connected");
  for (;;) {
    Atomics.wait(flag, 0, Turn.tests);
    if (Atomics.load(flag, 0) === Turn.end) break;
    await Promise.all(conns.map((conn) => conn.write(new Uint8Array(1))));
    Atomics.store(flag, 0, Turn.tests);
    Atomics.notify(flag, 0);
  }
  for (const conn of conns) conn.close();
  self.close();
};
