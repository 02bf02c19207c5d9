import { assertEquals, assertRejects } from "@std/assert";
import { helloLine } from "../../tests/support/greeting.ts";
import { ManualServer } from "../../tests/support/manual_server.ts";
import { SlowStore } from "../../tests/support/slow_store.ts";
import type { Device } from "../device.ts";
import { LocalError } from "../protocol/errors.ts";

/** A server that gives up a message after two failures, and an application that cannot process some messages. */
async function start(...texts: string[]) {
  const processed: string[] = [];
  const app = async (device: Device) => {
    for (;;) {
      try {
        await device.consume((line, tx) => {
          if (line.startsWith("bad")) throw new Error("it cannot be");
          if (line === "long") tx.write(device.id, "x".repeat(1e6));
          processed.push(line);
        });
      } catch (error) {
        if (error instanceof LocalError && error.code !== "BAD_TEXT") throw error;
      }
    }
  };
  const limits = { attempts: 2, deadLetters: 2, inbox: 4 };
  const scene = await ManualServer.start({ app, deadLetters: true, limits });
  const socket = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.platform.advance(1);
  const lines = texts.map((text, i) => `0${i}${text}\n`);
  await scene.says(socket, `\n${lines.join("")}`);
  const pass = async () => {
    for (let i = 0; i < 20; i++) await scene.platform.advance(1000);
  };
  await pass();
  const device = await scene.server.device("1");
  /** Revives or discards the first dead letter, and waits until that is safe. */
  const does = async (what: "revive" | "discard") => {
    const [{ number } = { number: -1 }] = device.deadLetters;
    const done = device[what](number);
    assertEquals(device.deadLetters.filter((letter) => letter.number === number), []);
    await scene.platform.turn();
    await done;
  };
  return { scene, processed, pass, device, does };
}

const textsOf = ({ deadLetters }: Device) => deadLetters.map(({ text }) => text);

Deno.test("dead letters: a message that fails twice lets the next one through, is counted, and can be put back", async () => {
  const { scene, processed, pass, device, does } = await start("bad", "a");
  await using _ = scene;
  assertEquals([textsOf(device), processed], [["bad"], ["a"]]);
  const { processed: done, dead } = device.counts;
  assertEquals([done, dead, device.inbox], [1, 1, 0]);
  await does("revive");
  await pass();
  assertEquals([textsOf(device), device.counts.dead], [["bad"], 2], "it has failed again");
  await does("discard");
  assertEquals(textsOf(device), []);
  const error = await assertRejects(() => device.revive(99), LocalError);
  assertEquals(error.code, "BAD_ARGUMENT");
});

Deno.test("dead letters: a message is also given up if the application writes an invalid text", async () => {
  const { scene, processed, device } = await start("long", "a");
  await using _ = scene;
  assertEquals([textsOf(device), processed], [["long"], ["a"]]);
});

Deno.test("dead letters: when there are too many, the failing message waits until one has been removed", async () => {
  const { scene, processed, pass, device, does } = await start("bad 1", "bad 2", "bad 3", "a");
  await using _ = scene;
  assertEquals([textsOf(device), processed, device.inbox], [["bad 1", "bad 2"], [], 2]);
  await does("discard");
  await pass();
  assertEquals([textsOf(device), processed], [["bad 2", "bad 3"], ["a"]]);
});

Deno.test("dead letters: revive resolves when the change is safe, and rejects if the server is closed before", async () => {
  const { scene, device } = await start("bad", "a");
  await using _ = scene;
  const [{ number } = { number: -1 }] = device.deadLetters;
  let isDone = false;
  const revived = device.revive(number).finally(() => isDone = true);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(isDone, false, "nothing was committed yet");
  const rejected = assertRejects(() => revived, LocalError);
  await scene.server.close();
  assertEquals((await rejected).code, "CLOSED");
});

Deno.test("dead letters: each one is reported once, and a full list once", async () => {
  const { scene } = await start("bad 1", "bad 2", "bad 3", "a");
  await using _ = scene;
  const said = scene.log.filter((entry) => /dead_letter|DEAD/.test(entry));
  assertEquals(said, ["dead_letter 1", "dead_letter 1", "warning 1 DEAD_LETTERS_FULL"]);
});

Deno.test("dead letters: a failure for lack of room does not count as an attempt, and is retried at least every second", async () => {
  let tries = 0;
  const app = async (device: Device) => {
    for (;;) {
      try {
        await device.consume((_, tx) => {
          tries++;
          tx.write("2", "full");
        });
      } catch { /* again */ }
    }
  };
  const limits = { attempts: 2, outbox: 1 };
  await using scene = await ManualServer.start({ app, deadLetters: true, limits });
  await scene.knock(`${helloLine({ id: "2" })}\n`);
  const socket = await scene.knock(`${helloLine({ id: "1" })}\n`);
  await scene.platform.advance(1);
  const other = await scene.knock(`${helloLine({ id: "2" })}\n`);
  await scene.says(other, "\n");
  const full = await scene.server.device("2");
  full.write("full").catch(() => {});
  await scene.says(socket, "\n00a\n");
  const device = await scene.server.device("1");
  for (let n = 0; n < 100; n++) {
    await scene.says(socket, "\n");
    await scene.platform.advance(100);
  }
  assertEquals([device.deadLetters, device.inbox], [[], 1]);
  // At once, then after 10, 100 and 1000 ms, and every second after that.
  assertEquals(tries >= 11 && tries <= 13, true, `${tries}`);
});

Deno.test("dead letters: a message that another reader takes meanwhile does not become one", async () => {
  const store = new SlowStore();
  await using scene = await ManualServer.start({
    deadLetters: true,
    limits: { attempts: 1 },
    store,
  });
  const [socket, other] = [await scene.knock("1\n\n"), await scene.knock("2\n\n")];
  await scene.says(socket, "00a\n01b\n");
  const device = await scene.server.device("1");
  const work = Promise.withResolvers<never>();
  const consumed = assertRejects(() => device.consume(() => work.promise), Error, "no");
  await scene.platform.turn();
  const release = store.hold();
  await scene.says(other, "00x\n");
  const read = device.readline(); // during the commit: it is handled first after it
  work.reject(new Error("no"));
  await scene.platform.turn();
  release();
  await scene.platform.turn();
  assertEquals([await read, textsOf(device)], ["a", []]);
  const next = device.readline();
  await scene.platform.turn();
  assertEquals(await next, "b");
  await consumed;
});
