/**
 * A process with a client that has a memory, to be killed. For each line on stdin that is empty it asks for a message,
 * says "asked" when that is safe, and then what it got; any other line it writes, and says "kept" or the error's code,
 * and the line. With a third argument it writes by itself, in bursts, "ARGUMENT 0", "ARGUMENT 1" and so on without
 * end. Arguments: the port, and the file of the memory.
 */
import { createInterface } from "node:readline";
import { Client, LocalError } from "../../bridge/host/mod.ts";

const BURST = 8;

const [port, memory, prefix] = Deno.args;
const client = new Client({
  id: "1",
  port: Number(port),
  timeout: 500,
  memory: memory!,
  size: { window: prefix === undefined ? 1 : 64 }, // 1: nothing comes before what is here was acknowledged
});

/** @returns whether it was kept */
async function write(text: string): Promise<boolean> {
  try {
    await client.write(text, { until: "kept" });
    console.log(`kept ${text}`);
    return true;
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    console.log(`${error.code} ${text}`);
    return false;
  }
}

async function ask(): Promise<void> {
  const line = client.readline();
  // The message before is done with now, and safe when something that was kept later is: till then a kill undoes it.
  await client.write("asked", { until: "kept" });
  console.log("asked");
  try {
    console.log(`got ${await line}`);
  } catch (error) {
    if (!(error instanceof LocalError)) throw error;
    console.log(error.code);
  }
}

if (prefix !== undefined) {
  for (let n = 0;; n += BURST) {
    const texts = Array.from({ length: BURST }, (_, i) => `${prefix} ${n + i}`);
    for (let kept = false; !kept;) {
      const before = await Promise.all(texts.map(write));
      kept = before[0]!;
      if (!kept) await new Promise((resolve) => setTimeout(resolve, 20)); // it is full
    }
  }
}
for await (const line of createInterface({ input: process.stdin })) {
  await (line === "" ? ask() : write(line));
}
await client.close();
