/**
 * A process with a client that has a memory, to be killed. For each empty line on stdin it asks for a message, prints
 * "asked" when that is safe, and then the message; any other line it writes, and prints "kept" or the error's code, and
 * the line. With a third argument it writes "ARGUMENT 0", "ARGUMENT 1" and so on by itself, in bursts, without end.
 * Arguments: the port, and the file of the memory.
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
  size: { window: prefix === undefined ? 1 : 64 }, // 1: nothing comes before the current message was acknowledged
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
  // The previous message is processed now, and that is safe once a later write is kept: until then a kill undoes it.
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
      if (!kept) await new Promise((resolve) => setTimeout(resolve, 20)); // the memory is full
    }
  }
}
for await (const line of createInterface({ input: process.stdin })) {
  await (line === "" ? ask() : write(line));
}
await client.close();
