/**
 * A terminal as a client: sends each line that is typed, and prints each that comes back.
 *
 *     deno run -A tests/demo/talk.ts --port 8123 [--host 127.0.0.1] [--id talk]
 *
 * Lines typed during an outage arrive when it is over.
 *
 * @module
 */
import { createInterface } from "node:readline";
import process from "node:process";
import { parseArgs } from "node:util";
import { Client } from "../../bridge/host/mod.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8123" },
    host: { type: "string", default: "127.0.0.1" },
    id: { type: "string", default: "talk" },
  },
});

await using client = new Client({
  id: values.id,
  host: values.host,
  port: Number(values.port),
  onState: (up, reason) => console.log(up ? "(connected)" : `(no link: ${reason?.message})`),
});
const listening = (async () => {
  for await (const line of client) console.log(line);
})();

const sent = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "") sent.push(client.write(line));
}
await Promise.all(sent); // each is at the server now
await client.close();
await listening;
