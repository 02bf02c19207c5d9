/** The stream of events: what it sends, and what happens if its reader does not read. */
import { assertEquals } from "@std/assert";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { type LogEvent, stream } from "./log_routes.ts";

/** A server, and a reader of its stream of events. */
async function begin(...query: [string, string][]) {
  const scene = await ManualServer.start();
  const stop = new AbortController();
  let ends = 0;
  const names = query.filter(([name]) => name === "event").map(([, value]) => value);
  const ids = query.filter(([name]) => name === "device").map(([, value]) => value);
  const reader = stream(scene.server, {
    device: (id) => ids.length === 0 || (id !== undefined && ids.includes(id)),
    event: (name) => names.length === 0 || names.includes(name),
    messages: query.some(([name]) => name === "messages"),
  }, { signal: stop.signal, ended: () => void ends++, clock: scene.platform }).getReader();
  const next = async (): Promise<LogEvent[] | undefined> => {
    const { value } = await reader.read();
    if (value === undefined) return undefined;
    return new TextDecoder().decode(value).split("\n").filter((line) => line.startsWith("data: "))
      .map((line) => JSON.parse(line.slice("data: ".length)));
  };
  const messages = async () => {
    const all = await next();
    return all!.map((it) =>
      it.event === "message" ? `${it.device} ${it.way} ${it.text}` : it.event
    );
  };
  return {
    ...{ scene, stop, reader, next, messages, ends: () => ends },
    async [Symbol.asyncDispose]() {
      await reader.cancel();
      assertEquals(ends, 1);
      await scene[Symbol.asyncDispose]();
    },
  };
}

Deno.test("messages are streamed as soon as they are safe, also those of devices that connect later", async () => {
  await using place = await begin(["messages", ""], ["event", "warning"]);
  const { scene, messages } = place;
  const socket = await scene.knock("a\n\n");
  await scene.says(socket, "00one\n");
  assertEquals(await messages(), ["a in one"]);
  const device = await scene.server.device("a");
  device.write("two").catch(() => {}); // rejects when the device is forgotten
  await scene.platform.turn();
  assertEquals(await messages(), ["a out two"]);
  await scene.forgets("a");
  const again = await scene.knock("a\n\n");
  await scene.says(again, "00new\n");
  assertEquals((await messages()).at(-1), "a in new", "it is another device now");
});

Deno.test("the log of one device does not contain another device's messages", async () => {
  await using place = await begin(["messages", ""], ["device", "b"], ["event", "warning"]);
  const { scene, messages } = place;
  await scene.says(await scene.knock("a\n\n"), "00not this\n");
  await scene.says(await scene.knock("b\n\n"), "00this\n");
  assertEquals(await messages(), ["b in this"]);
});

Deno.test("messages are streamed only if asked for", async () => {
  await using place = await begin();
  const { scene, messages } = place;
  await scene.says(await scene.knock("a\n\n"), "00one\n");
  assertEquals((await messages()).includes("a in one"), false);
});

Deno.test("a reader that reads nothing for a minute is disconnected, and one that reads is not", async () => {
  await using place = await begin(["event", "keys"]);
  const { scene, next, ends } = place;
  const emit = () => scene.server.events.emit({ event: "keys", message: "" });
  for (let minutes = 0; minutes < 5; minutes++) {
    emit();
    assertEquals((await next())!.length, 1);
    await scene.platform.advance(60_000);
  }
  await next();
  emit();
  await scene.platform.advance(45_000);
  assertEquals(ends(), 0);
  emit();
  await scene.platform.advance(30_000);
  assertEquals([ends(), await next()], [1, undefined]);
});

Deno.test("while nothing happens, the stream sends comments, and it ends with the server", async () => {
  await using place = await begin(["event", "keys"]);
  const { scene, reader, stop } = place;
  assertEquals(new TextDecoder().decode((await reader.read()).value), ":\n\n");
  const waits = reader.read();
  await scene.platform.advance(15_000);
  assertEquals(new TextDecoder().decode((await waits).value), ":\n\n");
  const last = reader.read();
  stop.abort();
  assertEquals((await last).done, true);
});
