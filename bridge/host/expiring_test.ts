/** What a client writes that is of use for a time only. */
import { assertEquals } from "@std/assert";
import { ClientDisk } from "../../tests/sim/client_disk.ts";
import { Desk, fate } from "../../tests/support/client_desk.ts";
import { ClientMachine, ManualClient, TIMEOUT } from "../../tests/support/manual_client.ts";
import type { ClientOptions } from "./mod.ts";

/** Notes what the application is told of messages that expire. */
function listening(): { told: string[]; onExpired: NonNullable<ClientOptions["onExpired"]> } {
  const told: string[] = [];
  return { told, onExpired: (text, { code }) => void told.push(`${text} ${code}`) };
}

/** The server is heard, and acknowledges nothing, until the client ends the link. @returns after how many ms */
async function lasts(desk: Desk): Promise<number> {
  let passed = 0;
  for (; desk.states.seen.at(-1) === "up"; passed += TIMEOUT / 20) {
    desk.says("\n");
    desk.machine.passes(TIMEOUT / 20);
    await desk.machine.turn();
  }
  return passed;
}

async function lastLine(machine: ClientMachine): Promise<string | undefined> {
  await machine.turn();
  const { text, written } = machine.socket;
  written.length = 0; // their buffer is used again
  return text.trim().split("\n").at(-1);
}

for (const disk of [undefined, new ClientDisk()]) {
  const name = disk ? "with a memory" : "without";

  Deno.test(`a message that was not sent in time is given up, and is never sent, ${name}`, async () => {
    const { told, onExpired } = listening();
    await using desk = new Desk(disk, { onExpired });
    const fates = [1000, 60_000].map((expires) =>
      fate(desk.client.write(`${expires}`, { expires }))
    );
    await desk.machine.turn();
    desk.machine.passes(995);
    await desk.machine.turn();
    assertEquals(told, []);
    desk.machine.passes(5);
    await desk.machine.turn();
    assertEquals([await fates[0], told], ["EXPIRED", ["1000 EXPIRED"]]);
    await desk.welcome();
    assertEquals(desk.lines, disk ? ["00\0", "0160000"] : ["0060000"]);
    desk.says(disk ? "01\n" : "00\n");
    await desk.machine.turn();
    assertEquals([await fates[1], told.length, desk.client.outbox], ["true", 1, 0]);
  });
}

Deno.test("a message on its way is decided by its ack", async () => {
  const { told, onExpired } = listening();
  await using desk = new Desk(undefined, { onExpired });
  await desk.welcome();
  const arrives = fate(desk.client.write("a", { expires: 100 }));
  await desk.machine.turn();
  desk.machine.passes(200);
  assertEquals(desk.lines, ["00a"]);
  desk.says("00\n");
  await desk.machine.turn();
  assertEquals([await arrives, told], ["true", []]);
});

Deno.test("without an ack, it is decided by a new connection, when the server was heard behind its welcome", async () => {
  const { told, onExpired } = listening();
  await using desk = new Desk(undefined, { onExpired });
  await desk.welcome();
  const fates = ["a", "b"].map((text) => fate(desk.client.write(text, { expires: 100 })));
  assertEquals(await lasts(desk), TIMEOUT + 100);
  assertEquals(desk.states.seen, ["up", "LATE"]);
  await desk.welcome(1);
  assertEquals([await fates[0], told, desk.lines], ["true", [], []]);
  desk.says("\n");
  await desk.machine.turn();
  assertEquals([await fates[1], told, desk.lines], ["EXPIRED", ["b EXPIRED"], ["01\0"]]);
});

Deno.test("a writer learns that a message has expired only when that is safe in the memory", async () => {
  const { told, onExpired } = listening();
  const disk = new ClientDisk();
  await using desk = new Desk(disk, { onExpired });
  const given = fate(desk.client.write("a", { expires: 100 }));
  await desk.machine.turn();
  assertEquals(disk.state!.outbox.messages.length, 1);
  disk.full = true;
  desk.machine.passes(200);
  await desk.machine.turn();
  assertEquals([told, disk.state!.outbox.messages.length], [[], 1]);
  disk.full = false;
  desk.machine.passes(TIMEOUT);
  await desk.machine.turn();
  assertEquals([await given, disk.state!.outbox.messages], ["EXPIRED", []]);
});

