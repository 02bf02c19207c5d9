/** A client on a machine that the test is master of: what it does when its event loop is late, or its server slow. */
import { assert, assertEquals } from "@std/assert";
import { ManualClock } from "../../tests/support/manual_platform.ts";
import { PeerError } from "../../server/protocol/errors.ts";
import type {
  ConnectOptions,
  Listener,
  Platform,
  Socket,
  SocketEvents,
} from "../../server/transport/platform.ts";
import { Client, type ClientOptions, LocalError } from "./mod.ts";

const TIMEOUT = 1000;

type Events = SocketEvents & { opened(): void };

/** A socket that takes and gives what the test says. */
class TestSocket implements Socket {
  readonly address = "192.0.2.1:8123";
  readonly hostname = "192.0.2.1";
  taken = 0;
  paused = false;
  closed = false;
  /** What was written, as it is now. */
  readonly written: Uint8Array[] = [];
  /** Whether all is taken at once. */
  takes = true;
  /** What has come, and lies unread. */
  unread: (() => void)[] = [];

  constructor(readonly options: ConnectOptions, readonly events: Events) {}

  start(): void {
    throw new Error("it has begun to read by itself");
  }

  write(data: Uint8Array): boolean {
    assert(!this.closed, "written to a socket that was closed");
    this.written.push(data);
    if (this.takes) this.taken += data.length;
    return this.takes;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  close(): void {
    this.closed = true;
  }

  get text(): string {
    const decoder = new TextDecoder();
    return this.written.map((bytes) => decoder.decode(bytes)).join("");
  }

  /** Something comes, but nobody has looked yet. */
  comes(what: (events: Events) => void): void {
    this.unread.push(() => what(this.events));
  }

  /** Somebody looks. */
  read(): void {
    for (const event of this.unread.splice(0)) if (!this.closed) event();
  }

  gives(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.events.data(bytes);
    bytes.fill(0); // they were valid until then
  }
}

class Machine extends ManualClock implements Platform {
  readonly sockets: TestSocket[] = [];

  connect(options: ConnectOptions, events: Events): Socket {
    const socket = new TestSocket(options, events);
    this.sockets.push(socket);
    return socket;
  }

  listen(): Promise<Listener> {
    throw new Error("a client does not listen");
  }

  get socket(): TestSocket {
    return this.sockets.at(-1)!;
  }

  /** Time passes, and then the timers that are due come first: the loop was busy meanwhile. */
  wakesUpAfter(ms: number): void {
    this.stall(ms);
  }

  /** What has come is read, and whoever waited for that is told. */
  looks(): void {
    this.socket.read();
    for (const run of this.looking.splice(0)) run();
  }

  /** Time passes in small steps, and everything is read in time. */
  passes(ms: number): void {
    for (let passed = 0; passed < ms; passed += 5) {
      this.stall(5);
      this.looks();
    }
  }
}

/** A client in dialect 1, whose greeting is one newline, on a machine of its own. */
class Scene implements AsyncDisposable {
  readonly machine = new Machine();
  readonly told: string[] = [];
  readonly client: Client;

  constructor(options: Partial<ClientOptions> = {}) {
    const onState = (up: boolean, reason?: PeerError) =>
      void this.told.push(up ? "up" : reason!.code);
    const all = { id: "1", timeout: TIMEOUT, dialect: 1 as const, onState, ...options };
    this.client = new Client(all, this.machine);
  }

