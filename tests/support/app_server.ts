import { type App, Server } from "../../server/mod.ts";

/** Runs an application on a server, in ms of `timeout`, and says when all that it has started is over. */
export async function serve(app: App, timeout: number) {
  const runs: Promise<unknown>[] = [];
  const server = await Server.listen({
    port: 0,
    hostname: "127.0.0.1",
    timeout,
    open: true,
    app: (device, server) => {
      const run = app(device, server);
      runs.push(run.catch(() => {}));
      return run;
    },
  });
  const stop = async () => {
    await server.close();
    await Promise.all(runs); // those that sleep look round once more
  };
  return { server, port: server.port, [Symbol.asyncDispose]: stop };
}
