/**
 * A process for `server/transport/node_test.ts`: echoes, and prints its port and why it could not accept a connection.
 */
import { nodePlatform } from "../../server/transport/node.ts";

// Deno allocates file handles for signals late, and panics if there are none left.
Deno.addSignalListener("SIGUSR2", () => {});

const { port } = await nodePlatform.listen(
  { hostname: "127.0.0.1", port: 0, backlog: 512 },
  (socket) =>
    socket.start({
      data: (bytes) => void socket.write(bytes.slice()),
      drained() {},
      ended() {},
    }),
  (error) => console.log((error as NodeJS.ErrnoException).code),
);
console.log(port);
