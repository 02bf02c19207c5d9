// Under Node: both ends in a simulated world with faults. Two runs with one seed are the same.
import { Server } from "@holdfast/holdfast";
import { Client } from "@holdfast/holdfast/client";
import { simulate } from "@holdfast/holdfast/testing";

async function play(): Promise<{ lines: string[]; trace: string[] }> {
  const [lines, trace]: [string[], string[]] = [[], []];
  await simulate({ seed: 7, log: (line) => trace.push(line) }, async (world) => {
    const server = world.machine("server", ({ platform }) =>
      Server.listen({
        open: true,
        app: async (device) => {
          for await (const line of device) lines.push(line);
        },
      }, platform));
    const device = world.machine(
      "kitchen",
      ({ platform }) => new Client({ id: "kitchen", host: "server" }, platform),
    );
    await server.start();
    const client = await device.start();
    for (let n = 0; n < 10; n++) {
      device.disturb("black hole both ways", 5000);
      await client.write(`line ${n}`);
    }
    await world.trouble(60_000);
    await client.ready();
  });
  return { lines, trace };
}

const [first, second] = [await play(), await play()];
const isSame = JSON.stringify(first) === JSON.stringify(second);
console.log(JSON.stringify({ lines: first.lines, isSame, steps: first.trace.length > 20 }));
