/** A client on a machine that the test controls: what it does when its event loop is late, or its server slow. */
import { assert, assertEquals } from "@std/assert";
import { ClientMachine, ManualClient, TIMEOUT } from "../../tests/support/manual_client.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import { ClientDisk } from "../../tests/sim/client_disk.ts";
import { Client, LocalError } from "./mod.ts";

// A loop that is late.

Deno.test("a busy client believes its server silent only when nothing has come meanwhile", async () => {
  await using scene = ManualClient.up();
  const { machine, told } = scene;
  for (let n = 0; n < 3; n++) {
    machine.socket.comes((events) => events.data(new Uint8Array([10])));
    machine.wakesUpAfter(10 * TIMEOUT);
    machine.looks();
    assertEquals(told, ["up"]);
  }
  machine.wakesUpAfter(10 * TIMEOUT);
  assertEquals(told, ["up"], "it has not looked yet");
  machine.looks();
  assertEquals(told, ["up", "SILENT"]);
});

Deno.test("silence is noticed within the timeout and a tenth, if the loop is not late", async () => {
  await using scene = ManualClient.up();
  scene.machine.passes(TIMEOUT - 20);
  assertEquals(scene.told, ["up"]);
  scene.machine.passes(TIMEOUT / 10 + 20);
  assertEquals(scene.told, ["up", "SILENT"]);
});

for (
  const [what, act] of [
    ["writes", (client: Client) => client.write("a").catch(() => {})],
    ["asks for a message", (client: Client) => client.readline().catch(() => {})],
  ] as const
) {
  Deno.test(`a client that was busy and ${what} before it has looked does not lose its link`, async () => {
    await using scene = ManualClient.up();
    const { machine, told, client } = scene;
    machine.socket.comes((events) => events.data(new Uint8Array([10])));
    machine.stall(TIMEOUT / 8); // no timer has come yet
    const timers = machine.timers;
    machine.wakesUpAfter(3 * TIMEOUT);
    assert(timers > 0);
    void act(client);
    assertEquals(told, ["up"]);
    machine.looks();
    assertEquals(told, ["up"]);
  });
}

Deno.test("a busy client takes a connection that was made meanwhile", async () => {
  await using scene = new ManualClient();
  const { machine, told } = scene;
  machine.socket.comes((events) => events.opened());
  machine.wakesUpAfter(10 * TIMEOUT);
  machine.looks();
  assertEquals([told, machine.sockets.length], [[], 1]);
  await machine.turn();
  assertEquals(machine.socket.text, "1\n");
});

Deno.test("a connection that is not answered is given up, with TLS as soon as without", async () => {
  const when: number[] = [];
  for (const tls of [undefined, true] as const) {
    await using scene = new ManualClient(tls ? { tls } : {});
    const { machine, told } = scene;
    assertEquals(machine.socket.options.tls, tls);
    const first = machine.socket;
    while (told.length === 0) machine.passes(5);
    assertEquals([told, first.closed], [["NO_ANSWER"], true]);
    when.push(machine.now());
  }
  assertEquals(when[0], when[1]);
  assert(when[0]! <= TIMEOUT * 3 / 8 + 20, `${when}`);
});

Deno.test("a busy client hears a greeting that came meanwhile", async () => {
  await using scene = new ManualClient();
  const { machine, told } = scene;
  machine.socket.events.opened();
  machine.socket.comes((events) => events.data(new Uint8Array([10])));
  machine.wakesUpAfter(10 * TIMEOUT);
  machine.looks();
  assertEquals(told, ["up"]);
});

Deno.test("a busy client believes its server stalled only when nothing was taken meanwhile", async () => {
  await using scene = ManualClient.up();
  const { machine, told, client } = scene;
  machine.socket.takes = false;
  assertEquals(await client.write("a", { qos: false }), true);
  for (const taken of [true, false]) {
    machine.socket.comes((events) => events.data(new Uint8Array([10])));
    if (taken) {
      machine.socket.comes((events) => {
        machine.socket.taken += 100;
        events.drained();
      });
    }
    machine.wakesUpAfter(10 * TIMEOUT);
    assertEquals(told, ["up"], "it has not looked yet");
    machine.looks();
    assertEquals(told, taken ? ["up"] : ["up", "STALLED"]);
    await machine.turn();
  }
});

