/** The device's time in its hellos, by which a server knows when a reading was taken. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { Server } from "../../server/mod.ts";
import { FaultProxy } from "../../tests/support/proxy.ts";
import { until } from "../../tests/support/wait.ts";
import { chipSize, leastInbox, pcSize } from "./core_size.ts";
import { coreOptions } from "./options.ts";
import { Client } from "./mod.ts";

const clock = () => 5;

Deno.test("the time follows what a device says about itself, where there is room for it", () => {
  const said = (metadata: string | undefined, size = pcSize, dialect: 1 | 2 = 2) =>
    coreOptions({ id: "1", dialect, ...(metadata === undefined ? {} : { metadata }) }, size, clock)
      .metadata;
  assertEquals(said(undefined), "ms=0000000000");
  assertEquals(said(""), "ms=0000000000");
  assertEquals(said("room=kitchen"), "room=kitchen ms=0000000000");
  assertEquals(said(`a=${"x".repeat(112)}`), `a=${"x".repeat(112)} ms=0000000000`); // 128 bytes
  assertEquals(said(`a=${"x".repeat(113)}`), `a=${"x".repeat(113)}`);
  assertEquals(said(`a=${"é".repeat(56)}`), `a=${"é".repeat(56)} ms=0000000000`);
  assertEquals(said(`a=${"é".repeat(57)}`), `a=${"é".repeat(57)}`);
  assertEquals(said(undefined, pcSize, 1), "");
  assertEquals(coreOptions({ id: "1" }, pcSize).metadata, "");
});

Deno.test("the time is left out where the inbox is too small for it", () => {
  const id = "x".repeat(64); // so long that the hello, and the welcome behind it, need the most room
  const without = { ...coreOptions({ id, metadata: "a=1" }, chipSize), line: 121 };
  for (const [more, metadata] of [[0, "a=1"], [13, "a=1"], [14, "a=1 ms=0000000000"]] as const) {
    const size = { ...chipSize, line: 121, inbox: leastInbox(without) + more };
    assertEquals(coreOptions({ id, metadata: "a=1" }, size, clock).metadata, metadata);
  }
});

Deno.test("each hello has the current time: the low 32 bits of the date in ms", async () => {
  await using server = await Server.listen({ port: 0, hostname: "127.0.0.1", open: true });
  await using cable = await FaultProxy.start({ target: { port: server.port } });
  const now = () => Date.now() % 2 ** 32;
  const began = now();
  await using client = new Client({ id: "1", port: cable.port, metadata: "room=kitchen" });
  await client.ready();
  const device = await server.device("1");
  const ms = () => {
    assertMatch(device.metadata, /^room=kitchen ms=\d{10}$/);
    return Number(device.metadata.slice(-10));
  };
  const first = ms();
  assert(began <= first && first <= now(), `${began} ${first}`);
  await until(() => now() > first, { what: "the clock to go on" });
  cable.reset();
  await until(() => client.connects > 1 && ms() > first, { what: "the next hello" });
  assert(ms() <= now());
});
