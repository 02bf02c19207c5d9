/** Applications that fail: when they start again, with which messages, and what their old calls get. */
import { assertEquals, assertRejects } from "@std/assert";
import type { ManualSocket } from "../../tests/support/manual_platform.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import { type App, LocalError, type ServerOptions } from "../mod.ts";

/** A server whose clock the test controls, and a connected device. */
async function meet(app: App, options: ServerOptions = {}) {
  const scene = await ManualServer.start({ app, ...options });
  const socket = await scene.knock("1\n\n");
  await scene.platform.advance(1);
  return { scene, socket, device: await scene.server.device("1") };
}

/** Lets time pass in which the device keeps its link alive. */
async function pass(scene: ManualServer, socket: ManualSocket, ms: number): Promise<void> {
  for (; ms > 0; ms -= 500) {
    await scene.says(socket, "\n");
    await scene.platform.advance(Math.min(ms, 500));
  }
}

Deno.test("an application that fails restarts after 1 s, then after twice as long each time, up to 60 s", async () => {
  let begun = 0;
  const { scene, socket, device } = await meet(() => {
    begun++;
    throw new Error("no");
  });
  await using _ = scene;
  let expected = 1;
  for (const pause of [1, 2, 4, 8, 16, 32, 60, 60]) {
    assertEquals([begun, device.app], [expected, "failed"]);
    await pass(scene, socket, pause * 1000 - 50);
    assertEquals(begun, expected);
    await pass(scene, socket, 50);
    assertEquals(begun, ++expected);
  }
});

Deno.test("an application that fails after it has processed a message restarts after 1 s", async () => {
  let begun = 0;
  const { scene, socket, device } = await meet(async (device) => {
    begun++;
    for await (const line of device) {
      if (line === "bad" && begun < 3) throw new Error(line);
      else if (line === "worse") throw new Error(line);
    }
  });
  await using _ = scene;
  await scene.says(socket, "00bad\n");
  await pass(scene, socket, 3500); // it has failed at once, and 1 s and 3 s later
  assertEquals([begun, device.inbox], [3, 0]);
  await scene.says(socket, "01worse\n"); // it has failed, and has processed something before
  await pass(scene, socket, 1500);
  assertEquals([begun, device.inbox], [4, 1]);
});

Deno.test("an application that fails after it has run for a minute restarts after 1 s", async () => {
  let begun = 0;
  let fail = () => {};
  const { scene, socket, device } = await meet(() => {
    if (++begun < 3) throw new Error("at once");
    return new Promise((_, reject) => fail = () => reject(new Error("late")));
  });
  await using _ = scene;
  await pass(scene, socket, 3500);
  assertEquals([begun, device.app], [3, "running"]);
  await pass(scene, socket, 60_000);
  fail();
  await pass(scene, socket, 1500);
  assertEquals(begun, 4);
  fail();
  await pass(scene, socket, 1500);
  assertEquals(begun, 4, "it has run for half a second only");
});

Deno.test("a failed application is reported with the place where it failed", async () => {
  const messages: string[] = [];
  const { scene, socket } = await meet(() => {
    throw new Error("no");
  });
  await using _ = scene;
  scene.server.events.subscribe((it) => it.event === "app_failed" && messages.push(it.message));
  await pass(scene, socket, 1500);
  assertEquals(messages.map((it) => /^Error: no\n +at .*application_test/.test(it)), [true]);
});

Deno.test("an application that returns because the server is closed is not reported as ended", async () => {
  const { scene } = await meet(async (device) => {
    for await (const line of device) void line;
  });
  await scene.server.close();
  await scene.platform.turn();
  assertEquals(scene.log.filter((entry) => entry.startsWith("app_")), ["app_started 1"]);
});

Deno.test("an application does not restart while the store fails, and restarts soon after the store works again", async () => {
  const store = new SlowStore();
  let begun = 0;
  const app: App = async (device) => {
    begun++;
    await device.write("text");
    throw new Error("the device has it");
  };
  const { scene, socket } = await meet(app, { store });
  await using _ = scene;
  const commit = store.commit.bind(store);
  store.commit = () => Promise.reject(new LocalError("STORE_FAILED", "no room"));
  await scene.says(socket, "00\n");
  await pass(scene, socket, 5000);
  assertEquals(begun, 1);
  store.commit = commit;
  await pass(scene, socket, 500);
  assertEquals(begun, 2);
});

Deno.test("what an application writes when it restarts is sent only when it is safe", async () => {
  const store = new SlowStore();
  let begun = 0;
  const app: App = async (device) => {
    if (device.id === "2") return;
    if (begun++ === 0) throw new Error("no");
    await device.write("text");
  };
  const { scene, socket } = await meet(app, { store });
  await using _ = scene;
  const other = await scene.knock("2\n\n");
  socket.takesNothing();
  await pass(scene, socket, 600); // a keepalive is on its way
  const commit = store.commit.bind(store);
  let release = store.hold();
  await scene.says(other, "00a\n");
  await scene.platform.advance(500); // it is due, and a commit is under way
  socket.takesAgain();
  const end = release;
  store.commit = (batch) => {
    store.commit = commit;
    release = store.hold();
    return commit(batch);
  };
  end();
  await scene.platform.turn();
  assertEquals([begun, socket.written.includes("text")], [2, false]);
  release();
  await scene.platform.turn();
  assertEquals(socket.written.includes("text"), true);
});