Deno.test("a busy client sees what was taken meanwhile, also when it has just heard from its server", async () => {
  await using scene = ManualClient.up();
  const { machine, told, client } = scene;
  machine.socket.takes = false;
  assertEquals(await client.write("a", { qos: false }), true);
  scene.hearsFor(0.8 * TIMEOUT);
  machine.socket.gives("\n");
  machine.socket.comes((events) => {
    machine.socket.taken += 100;
    events.drained();
  });
  machine.wakesUpAfter(TIMEOUT / 4 + 10);
  assertEquals(told, ["up"], "it has not looked yet");
  machine.looks();
  assertEquals(told, ["up"]);
});

for (
  const [when, greeting, busy, heard] of [
    ["after a long check", 0, 2 * TIMEOUT, true],
    ["to a server that has said nothing lately", 0, TIMEOUT / 2, false],
    ["to a server that has greeted late", 0.9 * TIMEOUT, TIMEOUT / 2, false],
  ] as const
) {
  Deno.test(`what a busy client sends ${when} may wait for the whole timeout`, async () => {
    await using scene = new ManualClient();
    const { machine, machine: { socket }, told, client } = scene;
    socket.events.opened();
    machine.passes(greeting);
    socket.gives("\n");
    machine.looks();
    machine.wakesUpAfter(busy);
    await machine.turn();
    machine.wakesUpAfter(TIMEOUT / 5);
    socket.takes = false;
    void client.write("a", { qos: false });
    if (heard) socket.gives("\n");
    machine.looks();
    await machine.turn();
    assert(socket.text.endsWith("a\n"), socket.text);
    scene.hearsFor(0.9 * TIMEOUT);
    assertEquals(told, ["up"]);
    scene.hearsFor(0.2 * TIMEOUT);
    assertEquals(told, ["up", "STALLED"]);
  });
}

Deno.test("a client that was busy during a check does not give up before it has read what came meanwhile", async () => {
  await using scene = ManualClient.up();
  const { machine, machine: { socket }, told, client } = scene;
  socket.takes = false;
  assertEquals(await client.write("a", { qos: false }), true);
  machine.wakesUpAfter(TIMEOUT / 2);
  machine.wakesUpAfter(TIMEOUT);
  socket.taken += 100;
  socket.events.drained();
  for (const run of machine.looking.splice(0)) run();
  assertEquals(told, ["up"]);
  socket.gives("\n");
  machine.looks();
  assertEquals(told, ["up"]);
});

Deno.test("what has arrived by the end of a long check counts as heard at its end", async () => {
  await using scene = ManualClient.up();
  const { machine, told } = scene;
  machine.wakesUpAfter(2 * TIMEOUT);
  machine.wakesUpAfter(TIMEOUT / 2);
  machine.socket.gives("\n");
  machine.looks();
  machine.passes(0.9 * TIMEOUT);
  assertEquals(told, ["up"]);
  machine.passes(0.2 * TIMEOUT);
  assertEquals(told, ["up", "SILENT"]);
});

Deno.test("half a greeting does not count, but a busy client checks whether the rest has arrived", async () => {
  await using scene = new ManualClient({ dialect: 2 });
  const { machine, told } = scene;
  machine.socket.events.opened();
  machine.passes(TIMEOUT / 4);
  machine.socket.gives("\x0200");
  machine.passes(TIMEOUT / 16);
  machine.wakesUpAfter(TIMEOUT / 8);
  assertEquals(told, [], "it has not looked yet");
  machine.looks();
  assertEquals(told, ["NO_GREETING"]);
});

Deno.test("data that arrives during a check is not lost, and is read before time goes on", async () => {
  await using scene = ManualClient.up();
  const { machine, client, told } = scene;
  const lines = ["a", "b", "c"].map(() => client.readline());
  machine.wakesUpAfter(2 * TIMEOUT);
  machine.socket.gives("00a\n");
  assert(
    machine.socket.paused,
    "what came shows that the server is not silent: more need not be read",
  );
  machine.socket.gives("01b\n02c\n");
  assertEquals(machine.looking.length, 1, "one look is enough");
  machine.looks();
  assertEquals(await Promise.all(lines), ["a", "b", "c"]);
  assertEquals([told, machine.socket.paused], [["up"], false]);
});

Deno.test("a connection that ends during a check is reported as lost, after its last message", async () => {
  await using scene = ManualClient.up();
  const { machine, client, told } = scene;
  const line = client.readline();
  machine.wakesUpAfter(2 * TIMEOUT);
  machine.socket.gives("00last\n");
  machine.socket.events.ended(new PeerError("LOST", "gone"));
  assertEquals(await line, "last");
  assertEquals(told, ["up", "LOST"]);
  const { socket } = machine;
  machine.looks(); // at a connection that is gone
  assertEquals(machine.socket === socket || !machine.socket.closed, true);
});