  static up(options: Partial<ClientOptions> = {}): Scene {
    const scene = new Scene(options);
    scene.machine.socket.events.opened();
    scene.machine.socket.gives("\n");
    assertEquals(scene.told, ["up"]);
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    assertEquals(this.machine.timers, 0, "a timer is left");
    assert(this.machine.sockets.every(({ closed }) => closed), "a socket is left");
  }
}

// A loop that is late.

Deno.test("a busy client believes its server silent only when nothing has come meanwhile", async () => {
  await using scene = Scene.up();
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
  await using scene = Scene.up();
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
    await using scene = Scene.up();
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
  await using scene = new Scene();
  const { machine, told } = scene;
  machine.socket.comes((events) => events.opened());
  machine.wakesUpAfter(10 * TIMEOUT);
  machine.looks();
  assertEquals([told, machine.sockets.length], [[], 1]);
  assertEquals(machine.socket.text, "1\n");
});

Deno.test("a connection that is not answered is given up, with TLS as soon as without", async () => {
  const when: number[] = [];
  for (const tls of [undefined, true] as const) {
    await using scene = new Scene(tls ? { tls } : {});
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
  await using scene = new Scene();
  const { machine, told } = scene;
  machine.socket.events.opened();
  machine.socket.comes((events) => events.data(new Uint8Array([10])));
  machine.wakesUpAfter(10 * TIMEOUT);
  machine.looks();
  assertEquals(told, ["up"]);
});

Deno.test("a busy client believes its server stalled only when nothing was taken meanwhile", async () => {
  await using scene = Scene.up();
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
  }
});

Deno.test("a busy client sees what was taken meanwhile, also when it has just heard from its server", async () => {
  await using scene = Scene.up();
  const { machine, told, client } = scene;
  machine.socket.takes = false;
  assertEquals(await client.write("a", { qos: false }), true);
  for (let passed = 0; passed < TIMEOUT * 0.8; passed += TIMEOUT / 10) {
    machine.socket.gives("\n");
    machine.passes(TIMEOUT / 10);
  }
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

Deno.test("half a greeting is none, but a busy client looks whether the rest has come", async () => {
  await using scene = new Scene({ dialect: 2 });
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

Deno.test("what comes while it looks is not lost, and is taken before time goes on", async () => {
  await using scene = Scene.up();
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

Deno.test("a connection that ends while it looks is told as ended, after its last message", async () => {
  await using scene = Scene.up();
  const { machine, client, told } = scene;
  const line = client.readline();
  machine.wakesUpAfter(2 * TIMEOUT);
  machine.socket.gives("00last\n");
  machine.socket.events.ended(new PeerError("LOST", "gone"));
  assertEquals(await line, "last");
  assertEquals(told, ["up", "LOST"]);
  const { socket } = machine;
  machine.looks(); // for a connection that is no more
  assertEquals(machine.socket === socket || !machine.socket.closed, true);
});

// A server that is slow, or fast.

Deno.test("a slow server is not taken for a stalled one, and is when it stops", async () => {
  await using scene = Scene.up();
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

Deno.test("what was written stays as it is until it was taken, and what follows is collected", async () => {
  await using scene = Scene.up();
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
      "nothing is written behind its back",
    );
    assert(socket.text.endsWith(`first ${round}\n`), socket.text);
    socket.takes = true;
    socket.events.drained();
    assertEquals(socket.written.length, before + 2 * round + 2);
    assert(/second \d\n..third x{2000} \d\n$/.test(socket.text), socket.text);
  }
});

Deno.test("a server that sends more than there is room for is paused, and goes on when there is", async () => {
  await using scene = Scene.up({ size: { line: 100, inbox: 400 } });
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
    ["not greeted", ({ socket }: Machine) => socket.events.opened()],
    ["up", ({ socket }: Machine) => (socket.events.opened(), socket.gives("\n"))],
    ["looking", (machine: Machine) => machine.stall(TIMEOUT)],
    ["looking when up", (machine: Machine) => {
      machine.socket.events.opened();
      machine.socket.gives("\n");
      machine.stall(TIMEOUT);
    }],
    ["between attempts", ({ socket }: Machine) => {
      socket.events.ended(new PeerError("LOST", "no"));
      socket.events.ended(new PeerError("LOST", "told twice"));
    }],
  ] as const
) {
  Deno.test(`a client that is closed while ${moment} is gone at once`, async () => {
    const { machine, client, told } = new Scene();
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

Deno.test("a memory of one's own is read, kept and closed; not if the client is refused", async () => {
  const calls: unknown[] = [];
  const memory = {
    kept: { position: { epoch: 7, next: 1 }, processed: 0n },
    keep: (progress: unknown) => void calls.push(progress),
    close: () => void calls.push("closed"),
  };
  const machine = new Machine();
  try {
    new Client({ id: "", memory }, machine);
    assert(false, "refused");
  } catch (error) {
    assert(error instanceof LocalError, `${error}`);
  }
  assertEquals(calls, []);
  const client = new Client({ id: "1", memory }, machine);
  machine.socket.events.opened();
  assert(machine.socket.text.includes("0000000700000001"), machine.socket.text);
  await client.close();
  assertEquals(calls, ["closed"]);
});
