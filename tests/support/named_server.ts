/**
 * A server, a slow resolver, and a client that knows the server by its name: for a network namespace of its own, whose
 * resolver is 127.0.0.1. Prints the client's states until the link is up.
 *
 * @module
 */
import dgram from "node:dgram";
import { Client } from "../../bridge/host/mod.ts";
import { Server } from "../../server/mod.ts";

const TIMEOUT = 400;
const DELAY = 1000;

/** Answers a query for an IPv4 address with 127.0.0.1, and any other with no record. */
function answerTo(question: Uint8Array): Uint8Array {
  let end = 12;
  while (question[end] !== 0) end += question[end]! + 1;
  end += 5; // root, type, class
  const isAddress = question[end - 3] === 1;
  const header = [question[0]!, question[1]!, 0x81, 0x80, 0, 1, 0, isAddress ? 1 : 0, 0, 0, 0, 0];
  const record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];
  return Uint8Array.from([...header, ...question.slice(12, end), ...(isAddress ? record : [])]);
}

const resolver = dgram.createSocket("udp4");
resolver.on("message", (question, { port, address }) => {
  setTimeout(() => resolver.send(answerTo(question), port, address), DELAY);
});
await new Promise<void>((resolve) => resolver.bind(53, "127.0.0.1", resolve));
await using server = await Server.listen({
  hostname: "127.0.0.1",
  port: 0,
  open: true,
  timeout: TIMEOUT,
});
await using client = new Client({
  id: "1",
  host: "server.lan",
  port: server.port,
  timeout: TIMEOUT,
  onState: (up, reason) => console.log(up ? "up" : reason!.code),
});
await client.write("found");
Deno.exit(0);