Deno.test("on a real machine: a client whose program was busy for longer than the timeout keeps its link", async () => {
  const script = new URL("../../tests/support/acking_worker.ts", import.meta.url);
  const worker = new Worker(script, { type: "module" });
  try {
    const port = await new Promise<number>((resolve) =>
      worker.onmessage = ({ data }) => resolve(data)
    );
    const told: string[] = [];
    const onState = (up: boolean, reason?: PeerError | LocalError) =>
      void told.push(up ? "up" : reason!.code);
    await using client = new Client({ id: "1", port, timeout: 300, dialect: 1, onState });
    await client.ready();
    for (let round = 0; round < 5; round++) {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500); // nothing runs meanwhile
      assertEquals(await client.write(`${round}`), true);
    }
    assertEquals(told, ["up"]);
  } finally {
    worker.terminate();
  }
});

// A server that is slow, or fast.

Deno.test("a slow server does not count as stalled until it stops", async () => {
  await using scene = ManualClient.up();
  const { machine, told, client } = scene;
  machine.socket.takes = false;
  await client.write("x".repeat(10_000), { qos: false });
  for (let passed = 0; passed < 10 * TIMEOUT; passed += TIMEOUT / 4) {
    machine.socket.taken += 1;
    machine.socket.gives("\n");
    machine.passes(TIMEOUT / 4);
  }
  assertEquals(told, ["up"]);
  for (let passed = 0; passed < 2 * TIMEOUT && told.length === 1; passed += TIMEOUT / 4) {
    machine.socket.gives("\n");
    machine.passes(TIMEOUT / 4);
  }
  assertEquals(told, ["up", "STALLED"]);
});

Deno.test("a server that finally reads what waited counts as stalled only from then on", async () => {
  await using scene = ManualClient.up();
  const { machine, machine: { socket }, told, client } = scene;
  socket.takes = false;
  await client.write("first", { qos: false });
  socket.taken += 1; // so that the core may send more
  await client.write("second", { qos: false });
  scene.hearsFor(0.2 * TIMEOUT);
  socket.taken += 10;
  socket.events.drained();
  await machine.turn();
  assert(socket.text.includes("second"));
  scene.hearsFor(0.9 * TIMEOUT);
  assertEquals(told, ["up"]);
  scene.hearsFor(0.3 * TIMEOUT);
  assertEquals(told, ["up", "STALLED"]);
});

Deno.test("bytes that the system takes at once do not put off the moment when a server counts as stalled", async () => {
  await using scene = ManualClient.up();
  const { machine: { socket }, told, client } = scene;
  socket.takes = false;
  socket.takesFirst = 5;
  await client.write("never read", { qos: false });
  scene.hearsFor(1.2 * TIMEOUT);
  assertEquals(told, ["up", "STALLED"]);
});

Deno.test("written bytes stay unchanged until they are taken, and later ones are collected", async () => {
  await using scene = ManualClient.up();
  const { machine, client } = scene;
  const { socket } = machine;
  const before = socket.written.length;
  for (let round = 0; round < 3; round++) {
    socket.takes = false;
    await client.write(`first ${round}`, { qos: false });
    socket.taken += 1; // so that the core may send more
    await client.write(`second ${round}`, { qos: false });
    socket.taken += 1;
    await client.write(`third ${"x".repeat(2000)} ${round}`, { qos: false });
    assertEquals(
      socket.written.length,
      before + 2 * round + 1,
      "nothing more is written before these are taken",
    );
    assert(socket.text.endsWith(`first ${round}\n`), socket.text);
    socket.takes = true;
    socket.events.drained();
    await machine.turn();
    assertEquals(socket.written.length, before + 2 * round + 2);
    assert(/second \d\n..third x{2000} \d\n$/.test(socket.text), socket.text);
  }
});

Deno.test("what is written at once is handed over in one piece, the rest as there is room", async () => {
  await using scene = ManualClient.up({ dialect: 1, size: { line: 16_000, outbox: 256 * 1024 } });
  const { machine, client } = scene;
  const { socket } = machine;
  const booted = client.write("boot"); // nothing overtakes the first one
  socket.gives("00\n");
  await booted;
  await machine.turn();
  const before = socket.written.length;
  for (let n = 0; n < 50; n++) client.write(`${n}`, { qos: false });
  await machine.turn();
  assertEquals(socket.written.length, before + 1);
  for (let n = 0; n < 255; n++) socket.gives(`${n.toString(16).padStart(2, "0")}\n`); // acks of all
  const text = "x".repeat(16_000);
  for (let n = 0; n < 12; n++) client.write(text, { qos: false });
  client.write("the end", { qos: false });
  await machine.turn();
  assert(
    socket.text.endsWith("the end\n"),
    "more than one piece holds, and all of it was taken at once",
  );
});

