/** Messages of a client that have a deadline. */
import { assertEquals } from "@std/assert";
import { ClientDisk } from "../../tests/sim/client_disk.ts";
import { ClientRig, fate } from "../../tests/support/client_rig.ts";
import { ClientMachine, ManualClient, TIMEOUT } from "../../tests/support/manual_client.ts";
import type { ClientOptions } from "./mod.ts";

/** Notes the expiries that the application gets. */
function listening(): { told: string[]; onExpired: NonNullable<ClientOptions["onExpired"]> } {
  const told: string[] = [];
  return { told, onExpired: (text, { code }) => void told.push(`${text} ${code}`) };
}

/** The server is heard, and acknowledges nothing, until the client ends the link. @returns after how many ms */
async function lasts(rig: ClientRig): Promise<number> {
  let passed = 0;
  for (; rig.states.seen.at(-1) === "up"; passed += TIMEOUT / 20) {
    rig.says("\n");
    rig.machine.passes(TIMEOUT / 20);
    await rig.machine.turn();
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
  const name = disk ? "with a memory" : "without one";

  Deno.test(`a message that was not sent in time is given up, and is never sent, ${name}`, async () => {
    const { told, onExpired } = listening();
    await using rig = new ClientRig(disk, { onExpired });
    const fates = [1000, 60_000].map((expires) =>
      fate(rig.client.write(`${expires}`, { expires }))
    );
    await rig.machine.turn();
    rig.machine.passes(995);
    await rig.machine.turn();
    assertEquals(told, []);
    rig.machine.passes(5);
    await rig.machine.turn();
    assertEquals([await fates[0], told], ["EXPIRED", ["1000 EXPIRED"]]);
    await rig.welcome();
    assertEquals(rig.lines, disk ? ["00\0", "0160000"] : ["0060000"]);
    rig.says(disk ? "01\n" : "00\n");
    await rig.machine.turn();
    assertEquals([await fates[1], told.length, rig.client.outbox], ["true", 1, 0]);
  });
}

Deno.test("a message that was sent in time counts as delivered if its ack comes, even after the deadline", async () => {
  const { told, onExpired } = listening();
  await using rig = new ClientRig(undefined, { onExpired });
  await rig.welcome();
  const arrives = fate(rig.client.write("a", { expires: 100 }));
  await rig.machine.turn();
  rig.machine.passes(200);
  assertEquals(rig.lines, ["00a"]);
  rig.says("00\n");
  await rig.machine.turn();
  assertEquals([await arrives, told], ["true", []]);
});

Deno.test("without an ack, the next connection decides whether a message expired, once the server was heard after its welcome", async () => {
  const { told, onExpired } = listening();
  await using rig = new ClientRig(undefined, { onExpired });
  await rig.welcome();
  const fates = ["a", "b"].map((text) => fate(rig.client.write(text, { expires: 100 })));
  assertEquals(await lasts(rig), TIMEOUT + 100);
  assertEquals(rig.states.seen, ["up", "LATE"]);
  await rig.welcome(1);
  assertEquals([await fates[0], told, rig.lines], ["true", [], []]);
  rig.says("\n");
  await rig.machine.turn();
  assertEquals([await fates[1], told, rig.lines], ["EXPIRED", ["b EXPIRED"], ["01\0"]]);
});

Deno.test("a writer learns that a message has expired only when that is safe in the memory", async () => {
  const { told, onExpired } = listening();
  const disk = new ClientDisk();
  await using rig = new ClientRig(disk, { onExpired });
  const given = fate(rig.client.write("a", { expires: 100 }));
  await rig.machine.turn();
  assertEquals(disk.state!.outbox.messages.length, 1);
  disk.full = true;
  rig.machine.passes(200);
  await rig.machine.turn();
  assertEquals([told, disk.state!.outbox.messages.length], [[], 1]);
  disk.full = false;
  rig.machine.passes(TIMEOUT);
  await rig.machine.turn();
  assertEquals([await given, disk.state!.outbox.messages], ["EXPIRED", []]);
});

Deno.test("a deadline outlives the process, and continues while none runs; a date that was set back is ignored", async () => {
  for (const [away, sent] of [[1000, "00\0"], [400, "00a"], [-1e9, "00a"]] as const) {
    const { told, onExpired } = listening();
    const disk = new ClientDisk();
    const first = new ClientRig(disk);
    await first.welcome();
    void fate(first.client.write("a", { expires: 1000 }));
    await first.machine.turn();
    assertEquals(first.lines, ["00a"]);
    const date = first.machine.date();
    first.kill();
    const machine = new ClientMachine();
    machine.date = () => date + away + machine.now();
    await using second = new ClientRig(disk, { onExpired }, machine);
    await second.welcome(0);
    second.says("\n");
    await machine.turn();
    assertEquals([second.lines, told], [[sent], away === 1000 ? ["a EXPIRED"] : []]);
    assertEquals(disk.state!.outbox.messages.length, away === 1000 ? 0 : 1);
  }
});

Deno.test("a server that has lost its store cannot say whether a message was there", async () => {
  const { told, onExpired } = listening();
  await using rig = new ClientRig(undefined, { onExpired });
  await rig.welcome();
  const given = fate(rig.client.write("a", { expires: 100 }));
  await lasts(rig);
  const [epoch] = await rig.hello();
  await rig.answer([epoch!, 0], 0, 500, 10);
  rig.says("\n");
  await rig.machine.turn();
  assertEquals([await given, told, rig.lines], ["UNDECIDED", ["a UNDECIDED"], ["00\0"]]);
});

Deno.test("dialect 1: what was sent is undecided at its deadline, and not sent again; what was not sent expires", async () => {
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

Deno.test("an invalid expiry time is refused, and so is one for a message without qos", async () => {
  await using rig = new ClientRig();
  for (const expires of [0, -1, 0.5, NaN, Infinity, 365 * 24 * 3_600_000 + 1]) {
    assertEquals(await fate(rig.client.write("a", { expires })), "BAD_ARGUMENT");
  }
  assertEquals(await fate(rig.client.write("a", { expires: 1, qos: false })), "BAD_ARGUMENT");
});

Deno.test("a deadline may be a year away", async () => {
  const { told, onExpired } = listening();
  await using rig = new ClientRig(undefined, { onExpired });
  void fate(rig.client.write("a", { expires: 365 * 24 * 3_600_000 }));
  rig.machine.passes(2 * TIMEOUT);
  assertEquals(told, []);
});