Deno.test("a deadline outlives the process, and goes on while nobody is here; a date that was set back says nothing", async () => {
  for (const [away, sent] of [[1000, "00\0"], [400, "00a"], [-1e9, "00a"]] as const) {
    const { told, onExpired } = listening();
    const disk = new ClientDisk();
    const first = new Desk(disk);
    await first.welcome();
    void fate(first.client.write("a", { expires: 1000 }));
    await first.machine.turn();
    assertEquals(first.lines, ["00a"]);
    const date = first.machine.date();
    first.kill();
    const machine = new ClientMachine();
    machine.date = () => date + away + machine.now();
    await using second = new Desk(disk, { onExpired }, machine);
    await second.welcome(0);
    second.says("\n");
    await machine.turn();
    assertEquals([second.lines, told], [[sent], away === 1000 ? ["a EXPIRED"] : []]);
    assertEquals(disk.state!.outbox.messages.length, away === 1000 ? 0 : 1);
  }
});

Deno.test("a server that has lost its store cannot say whether a message was there", async () => {
  const { told, onExpired } = listening();
  await using desk = new Desk(undefined, { onExpired });
  await desk.welcome();
  const given = fate(desk.client.write("a", { expires: 100 }));
  await lasts(desk);
  const [epoch] = await desk.hello();
  await desk.answer([epoch!, 0], 0, 500, 10);
  desk.says("\n");
  await desk.machine.turn();
  assertEquals([await given, told, desk.lines], ["UNDECIDED", ["a UNDECIDED"], ["00\0"]]);
});

Deno.test("dialect 1: what was sent is undecided at its deadline, and not sent again; what was not expires", async () => {
  const { told, onExpired } = listening();
  await using scene = ManualClient.up({ onExpired });
  const { client, machine } = scene;
  const first = client.write("first");
  machine.socket.gives("00\n");
  await first;
  const sent = fate(client.write("sent", { expires: 100 }));
  const waits = fate(client.write("waits", { expires: 100 }));
  const later = fate(client.write("later", { expires: 60_000 }));
  assertEquals(await lastLine(machine), "01sent");
  machine.passes(100);
  assertEquals([await sent, await waits], ["UNDECIDED", "EXPIRED"]);
  assertEquals(told, ["waits EXPIRED", "sent UNDECIDED"]);
  assertEquals(await lastLine(machine), "02later");
  machine.socket.gives("02\n");
  assertEquals(await later, "true");
});

Deno.test("dialect 1: what waits for a link expires, and takes no id", async () => {
  await using scene = new ManualClient();
  const { client, machine } = scene;
  const given = fate(client.write("a", { expires: 100 }));
  machine.passes(100);
  assertEquals(await given, "EXPIRED");
  const next = client.write("b");
  machine.socket.events.opened();
  machine.socket.gives("\n");
  assertEquals(await lastLine(machine), "00b");
  machine.socket.gives("00\n");
  await next;
});

Deno.test("an invalid time is refused by name, and so is one without qos", async () => {
  await using desk = new Desk();
  for (const expires of [0, -1, 0.5, NaN, Infinity, 365 * 24 * 3_600_000 + 1]) {
    assertEquals(await fate(desk.client.write("a", { expires })), "BAD_ARGUMENT");
  }
  assertEquals(await fate(desk.client.write("a", { expires: 1, qos: false })), "BAD_ARGUMENT");
});

Deno.test("a year is not too long to wait", async () => {
  const { told, onExpired } = listening();
  await using desk = new Desk(undefined, { onExpired });
  void fate(desk.client.write("a", { expires: 365 * 24 * 3_600_000 }));
  desk.machine.passes(2 * TIMEOUT);
  assertEquals(told, []);
});
