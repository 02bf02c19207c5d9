/** Support for tests of the demonstrations, on a PC and on a chip. */
import { Sequence } from "../../server/apps/sequence.ts";
import { type App, Server } from "../../server/mod.ts";

/** Runs an application on a server with this `timeout` in ms. Its disposal waits until all runs have ended. */
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
    await Promise.all(runs); // one that sleeps ends when it wakes
  };
  return { server, port: server.port, [Symbol.asyncDispose]: stop };
}

/** The n-th numbers of the JSON arrays at the ends of lines. */
export function column(lines: string[], n: number): number[] {
  return lines.filter((line) => line.endsWith("]")).map((line) =>
    JSON.parse(line.slice(line.indexOf("[")))[n]
  );
}

/** What is wrong with a sequence of numbers; `NONE` if nothing. */
export function faults(numbers: number[]): string {
  const sequence = new Sequence();
  for (const number of numbers) sequence.check(number);
  return `${sequence}`;
}

export const NONE = "missing 0, duplicates 0, out of order 0, restarts 0";