Deno.test("a message whose commit is still being tried goes to no other reader when its application fails", async () => {
  const store = new SlowStore();
  const fails = Promise.withResolvers<never>();
  const app: App = async (device) => {
    device.consume(() => void (store.works = false)).catch(() => {});
    await fails.promise;
  };
  const { scene, socket, device } = await meet(app, { store });
  await using _ = scene;
  const read = device.readline();
  await scene.says(socket, "00a\n01b\n");
  assertEquals(scene.log.at(-1), "store STORE_FAILED");
  fails.reject(new Error("beside it"));
  await scene.platform.turn();
  assertEquals(device.app, "failed");
  store.works = true;
  await scene.platform.advance(500);
  assertEquals([await read, device.counts.processed], ["b", 1]);
});

Deno.test("a message that consume was processing is delivered again after its application has failed", async () => {
  const fails = Promise.withResolvers<never>();
  const seen: string[] = [];
  let begun = 0;
  const { scene, socket } = await meet(async (device) => {
    if (begun++ === 0) {
      device.consume(() => new Promise(() => {})).catch(() => {});
      await fails.promise;
    }
    for (;;) await device.consume((line) => void seen.push(line));
  });
  await using _ = scene;
  await scene.says(socket, "00a\n01b\n");
  fails.reject(new Error("beside it"));
  await pass(scene, socket, 1500);
  assertEquals(seen, ["a", "b"]);
});

Deno.test("every call that an application makes after it has failed rejects with CLOSED", async () => {
  const codes: string[] = [];
  const later = Promise.withResolvers<void>();
  let begun = 0;
  const app: App = async (device, server) => {
    if (begun++ > 0) return;
    const left = async () => {
      await later.promise;
      const calls = [
        () => device.readline(),
        () => device.consume(() => {}),
        () => device.write("x"),
        () => device.write("x", { qos: false }),
        () => device.ready(),
        () => server.transaction(() => {}),
        () => server.device("2"),
      ];
      for (const call of calls) codes.push((await assertRejects(call, LocalError)).code);
    };
    void left();
    await Promise.resolve();
    throw new Error("no");
  };
  const { scene, socket } = await meet(app);
  await using _ = scene;
  later.resolve();
  await pass(scene, socket, 2000);
  assertEquals(codes, Array(7).fill("CLOSED"));
  assertEquals(scene.log.filter((entry) => entry.startsWith("app_")), [
    "app_started 1",
    "app_failed 1",
    "app_started 1",
    "app_ended 1",
  ]);
});

Deno.test("when an application fails its own readers reject, and other readers keep waiting", async () => {
  const fails = Promise.withResolvers<never>();
  let told = "";
  let begun = 0;
  const { scene, socket, device } = await meet(async (device) => {
    if (begun++ > 0) return;
    device.readline().catch((error) => told = error.code);
    await fails.promise;
  });
  await using _ = scene;
  const first = device.readline(); // after the application's own
  fails.reject(new Error("beside it"));
  await scene.platform.turn();
  assertEquals(told, "CLOSED");
  await scene.says(socket, "00a\n01b\n");
  assertEquals(await first, "a");
});

Deno.test("a message that another reader is processing is not delivered again when an application fails", async () => {
  const fails = Promise.withResolvers<never>();
  let begun = 0;
  const { scene, socket, device } = await meet(async (device) => {
    if (begun++ > 0) return;
    await device.readline();
    await fails.promise;
  });
  await using _ = scene;
  await scene.says(socket, "00a\n01b\n02c\n");
  const b = device.readline(); // a is processed
  await scene.platform.turn();
  assertEquals(await b, "b");
  fails.reject(new Error("too late"));
  await scene.platform.turn();
  const c = device.readline();
  await scene.platform.turn();
  assertEquals(await c, "c");
});

Deno.test("a message with which consume fails is offered again at once, then after 10 ms, 100 ms and 1 s", async () => {
  let tries = 0;
  const { scene, socket } = await meet(async (device) => {
    for (;;) {
      try {
        await device.consume(() => {
          tries++;
          throw new Error("no");
        });
      } catch { /* again */ }
      if (tries > 100) return;
    }
  });
  await using _ = scene;
  await scene.says(socket, "00a\n");
  assertEquals(tries, 2);
  for (const [ms, expected] of [[9, 2], [2, 3], [90, 3], [11, 4], [480, 4], [480, 4], [50, 5]]) {
    await scene.says(socket, "\n");
    await scene.platform.advance(ms!);
    assertEquals(tries, expected, `${ms}`);
  }
});
