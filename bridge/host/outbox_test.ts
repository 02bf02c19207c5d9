/** What a client with a memory writes: it goes out when it is safe, and outlives the process. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ClientDisk } from "../../tests/sim/client_disk.ts";
import { ClientRig, fate } from "../../tests/support/client_rig.ts";
import { TIMEOUT } from "../../tests/support/manual_client.ts";
import { type ClientOptions, LocalError, PeerError } from "./mod.ts";

function texts(disk: ClientDisk): string[] {
  return disk.state!.outbox.messages.map(({ text }) => new TextDecoder().decode(text));
}

Deno.test("messages are sent when they are safe, all of one turn in one commit", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  await rig.welcome();
  const before = disk.commits;
  const written = Array.from({ length: 40 }, (_, i) => rig.client.write(`text ${i}`));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assertEquals(rig.lines, [], "it is not safe yet");
  assertEquals(rig.client.outbox, 40);
  await rig.machine.turn();
  assertEquals([disk.commits - before, texts(disk).length], [1, 40]);
  assertEquals(rig.lines.length, 40);
  rig.says("27\n");
  await rig.machine.turn();
  assertEquals(await Promise.all(written), Array(40).fill(true));
  assertEquals([disk.commits - before, texts(disk), rig.client.outbox], [2, [], 0]);
});

Deno.test("without a link, too, what is written is safe at the end of the turn", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  const kept = rig.client.write("a", { until: "kept" });
  await rig.machine.turn();
  assertEquals(await kept, true);
  assertEquals(texts(disk), ["a"]);
});

Deno.test("the next process sends what this one has kept, under the same numbers", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  await rig.welcome();
  for (const text of ["a", "b", "c"]) rig.client.write(text).catch(() => {});
  await rig.machine.turn();
  rig.says("00\n"); // and the other acks are lost
  await rig.machine.turn();
  const { epoch } = disk.state!.outbox;
  rig.kill();
  await using next = new ClientRig(disk);
  const hello = await next.hello();
  assertEquals(hello.slice(0, 2), [epoch, 1]);
  await next.answer(hello, 2);
  next.client.write("d").catch(() => {});
  await next.machine.turn();
  assertEquals(next.lines, ["02c", "03d"]);
  assertEquals(texts(disk), ["c", "d"]);
});

Deno.test("messages beyond what a core holds are kept, and go out in order as there is room", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  for (let i = 0; i < 200; i++) rig.client.write(`${i}`).catch(() => {});
  await rig.machine.turn();
  rig.kill();
  await using next = new ClientRig(disk);
  assertEquals(next.client.outbox, 200);
  await next.welcome();
  assertEquals(next.lines.at(-1), "3f63");
  next.says("3f\n");
  await next.machine.turn();
  assertEquals(next.lines.at(-1), "7f127");
  assertEquals(next.client.outbox, 136);
});

Deno.test("a client with a smaller core takes over what a larger one has sent", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  await rig.welcome();
  for (let i = 0; i < 64; i++) rig.client.write("x".repeat(120)).catch(() => {});
  await rig.machine.turn();
  rig.kill();
  await using next = new ClientRig(disk, { size: { line: 200, outbox: 300, window: 2 } });
  await next.welcome(63);
  assertEquals(next.lines, [`3f${"x".repeat(120)}`]);
  await next.machine.turn();
  assertEquals(texts(disk).length, 1);
});

Deno.test("a number that was given to a message without qos is never given to another one", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  await rig.welcome();
  const sent = ["a", "b", "c"].map((text) => rig.client.write(text, { qos: text === "b" }));
  await rig.machine.turn();
  assertEquals(rig.lines, ["00a", "01b", "02c"]);
  assertEquals([await sent[0], await sent[2]], [true, true]);
  sent[1]!.catch(() => {});
  assertEquals(texts(disk), ["b"]);
  rig.kill();
  await using next = new ClientRig(disk);
  next.client.write("d").catch(() => {});
  await next.welcome(3); // it has all of them
  assertEquals(next.lines, ["03d"]);
  assertEquals(texts(disk), ["d"]);
});

Deno.test("a message without qos is not kept, and goes out at once or not at all", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk, { size: { window: 1 } });
  const write = (text: string, qos: boolean) => fate(rig.client.write(text, { qos }));
  assertEquals(await write("no link", false), "false");
  await rig.welcome();
  const fates = [write("a", true), write("full", false)];
  await rig.machine.turn();
  assertEquals(await fates[1], "false");
  assertEquals(rig.lines, ["00a"]);
  rig.says("00\n");
  await rig.machine.turn();
  assertEquals(await fates[0], "true");
  assertEquals(rig.lines, ["00a", "01\0"], "its number is gone");
});

Deno.test("a write that is aborted before it is safe is dropped; one that is aborted later stays", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  const early = new AbortController();
  const late = new AbortController();
  const fates = [early, late].map(({ signal }) =>
    rig.client.write(signal === early.signal ? "early" : "late", { signal }).catch((e) => e)
  );
  early.abort("early");
  await rig.machine.turn();
  late.abort("late");
  assertEquals(await Promise.all(fates), ["early", "late"]);
  assertEquals(texts(disk), ["late"]);
  await rig.welcome();
  assertEquals(rig.lines, ["00late"]);
});

Deno.test("messages too large for the changed server are dropped, and the writer is told when that is safe", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  await rig.welcome();
  for (let i = 0; i < 70; i++) rig.client.write("x".repeat(i % 2 ? 150 : 50)).catch(() => {});
  await rig.machine.turn();
  rig.kill();
  await using next = new ClientRig(disk);
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
  const rig = new ClientRig(disk);
  rig.client.write("a").catch(() => {});
  await rig.machine.turn();
  rig.kill();
  await using next = new ClientRig(disk);
  const hello = await next.hello();
  await next.answer(hello, 5);
  assertEquals(next.states.seen, ["BAD_POSITION"]);
  next.machine.passes(TIMEOUT);
  const [other] = await next.hello();
  assert(other !== hello[0]);
  assertEquals(disk.state!.outbox.epoch, other, "it is stored before it is sent");
});

for (
  const [what, options] of [
    ["without a memory", { memory: undefined }],
    ["without qos", {}],
  ] as const
) {
  Deno.test(`waiting until a message is kept is refused ${what}`, async () => {
    await using rig = new ClientRig(new ClientDisk(), options as Partial<ClientOptions>);
    const qos = what !== "without qos";
    const write = () => rig.client.write("a", { until: "kept", qos });
    assertEquals((await assertRejects(write, LocalError)).code, "BAD_ARGUMENT");
  });
}

// A memory that fails.

Deno.test("while the memory fails, whoever waits gets an error and nothing is sent; when it works again, the client goes on", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  await rig.welcome();
  const first = fate(rig.client.write("a"));
  await rig.machine.turn();
  disk.full = true;
  const fates = [
    fate(rig.client.write("b")),
    fate(rig.client.write("c", { until: "kept" })),
    rig.client.readline().catch((error) => error.code),
  ];
  await rig.machine.turn();
  assertEquals(await Promise.all(fates), Array(3).fill("STORE_FAILED"));
  assertEquals(rig.states.seen.at(-1), "STORE_FAILED");
  assertStringIncludes(rig.states.reasons.at(-1)!.message, "the disk is full");
  assert(rig.machine.socket.closed);
  const failures = () => rig.states.seen.filter((state) => state === "STORE_FAILED").length;
  for (let i = 0; i < 8; i++) {
    rig.machine.passes(TIMEOUT / 8);
    await rig.machine.turn();
  }
  assertEquals(failures(), 1, "there is nothing to keep, so nothing fails");
  disk.full = false;
  await rig.welcome(1);
  rig.client.write("d").catch(() => {});
  await rig.machine.turn();
  assertEquals(await first, "true");
  assertEquals(rig.lines, ["01d"]);
});

Deno.test("messages processed while the memory fails are not acknowledged, and not handed out twice", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  await rig.welcome();
  const first = rig.client.readline();
  rig.says("00a\n01b\n");
  assertEquals(await first, "a");
  disk.full = true;
  const failed = rig.client.readline().catch((error) => error.code);
  await rig.machine.turn();
  assertEquals(await failed, "STORE_FAILED");
  assertEquals(rig.lines, [], "no ack");
  const seen = () => rig.states.seen.filter((state) => state === "STORE_FAILED").length;
  const before = seen();
  for (let i = 0; i < 8; i++) {
    rig.machine.passes(TIMEOUT / 8);
    await rig.machine.turn();
  }
  assert(seen() > before, "it tries again");
  disk.full = false;
  rig.machine.passes(TIMEOUT / 8);
  await rig.machine.turn();
  assertEquals(disk.state!.progress.position.next, 1);
  const next = rig.client.readline();
  await rig.welcome();
  rig.says("01b\n");
  assertEquals(await next, "b");
});

Deno.test("a message that the application is done with just as its connection ends has arrived", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  await rig.welcome();
  const first = rig.client.readline();
  rig.says("00a\n");
  assertEquals(await first, "a");
  rig.machine.stall(TIMEOUT); // so that it looks at its socket before it goes on
  const second = rig.client.readline();
  rig.machine.socket.events.ended(new PeerError("LOST", "the other end has closed the connection"));
  const hello = await rig.hello();
  assertEquals([rig.lines, hello[3]], [[], 1]);
  assertEquals(disk.state!.progress, { position: { epoch: 9, next: 1 } });
  await rig.answer(hello);
  rig.says("01b\n");
  assertEquals(await second, "b");
});

Deno.test("a message is handed out when the one before it is safely done with", async () => {
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk);
  await rig.welcome();
  rig.says("00a\n01b\n");
  assertEquals(await rig.client.readline(), "a");
  let came = false;
  const second = rig.client.readline().then((text) => (came = true, text));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  assert(!came, "a kill now would have two messages come again");
  await rig.machine.turn();
  assertEquals(await second, "b");
});

Deno.test("closing keeps what was written and processed last, or says that it cannot", async () => {
  const disk = new ClientDisk();
  const rig = new ClientRig(disk);
  const written = fate(rig.client.write("a"));
  const kept = fate(rig.client.write("b", { until: "kept" }));
  await rig.client.close();
  assertEquals([await written, await kept], ["CLOSED", "true"]);
  assertEquals([texts(disk), disk.users], [["a", "b"], 0]);
  const next = new ClientRig(disk);
  const late = fate(next.client.write("c"));
  disk.full = true;
  assertEquals((await assertRejects(() => next.client.close(), LocalError)).code, "STORE_FAILED");
  assertEquals([await late, disk.users, next.machine.timers], ["STORE_FAILED", 0, 0]);
});

Deno.test("whatever a custom memory throws is reported as STORE_FAILED", async () => {
  const disk = new ClientDisk();
  disk.commit = () => {
    throw new RangeError("no room");
  };
  const rig = new ClientRig(disk);
  const written = rig.client.write("a");
  written.catch(() => {});
  await rig.machine.turn();
  const error = await assertRejects(() => written, LocalError, "no room");
  assertEquals(error.code, "STORE_FAILED");
  await assertRejects(() => rig.client.close(), LocalError);
});
