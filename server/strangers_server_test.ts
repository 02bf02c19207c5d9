/** Strangers who try to use up an open server, next to devices with a key; over real sockets. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { dial, greet, KEY } from "../tests/support/callers.ts";
import type { RawPeer } from "../tests/support/raw.ts";
import { Scene } from "../tests/support/scene.ts";
import { until } from "../tests/support/wait.ts";
import { LocalError, type ServerOptions } from "./mod.ts";

const crowded: ServerOptions = {
  keys: [["1", KEY], ["2", KEY]],
  limits: { connections: 16, devices: 20, totalText: 20_000 },
};

/** Connects under a name in dialect 1, and stays if it is admitted. */
async function stranger(scene: Scene, name: string): Promise<RawPeer> {
  const peer = await scene.dial();
  await peer.sayIfHeard(`${name}\n\n`);
  return peer;
}

Deno.test("strangers who hold all the connections they can get keep out no device with a key", async () => {
  await using scene = await Scene.start(crowded);
  const strangers: RawPeer[] = [];
  for (let n = 0; n < 60; n++) strangers.push(await stranger(scene, `stranger ${n}`));
  const [client] = dial(scene.server, { key: KEY });
  await using _ = client;
  await client.write("I am here");
  const device = await scene.server.device("1");
  assertEquals(await device.readline(), "I am here");
  const other = await greet(scene, { id: "2", key: KEY }); // although strangers hold all they can get
  await other.say("00I, too\n");
  assertEquals(await (await scene.server.device("2")).readline(), "I, too");
  const staying = () => strangers.filter(({ ended }) => ended === undefined);
  await until(() => staying().length === 7, { what: () => `seven, not ${staying().length}` });
  assert(scene.codes("refused").includes("TOO_MANY_CONNECTIONS"));
});

Deno.test("full queues of strangers leave devices with a key their room, and the total is bounded", async () => {
  await using scene = await Scene.start(crowded);
  const keyed = await greet(scene, { id: "1", key: KEY, line: 4000, bytes: 8000 });
  const [open, peer] = await scene.device("stranger");
  const device = await scene.server.device("1");
  const text = "x".repeat(1900);
  const fill = async (to: typeof device): Promise<number> => {
    for (let n = 0;; n++) {
      const written = to.write(text);
      written.catch(() => {}); // CLOSED, in the end
      const code = await Promise.race([
        written.then(() => "", (error: LocalError) => error.code),
        new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined))),
      ]);
      if (code !== undefined) return assertEquals(code, "OUTBOX_FULL"), n;
    }
  };
  assertEquals([await fill(open), await fill(device)], [5, 5]);
  const { message } = await assertRejects(() => device.write(text), LocalError);
  assert(message.includes("at most 20000 are allowed (limit totalText"), message);
  // One message is taken in each queue that has none; the next waits until others have made room.
  await peer.say("00a\n01b\n02c\n");
  await keyed.say("00d\n01e\n");
  await until(() => open.inbox === 1 && device.inbox === 1);
  assertEquals(await device.readline(), "d");
  const next = device.readline(); // d is done
  assertEquals(await next, "e");
  await open.clear();
  await device.clear();
  for (let n = 0; n < 3; n++) device.write("there is room").catch(() => {}); // CLOSED, in the end
  await until(() => device.outbox === 3);
});
