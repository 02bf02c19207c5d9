// Under Node: a server that answers each line, and prints its port.
import process from "node:process";
import { channels, LocalError, Server } from "@holdfast/holdfast";

const [store] = process.argv.slice(2);
try {
  const server = await Server.listen({
    port: 0,
    open: true,
    ...(store !== undefined && { store }),
    app: channels({}, {
      line(text: string, { thing, tx }) {
        tx.write(thing.id, `answer to ${text}`);
      },
    }),
  });
  console.log(JSON.stringify({ port: server.port }));
} catch (error) {
  if (!(error instanceof LocalError)) throw error;
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
