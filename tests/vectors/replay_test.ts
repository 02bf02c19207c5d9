/** Replays the vectors of this folder on the core that is flashed and on the server. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { coreModule } from "../../bridge/host/core.ts";
import { Server } from "../../server/mod.ts";
import { type HelloStep, replayClient, replayServer, type Step, type Vector } from "./replay.ts";

const FOLDER = new URL("./", import.meta.url);

const vectors: [file: string, vector: Vector][] = [...Deno.readDirSync(FOLDER)]
  .map(({ name }) => name)
  .filter((name) => name.endsWith(".json"))
  .sort()
  .map((name) => [name, JSON.parse(Deno.readTextFileSync(new URL(name, FOLDER)))]);

for (const [file, { name, client, server, hellos }] of vectors) {
  if (client) Deno.test(`${file}, client: ${name}`, () => replayClient(client, coreModule()));
  if (server) Deno.test(`${file}, server: ${name}`, () => replayServer(server));
  if (hellos) Deno.test(`${file}, listener: ${name}`, () => replayHellos(hellos));
}

Deno.test("every vector has a view to replay and a description", () => {
  assert(vectors.length > 0);
  for (const [file, { name, about, client, server, hellos }] of vectors) {
    assert(name && about && (client || server || hellos), file);
  }
});

Deno.test("a replay notices missing, wrong and surplus output", () => {
  const hears: Step[] = [[0, "hello"], [10, "in", "00hi\n"]];
  const message: Step = [10, "message", "hi"];
  const ack: Step = [10, "out", "00\n"];
  replayServer({ steps: [...hears, message, ack] });
  const wrong: [why: string, steps: Step[]][] = [
    ["messages: ", [...hears, ack]],
    ["bytes sent: ", [...hears, message]],
    ["messages: ", [...hears, [10, "message", "ho"], ack]],
    ["messages: ", [...hears, message, message, ack]],
    ["bytes sent: ", [...hears, message, [10, "out", "01\n"]]],
    ["bytes sent: ", [...hears, message, ack, ack]],
    ["bytes sent: ", [...hears, message, [11, "out", "00\n"]]],
    ["events: ", [...hears, message, ack, [10, "close", "SILENT"]]],
    ["events: ", [...hears, message, ack, [5000, "quiet"]]],
    ["messages done: ", [...hears, message, ack, [10, "done", 1]]],
    ["was accepted", [...hears, message, ack, [10, "refused", "text"]]],
    ["was refused", [...hears, message, ack, [10, "write", ""]]],
    ["no step", [...hears, message, ack, [10, "unheard of"]]],
    ["time goes back", [...hears, message, ack, [9, "quiet"]]],
  ];
  for (const [why, steps] of wrong) {
    const error = assertThrows(() => replayServer({ steps }), Error);
    assert(new RegExp(why).test(error.message), error.message);
  }
});

/** Opens the connections one after the other, and keeps them all open. */
async function replayHellos(hellos: HelloStep[]): Promise<void> {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  const connections: Deno.TcpConn[] = [];
  try {
    for (const { segments, outcome, answer = "" } of hellos) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
      connections.push(conn);
      conn.setNoDelay(true);
      for (const segment of segments) await writeAll(conn, Uint8Array.fromHex(segment));
      if (outcome === "welcome") assert(await read(conn) !== null);
      if (outcome === "refuse") assertEquals(await readAll(conn), answer);
    }
  } finally {
    for (const conn of connections) conn.close();
  }
}

async function read(conn: Deno.TcpConn): Promise<Uint8Array | null> {
  const buffer = new Uint8Array(64);
  const n = await conn.read(buffer).catch((error) => {
    // Closed with bytes unread, a socket is reset.
    if (error instanceof Deno.errors.ConnectionReset) return null;
    throw error;
  });
  return n === null ? null : buffer.subarray(0, n);
}

/** Reads until the other end closes, and returns hex. */
async function readAll(conn: Deno.TcpConn): Promise<string> {
  let hex = "";
  for (let bytes = await read(conn); bytes; bytes = await read(conn)) hex += bytes.toHex();
  return hex;
}

async function writeAll(conn: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await conn.write(bytes));
}
