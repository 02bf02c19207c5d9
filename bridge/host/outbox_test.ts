/** What a client with a memory writes: it goes out when it is safe, and outlives the process. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ClientDisk } from "../../tests/sim/client_disk.ts";
import { Desk, fate } from "../../tests/support/client_desk.ts";
import { TIMEOUT } from "../../tests/support/manual_client.ts";
import { type ClientOptions, LocalError } from "./mod.ts";

function texts(disk: ClientDisk): string[] {
  return disk.state!.outbox.messages.map(({ text }) => new TextDecoder().decode(text));
}

Deno.test("messages are sent when they are safe, all of one turn in one commit", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  await desk.welcome();
  const before = disk.commits;
  const written = Array.from({ length: 40 }, (_, i) => desk.client.write(`text ${i}`));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assertEquals(desk.lines, [], "it is not safe yet");
  assertEquals(desk.client.outbox, 40);
  await desk.machine.turn();
  assertEquals([disk.commits - before, texts(disk).length], [1, 40]);
  assertEquals(desk.lines.length, 40);
  desk.says("27\n");
  await desk.machine.turn();
  assertEquals(await Promise.all(written), Array(40).fill(true));
  assertEquals([disk.commits - before, texts(disk), desk.client.outbox], [2, [], 0]);
});

Deno.test("without a link, too, what is written is safe at the end of the turn", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  const kept = desk.client.write("a", { until: "kept" });
  await desk.machine.turn();
  assertEquals(await kept, true);
  assertEquals(texts(disk), ["a"]);
});

Deno.test("the next process sends what this one has kept, under the same numbers", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  await desk.welcome();
  for (const text of ["a", "b", "c"]) desk.client.write(text).catch(() => {});
  await desk.machine.turn();
  desk.says("00\n"); // and the other acks are lost
  await desk.machine.turn();
  const { epoch } = disk.state!.outbox;
  desk.kill();
  await using next = new Desk(disk);
  const hello = await next.hello();
  assertEquals(hello.slice(0, 2), [epoch, 1]);
  await next.answer(hello, 2);
  next.client.write("d").catch(() => {});
  await next.machine.turn();
  assertEquals(next.lines, ["02c", "03d"]);
  assertEquals(texts(disk), ["c", "d"]);
});

Deno.test("more than a core holds is kept, and goes out in order as there is room", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  for (let i = 0; i < 200; i++) desk.client.write(`${i}`).catch(() => {});
  await desk.machine.turn();
  desk.kill();
  await using next = new Desk(disk);
  assertEquals(next.client.outbox, 200);
  await next.welcome();
  assertEquals(next.lines.at(-1), "3f63");
  next.says("3f\n");
  await next.machine.turn();
  assertEquals(next.lines.at(-1), "7f127");
  assertEquals(next.client.outbox, 136);
});

Deno.test("a smaller core still has what a larger one has sent", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  await desk.welcome();
  for (let i = 0; i < 64; i++) desk.client.write("x".repeat(120)).catch(() => {});
  await desk.machine.turn();
  desk.kill();
  await using next = new Desk(disk, { size: { line: 200, outbox: 300, window: 2 } });
  await next.welcome(63);
  assertEquals(next.lines, [`3f${"x".repeat(120)}`]);
  await next.machine.turn();
  assertEquals(texts(disk).length, 1);
});

Deno.test("a number that was given to a message without qos is never given to another one", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  await desk.welcome();
  const sent = ["a", "b", "c"].map((text) => desk.client.write(text, { qos: text === "b" }));
  await desk.machine.turn();
  assertEquals(desk.lines, ["00a", "01b", "02c"]);
  assertEquals([await sent[0], await sent[2]], [true, true]);
  sent[1]!.catch(() => {});
  assertEquals(texts(disk), ["b"]);
  desk.kill();
  await using next = new Desk(disk);
  next.client.write("d").catch(() => {});
  await next.welcome(3); // it has all of them
  assertEquals(next.lines, ["03d"]);
  assertEquals(texts(disk), ["d"]);
});

Deno.test("a message without qos is not kept, and nobody waits for its turn", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk, { size: { window: 1 } });
  const write = (text: string, qos: boolean) => fate(desk.client.write(text, { qos }));
  assertEquals(await write("no link", false), "false");
  await desk.welcome();
  const fates = [write("a", true), write("full", false)];
  await desk.machine.turn();
  assertEquals(await fates[1], "false");
  assertEquals(desk.lines, ["00a"]);
  desk.says("00\n");
  await desk.machine.turn();
  assertEquals(await fates[0], "true");
  assertEquals(desk.lines, ["00a", "01\0"], "its number is gone");
});

Deno.test("a write that is given up before it is safe was never accepted; later it stays", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  const early = new AbortController();
  const late = new AbortController();
  const fates = [early, late].map(({ signal }) =>
    desk.client.write(signal === early.signal ? "early" : "late", { signal }).catch((e) => e)
  );
  early.abort("early");
  await desk.machine.turn();
  late.abort("late");
  assertEquals(await Promise.all(fates), ["early", "late"]);
  assertEquals(texts(disk), ["late"]);
  await desk.welcome();
  assertEquals(desk.lines, ["00late"]);
});

Deno.test("messages too large for the changed server are dropped, and the writer is told when that is safe", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  await desk.welcome();
  for (let i = 0; i < 70; i++) desk.client.write("x".repeat(i % 2 ? 150 : 50)).catch(() => {});
  await desk.machine.turn();
  desk.kill();
  await using next = new Desk(disk);
  const late = fate(next.client.write("x".repeat(150)));
  await next.welcome(1, 100);
  assertEquals(next.lines.slice(0, 3), ["01\0", `02${"x".repeat(50)}`, "03\0"]);
  next.says("3f\n");
  await next.machine.turn();
  assertEquals(next.lines.slice(-2), ["45\0", "46\0"]);
  assertEquals(await late, "BAD_TEXT");
  assertEquals(texts(disk).filter((text) => text.length > 100), []);
});

Deno.test("a server that knows more than the memory: an old copy was put back, and all of it is sent again", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  desk.client.write("a").catch(() => {});
  await desk.machine.turn();
  desk.kill();
  await using next = new Desk(disk);
  const hello = await next.hello();
  await next.answer(hello, 5);
  assertEquals(next.states.seen, ["BAD_POSITION"]);
  next.machine.passes(TIMEOUT);
  const [other] = await next.hello();
  assert(other !== hello[0]);
  assertEquals(disk.state!.outbox.epoch, other, "it is known before it is said");
});

for (
  const [what, options] of [
    ["without a memory", { memory: undefined }],
    ["without qos", {}],
  ] as const
) {
  Deno.test(`to wait until a message is kept is refused ${what}`, async () => {
    await using desk = new Desk(new ClientDisk(), options as Partial<ClientOptions>);
    const qos = what !== "without qos";
    const write = () => desk.client.write("a", { until: "kept", qos });
    assertEquals((await assertRejects(write, LocalError)).code, "BAD_ARGUMENT");
  });
}

// A memory that fails.

Deno.test("while the memory fails whoever waits is told, nothing goes out, and it goes on when it works", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  await desk.welcome();
  const first = fate(desk.client.write("a"));
  await desk.machine.turn();
  disk.full = true;
  const fates = [
    fate(desk.client.write("b")),
    fate(desk.client.write("c", { until: "kept" })),
    desk.client.readline().catch((error) => error.code),
  ];
  await desk.machine.turn();
  assertEquals(await Promise.all(fates), Array(3).fill("STORE_FAILED"));
  assertEquals(desk.states.seen.at(-1), "STORE_FAILED");
  assertStringIncludes(desk.states.reasons.at(-1)!.message, "the disk is full");
  assert(desk.machine.socket.closed);
  const failures = () => desk.states.seen.filter((state) => state === "STORE_FAILED").length;
  for (let i = 0; i < 8; i++) {
    desk.machine.passes(TIMEOUT / 8);
    await desk.machine.turn();
  }
  assertEquals(failures(), 1, "nothing is to be kept, and nothing is wrong");
  disk.full = false;
  await desk.welcome(1);
  desk.client.write("d").catch(() => {});
  await desk.machine.turn();
  assertEquals(await first, "true");
  assertEquals(desk.lines, ["01d"]);
});

Deno.test("messages processed while the memory fails are not acknowledged, and not handed out twice", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  await desk.welcome();
  const first = desk.client.readline();
  desk.says("00a\n01b\n");
  assertEquals(await first, "a");
  disk.full = true;
  const failed = desk.client.readline().catch((error) => error.code);
  await desk.machine.turn();
  assertEquals(await failed, "STORE_FAILED");
  assertEquals(desk.lines, [], "no ack");
  const seen = () => desk.states.seen.filter((state) => state === "STORE_FAILED").length;
  const before = seen();
  for (let i = 0; i < 8; i++) {
    desk.machine.passes(TIMEOUT / 8);
    await desk.machine.turn();
  }
  assert(seen() > before, "it tries again");
  disk.full = false;
  desk.machine.passes(TIMEOUT / 8);
  await desk.machine.turn();
  assertEquals(disk.state!.progress.position.next, 1);
  const next = desk.client.readline();
  await desk.welcome();
  desk.says("01b\n");
  assertEquals(await next, "b");
});

Deno.test("a message is handed out when the one before it is safely done with", async () => {
  const disk = new ClientDisk();
  await using desk = new Desk(disk);
  await desk.welcome();
  desk.says("00a\n01b\n");
  assertEquals(await desk.client.readline(), "a");
  let came = false;
  const second = desk.client.readline().then((text) => (came = true, text));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assert(!came, "a kill now would have two messages come again");
  await desk.machine.turn();
  assertEquals(await second, "b");
});

Deno.test("closing keeps what was written and processed last, or says that it cannot", async () => {
  const disk = new ClientDisk();
  const desk = new Desk(disk);
  const written = fate(desk.client.write("a"));
  const kept = fate(desk.client.write("b", { until: "kept" }));
  await desk.client.close();
  assertEquals([await written, await kept], ["CLOSED", "true"]);
  assertEquals([texts(disk), disk.users], [["a", "b"], 0]);
  const next = new Desk(disk);
  const late = fate(next.client.write("c"));
  disk.full = true;
  assertEquals((await assertRejects(() => next.client.close(), LocalError)).code, "STORE_FAILED");
  assertEquals([await late, disk.users, next.machine.timers], ["STORE_FAILED", 0, 0]);
});

Deno.test("a memory of one's own may throw anything: it is STORE_FAILED", async () => {
  const disk = new ClientDisk();
  disk.commit = () => {
    throw new RangeError("no room");
  };
  const desk = new Desk(disk);
  const written = desk.client.write("a");
  written.catch(() => {});
  await desk.machine.turn();
  const error = await assertRejects(() => written, LocalError, "no room");
  assertEquals(error.code, "STORE_FAILED");
  await assertRejects(() => desk.client.close(), LocalError);
});
