/**
 * Devices that answer: every setting and request with the same value, and every other line with itself. The real host
 * client, in a process of its own. It gets `{"port", "ids"}` on stdin, answers with a line when all are connected, and
 * exits when stdin is closed. When it closes them, it reports the settings that they got.
 *
 * @module
 */
import { TextLineStream } from "@std/streams";
import { Client } from "../../bridge/host/mod.ts";

/** Its orders. */
export type AnswererOrder = { do: "open"; port: number; ids: string[] } | { do: "close" };

/** The settings that devices got. */
export interface Sent {
  messages: number;
  /** Bytes, including the two digits and the newline of each message. */
  bytes: number;
}

let clients: Client[] = [];
let sent: Sent = { messages: 0, bytes: 0 };

/** Answers every message. */
async function answer(client: Client): Promise<void> {
  for await (const line of client) {
    if (line.startsWith("=")) {
      sent.messages++;
      sent.bytes += line.length + 3;
    }
    const reply = /^[=?]/.test(line) ? `:${line.slice(1)}` : line;
    client.write(reply).catch(() => {}); // it was closed
  }
}

async function obey(order: AnswererOrder): Promise<unknown> {
  if (order.do === "close") {
    await Promise.all(clients.map((client) => client.close()));
    const was = sent;
    clients = [];
    sent = { messages: 0, bytes: 0 };
    return was;
  }
  const { port, ids } = order;
  const opened = ids.map((id) => new Client({ id, port }));
  clients.push(...opened);
  for (const client of opened) answer(client).catch(() => {});
  await Promise.all(opened.map((client) => client.ready()));
  return { opened: ids.length };
}

console.log(JSON.stringify({ port: 0 }));
const input = Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  .pipeThrough(new TextLineStream());
for await (const line of input) console.log(JSON.stringify(await obey(JSON.parse(line))));
Deno.exit();