Deno.test("messages written just before a client is closed are handed over", async () => {
  const { machine, client } = ManualClient.up();
  client.write("last words", { qos: false });
  void client.close();
  assert(machine.socket.text.endsWith("last words\n"));
  await machine.turn();
});

Deno.test("a server that sends more than there is room for is paused, and goes on when there is", async () => {
  await using scene = ManualClient.up({ size: { line: 100, inbox: 400 } });
  const { machine, client } = scene;
  const { socket } = machine;
  const text = "x".repeat(90);
  const lines = Array.from({ length: 20 }, (_, n) => `${n} ${text}`);
  const id = (n: number) => n.toString(16).padStart(2, "0");
  socket.gives(lines.slice(0, 15).map((line, n) => `${id(n)}${line}\n`).join(""));
  assertEquals(socket.paused, true);
  socket.gives(lines.slice(15).map((line, n) => `${id(n + 15)}${line}\n`).join(""));
  const read: string[] = [];
  let pausedFor = 0;
  while (read.length < lines.length) {
    read.push(await client.readline());
    if (socket.paused) pausedFor = read.length;
  }
  assertEquals(read, lines);
  assert(!socket.paused && pausedFor > 10, `${pausedFor}`);
});

// The end.

for (
  const [moment, reach] of [
    ["connecting", () => {}],
    ["not greeted", ({ socket }: ClientMachine) => socket.events.opened()],
    ["up", ({ socket }: ClientMachine) => (socket.events.opened(), socket.gives("\n"))],
    ["looking", (machine: ClientMachine) => machine.stall(TIMEOUT)],
    ["looking when up", (machine: ClientMachine) => {
      machine.socket.events.opened();
      machine.socket.gives("\n");
      machine.stall(TIMEOUT);
    }],
    ["between attempts", ({ socket }: ClientMachine) => {
      socket.events.ended(new PeerError("LOST", "no"));
      socket.events.ended(new PeerError("LOST", "told twice"));
    }],
  ] as const
) {
  Deno.test(`a client that is closed while ${moment} is gone at once`, async () => {
    const { machine, client, told } = new ManualClient();
    reach(machine);
    const before = [...told];
    const closed = client.close();
    assertEquals(machine.timers, 0);
    assert(machine.sockets.every(({ closed }) => closed));
    machine.stall(10 * TIMEOUT);
    for (const run of machine.looking.splice(0)) run();
    const { length } = machine.sockets;
    await closed;
    assertEquals([told, machine.sockets.length], [before, length]);
  });
}

Deno.test("a clock that jumps ahead does not make a client late", async () => {
  await using scene = new ManualClient({ dialect: 2 });
  const { machine, client, told } = scene;
  machine.socket.events.opened();
  machine.socket.gives("no welcome\n"); // a long pause follows
  machine.passes(TIMEOUT); // so that the next timer is its end
  const { length } = machine.sockets;
  const { now } = machine;
  machine.now = () => now() + 3_600_000;
  void client.write("a", { qos: false }); // it looks at the clock
  assertEquals(machine.sockets.length, length + 1, "the pause is over");
  machine.passes(TIMEOUT / 2);
  assertEquals(told, ["BAD_GREETING", "NO_ANSWER"]);
});

Deno.test("a client reads a custom memory and closes it at its end; a refused client does not touch it", async () => {
  const disk = new ClientDisk();
  const position = { epoch: 7, next: 1 };
  const outbox = { epoch: 8, first: 9, next: 9, messages: [] };
  disk.state = { progress: { position }, outbox, clock: { time: 0, date: 0 } };
  const memory = disk.open();
  const machine = new ClientMachine();
  try {
    new Client({ id: "", memory }, machine);
    assert(false, "refused");
  } catch (error) {
    assert(error instanceof LocalError, `${error}`);
  }
  assertEquals([disk.users, disk.commits], [1, 0]);
  const client = new Client({ id: "1", memory }, machine);
  machine.socket.events.opened();
  await machine.turn();
  const { text } = machine.socket;
  assert(text.includes("00000008000000090000000700000001"), text);
  await client.close();
  assertEquals([disk.users, disk.commits], [0, 0], "there was nothing to keep");
});
